"""From Hydra overrides to resolved configurations.

A resolved configuration is a plain nested dict: what is hashed into a run's identity, saved
beside its record, and all that the objects are built from (``ltvm.runs.build``). Nothing here needs
torch, whose import takes seconds: a run that is done is found without it.
"""

from __future__ import annotations

import copy
import importlib.metadata
import importlib.util
import math
import os
import re
import sys
from collections.abc import Hashable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ltvm.errors import InputError, require
from ltvm.hydra_private import (
    Override,
    apply_values,
    group_options,
    hydra_session,
    parse_override,
    search_path,
)
from ltvm.runtime.precision import Precision, native_precision
from ltvm.runtime.processes import processes

Config = dict[str, Any]
GROUPS = ("data", "method", "protocol", "evaluation", "sampler", "decoder", "prior", "ablation")
# Groups whose choice stands inside another one's: what a user writes -> what Hydra is given.
NESTED = {
    "method.kernel": "kernel@method.kernel",
    "evaluation.extractor": "extractor@evaluation.extractor",
}

VALUES = (
    "seed",
    "device",
    "precision",
    "keep",
    "validation_images",
    "tensorboard",
)  # keys that stand in no group

NULL_MEANS_ALL = {"train_images", "test_images", "samples"}  # numbers of images

CONFIG_DIRS_VARIABLE = "LTVM_CONFIG_DIRS"  # as PATH; ``--config-dir`` adds to it


def add_config_dir(directory: str) -> None:
    """Make a directory's YAML groups and Python modules available, here and in child processes.

    Raises :class:`InputError` if it is not a directory.
    """
    path = Path(directory).expanduser().resolve()
    require(path.is_dir(), "--config-dir", directory, "an existing directory")
    for variable in (CONFIG_DIRS_VARIABLE, "PYTHONPATH"):
        known = os.environ.get(variable, "").split(os.pathsep)
        if str(path) not in known:
            os.environ[variable] = os.pathsep.join([str(path), *filter(None, known)])
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))


def further_places() -> list[str]:
    """Where configurations from outside this package are, as Hydra names places.

    They come from ``LTVM_CONFIG_DIRS`` and from installed packages with an entry point in the
    group ``ltvm.configs`` (its value names a package that holds the YAML groups).
    """
    places = [f"file://{directory}" for directory in config_dirs()]
    return places + [f"pkg://{package}" for package in config_packages()]


def search_path_override() -> list[str]:
    """The Hydra override that adds ``further_places``."""
    quoted = ",".join(f'"{place}"' for place in further_places())
    return [f"hydra.searchpath=[{quoted}]"] if quoted else []


def config_dirs() -> list[str]:
    return [d for d in os.environ.get(CONFIG_DIRS_VARIABLE, "").split(os.pathsep) if d]


@lru_cache(maxsize=1)
def config_packages() -> list[str]:
    """The packages that installed distributions declare, which takes a while to ask."""
    return [entry.value for entry in importlib.metadata.entry_points(group="ltvm.configs")]


def compose_raw(overrides: Sequence[str], with_hydra: bool = False) -> DictConfig:
    """Compose ``config.yaml`` with overrides such as ``data=svhn`` or ``method.alpha=0.3``.

    Raises :class:`InputError` for an unknown group choice or key, or malformed overrides.
    """
    given = [*search_path_override(), *map(as_hydra, overrides)]
    try:
        if with_hydra:
            with hydra_session():
                return compose("config", given, return_hydra_config=True)
        words = [override for override in given if not is_value(parsed(override))]
        config = copy.deepcopy(composed(tuple(words), sources()))
        values = [parsed(override) for override in given if is_value(parsed(override))]
        apply_values(values, config)
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error, overrides)) from error
    return config


@lru_cache(maxsize=64)
def composed(overrides: tuple[str, ...], sources: Hashable) -> DictConfig:  # noqa: ARG001
    """What Hydra composes of ``sources``, before values are overridden; not to be changed.

    It reads some twenty files, which takes longer than all else about a configuration. What
    overrides one value is applied afterwards, as by Hydra itself.
    """
    with hydra_session():
        return compose("config", list(overrides))


def sources() -> Hashable:
    """Where configurations are found, and the state of every file there."""
    specs = [importlib.util.find_spec(package) for package in ("ablations", *config_packages())]
    packages = [p for spec in specs if spec for p in spec.submodule_search_locations or ()]
    folders = [Path(folder) for folder in (*packages, *config_dirs())]
    files = (entry for folder in folders for entry in sorted(folder.rglob("*.yaml")))
    states = ((str(file), file.stat()) for file in files)
    return (
        search_path(),
        tuple((name, state.st_mtime_ns, state.st_size) for name, state in states),
    )


@lru_cache(maxsize=1024)
def parsed(override: str) -> Override:
    return parse_override(override)


def is_value(override: Override) -> bool:
    """Whether an override gives one key a value, and has no part in which files are composed."""
    key = override.key_or_group
    of_hydra = key.startswith("hydra.") or override.is_hydra_override()
    single = not (override.is_sweep_override() or override.package or of_hydra)
    return single and ("." in key or key in VALUES)


def as_hydra(override: str) -> str:
    """An override as Hydra is given it.

    Solver options depend on the solver, so their keys are not listed: Hydra may add them. The
    choice of a nested group, such as ``method.kernel=hamiltonian``, names its place.
    """
    key, separator, value = override.partition("=")
    if key in NESTED and separator and not value.startswith("{"):
        return f"{NESTED[key]}={value}"
    return f"++{override}" if override.startswith("method.solver_options.") else override


def as_written(override: str) -> str:
    """The inverse of ``as_hydra``: what a user writes and records say."""
    key, separator, value = override.partition("=")
    written = {place: nested for nested, place in NESTED.items()}.get(key, key)
    added = written.startswith("++method.solver_options.")
    return (written.removeprefix("++") if added else written) + separator + value


def is_choice(key: str) -> bool:
    """Whether an override of this key chooses a file of a group."""
    return key in GROUPS or key in NESTED


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """One or two lines for a Hydra error: the key, the value, what is allowed."""
    text = str(error)
    missing = re.search(r"Could not find '([\w/]+)/([^'/]*)'", text)
    if missing:
        group, choice = missing.groups()
        extra = '; pip install "ltvm[joblib]" adds it' if choice == "joblib" else ""
        return f"{group}={choice}: allowed: {', '.join(choices(group))}{extra}"
    unknown = re.search(r"Could not (?:override|append to config|find|delete).*?'([^']+)'", text)
    if unknown:
        key = unknown.group(1).split("@")[0]
        given = next((o for o in overrides if o.lstrip("+~").split("=")[0] == key), key)
        return f"{given}: no such key; allowed: {', '.join(siblings(key, overrides))}"
    whole = f"{text}: {error.__cause__}" if error.__cause__ else text
    return f"{' '.join(overrides)}: {' '.join(whole.split())[:200]}"


def choices(group: str) -> list[str]:
    """The available choices of a configuration group, such as all methods."""
    with hydra_session():
        return group_options(group, further_places())


def siblings(key: str, overrides: Sequence[str]) -> list[str]:
    """The keys beside an unknown one, in the configuration without the overrides' values."""
    chosen = [o for o in overrides if is_choice(o.split("=")[0]) or o.startswith("hydra/")]
    kept = [o for o in chosen if o.split("=")[0] != key]
    node: Any = compose_raw(kept, with_hydra=key.startswith("hydra."))
    for part in key.split(".")[:-1]:
        node = node.get(part) if isinstance(node, DictConfig) and part in node else node
    names = node.keys() if isinstance(node, DictConfig) else []
    return sorted(str(name) for name in names if not str(name).startswith("_"))


def resolve(overrides: Sequence[str]) -> Config:
    """Compose, check types and values that need no data, and return a plain dict.

    ``precision=auto`` becomes what it is on the device asked for: what is hashed decides numbers.
    Raises :class:`InputError` that names the key, the value and what is allowed.
    """
    given = parse(overrides)
    groups = [o for o, (key, _) in zip(overrides, given, strict=True) if is_choice(key)]
    plain = to_dict(compose_raw(overrides))
    plain_default = plain if len(groups) == len(overrides) else defaults(tuple(groups), sources())
    plain.pop("ablation", None)
    as_floats(plain, plain_default)
    for key, _ in given:
        check_type(key, plain, plain_default)
    require(plain["seed"] >= 0, "seed", plain["seed"], "0 or more")
    require(plain["keep"] in ("final", "all"), "keep", plain["keep"], "final, all")
    precisions = get_args(Precision)
    require(
        plain["precision"] in ("auto", *precisions),
        "precision", plain["precision"], ", ".join(["auto", *precisions]),
    )  # fmt: skip
    if plain["precision"] == "auto":
        plain["precision"] = native_precision(str(plain["device"]))
    settle_statistics(plain)
    iterations = plain["protocol"]["iterations"]
    require(iterations >= 1, "protocol.iterations", iterations, "1 or more")
    require(
        plain["evaluation"]["every"] >= 1, "evaluation.every", plain["evaluation"]["every"], ">= 1"
    )
    return plain


def settle_statistics(config: Config) -> None:
    """Keep, in place, how processes share batch norm only where that decides numbers.

    Synchronised statistics are those of one process. Statistics per shard depend on how many
    there are: both are then part of what is hashed.
    """
    wanted = config.pop("distributed")["batchnorm"]
    allowed = ("synchronised", "per_shard")
    require(wanted in allowed, "distributed.batchnorm", wanted, ", ".join(allowed))
    if wanted == "per_shard":
        require(
            processes() > 1, "distributed.batchnorm", wanted,
            "synchronised for one process (torchrun starts several)",
        )  # fmt: skip
        config["distributed"] = {"batchnorm": wanted, "processes": processes()}


def settled(overrides: Sequence[str], config: Config) -> list[str]:
    """Overrides that resolve to ``config`` on any machine, with its precision in words.

    What a launcher hands to another machine, and what a record says it was made by.
    """
    kept = [override for override in overrides if not override.startswith("precision=")]
    return [*kept, f"precision={config['precision']}"]


@lru_cache(maxsize=64)
def defaults(groups: tuple[str, ...], sources: Hashable) -> Config:  # noqa: ARG001
    """The configuration of these group choices with no key overridden; not to be changed."""
    return to_dict(compose_raw(groups))


def parse(overrides: Sequence[str]) -> list[tuple[str, Any]]:
    """Overrides as (key, value) pairs; raises :class:`InputError` for malformed ones."""
    try:
        found = [parsed(override) for override in overrides]
    except HydraException as error:
        raise InputError(" ".join(str(error).split())[:200]) from error
    for override in found:
        if override.is_sweep_override():
            raise InputError(
                f"{override.input_line}: several values; allowed: one (sweeps are ablations)"
            )
    return [(o.key_or_group, o.value()) for o in found]


def to_dict(config: DictConfig) -> Config:
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def as_floats(config: Config, default: Config) -> None:
    """Make integers floats, in place, where the default is one: 1 and 1.0 are the same cell."""
    for key, usual in default.items():
        value = config.get(key)
        if isinstance(usual, dict) and isinstance(value, dict):
            as_floats(value, usual)
        elif type(usual) is float and type(value) is int:
            config[key] = float(value)


def check_type(key: str, config: Config, default: Config) -> None:
    """Raise :class:`InputError` unless an overridden value has its default's type."""
    *parents, last = key.split(".")
    for part in parents:
        config = config.get(part, {})
        default = default.get(part, {})
    if last not in default or not isinstance(config, dict):
        return
    value, usual = config[last], default[last]
    kinds = {bool: "true or false", int: "an integer", float: "a finite number", str: "a word"}
    kinds |= {list: "a list", dict: "a mapping"}
    expected = kinds.get(type(usual))
    undecided = usual == "auto" and type(value) is bool  # execution.graph is auto, true or false
    if expected is not None and value is not None and not undecided:
        require(type(value) is type(usual), key, value, expected)
    if isinstance(value, float):
        require(math.isfinite(value), key, value, kinds[float])
    if usual is not None and not isinstance(usual, str) and last not in NULL_MEANS_ALL:
        require(value is not None, key, value, expected or type(usual).__name__)
