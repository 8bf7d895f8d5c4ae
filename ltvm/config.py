"""From Hydra overrides to resolved configurations.

A resolved configuration is a plain nested dict: what is hashed into a run's identity, saved
beside its record, and all that the objects are built from (``ltvm.runs.execution.build``). Nothing
here needs torch, whose import takes seconds: a run that is done is found without it.
"""

from __future__ import annotations

import copy
import importlib.metadata
import importlib.util
import math
import os
import re
from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import yaml
from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ltvm.errors import InputError, did_you_mean, require, require_one_of
from ltvm.hydra_private import apply_values, group_options, hydra_session, search_path
from ltvm.overrides import (
    GROUPS,
    NESTED,
    as_hydra,
    is_choice,
    is_value,
    meant_key,
    parse,
    parsed,
    parsed_soundly,
)
from ltvm.runtime.config_dirs import (
    CONFIG_DIRS_VARIABLE,
    config_dirs,
    is_choice_name,
    make_importable,
    own_configuration,
)
from ltvm.runtime.precision import Precision, native_precision
from ltvm.runtime.processes import processes

Config = dict[str, Any]
LONGEST_NAME = 200  # characters of a choice
LARGEST_CODE = 100_000  # dimensions of a code
NAMED = ("data", "method", "protocol", "evaluation", "sampler", "decoder", "prior")
OWN_STEP = "own_step"  # of a method's file alone, for that of a kernel to read
NULL_MEANS_ALL = {"train_images", "test_images", "samples"}  # numbers of images
NULL_OR_NUMBER = {"method.kernel.temperature"}  # null where a number is not given


def add_config_dir(directory: str) -> None:
    """Make a directory's YAML groups and Python modules available, here and in child processes.

    What its modules are called hides nothing that is installed. Raises :class:`InputError` if it
    is not a directory.
    """
    path = Path(directory).expanduser().resolve()
    require(path.is_dir(), "--config-dir", directory, "an existing directory")
    sound = not re.search(rf"""[{os.pathsep}"'\\$]""", str(path))
    require(sound, "--config-dir", directory, f"a path without {os.pathsep}, quotes, \\ or $")
    if str(path) not in config_dirs():
        os.environ[CONFIG_DIRS_VARIABLE] = os.pathsep.join([str(path), *config_dirs()])
    make_importable()


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


@lru_cache(maxsize=1)
def config_packages() -> list[str]:
    """The packages that installed distributions declare, which takes a while to ask."""
    return [entry.value for entry in importlib.metadata.entry_points(group="ltvm.configs")]


def compose_raw(overrides: Sequence[str], with_hydra: bool = False) -> DictConfig:
    """Compose ``config.yaml`` with overrides such as ``data=svhn`` or ``method.alpha=0.3``.

    Raises :class:`InputError` for an unknown group choice or key, or malformed overrides.
    """
    for override in overrides:
        check_choice(override)
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
        leave_out_own_step(config)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise InputError(explain(error, overrides)) from error
    return config


def leave_out_own_step(config: DictConfig) -> None:
    """Take from a method, in place, the step that it has of its own: its kernel has that by now.

    So another kernel can be chosen, which has its own parameters.
    """
    method = config.get("method")
    if isinstance(method, DictConfig) and OWN_STEP in method:
        with open_dict(method):
            del method[OWN_STEP]


@lru_cache(maxsize=512)
def composed(overrides: tuple[str, ...], sources: Hashable) -> DictConfig:  # noqa: ARG001
    """What Hydra composes of ``sources``, before values are overridden; not to be changed.

    It reads some twenty files, which takes longer than all else about a configuration. What
    overrides one value is applied afterwards, as by Hydra itself.
    """
    with hydra_session():
        return compose("config", list(overrides))


def sources() -> Hashable:
    """Where configurations are found, and the state of every file there."""
    specs = [importlib.util.find_spec(package) for package in config_packages()]
    packages = [p for spec in specs if spec for p in spec.submodule_search_locations or ()]
    whole = [own_configuration(), *map(Path, packages)]
    files = [file for folder in whole for file in sorted(folder.rglob("*.yaml"))]
    files += [file for folder in config_dirs() for file in group_files(Path(folder))]
    states = ((str(file), file.stat()) for file in files)
    return (
        search_path(),
        tuple((name, state.st_mtime_ns, state.st_size) for name, state in states),
    )


def group_files(folder: Path) -> list[Path]:
    """The YAML files of the groups in a folder of the user's own, and of nothing else below it.

    Results may lie there too, or an environment: files of these are no configuration of the user's.
    """
    groups = (*GROUPS, *(place.partition("@")[0] for place in NESTED.values()), "hydra")
    patterns = [f"{group}/{below}*.yaml" for group in groups for below in ("", "*/")]
    return sorted(file for pattern in patterns for file in folder.glob(pattern))


def check_choice(override: str) -> None:
    """Raise :class:`InputError` unless what chooses a file of a group names one, and within it."""
    found = parsed_soundly(override)
    key, value = found.key_or_group, found.value()
    if key.split(".")[:2] == ["method", OWN_STEP]:
        raise InputError(f"{override}: {no_such_key(key, [])}")
    if not is_choice(key) or (isinstance(value, dict) and value and key in NESTED):
        return
    parts = value.split("/") if isinstance(value, str) else [""]
    outside = any(p in ("", ".", "..") or len(p) > LONGEST_NAME for p in parts)
    if found.is_delete() or outside or not is_choice_name(parts[-1]):
        known = choices(NESTED.get(key, key).split("@")[0])
        raise InputError(f"{override}: allowed: one {key} of {', '.join(known)}")


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """One or two lines for a Hydra error: the key, the value, what is allowed."""
    text = str(error)
    if isinstance(error, yaml.YAMLError):
        return f"{' '.join(overrides)}: no YAML: {' '.join(text.split())[:300]}"
    missing = re.search(r"Could not find '([\w/]+)/([^'/]*)'", text)
    if missing:
        group, choice = missing.groups()
        known = choices(group)
        hint = did_you_mean(choice, known)
        if choice == "joblib":
            hint += '; pip install "ltvm[joblib]" adds it'
        elif not hint and not config_dirs() and not group.startswith("hydra"):
            hint = "; one of your own: with --config-dir FOLDER"
        place = next((k for k, v in NESTED.items() if v.partition("@")[0] == group), group)
        return f"{place}={choice}: allowed: {', '.join(known)}{hint}"
    unknown = re.search(r"Could not (?:override|append to config|find|delete).*?'([^']+)'", text)
    if unknown:
        key = unknown.group(1).split("@")[-1]  # kernel@method.kernel is written method.kernel
        given = next((o for o in overrides if key_of(o).split("@")[0] == key), key)
        return f"{given}: {no_such_key(key, overrides)}"
    whole = f"{text}: {error.__cause__}" if error.__cause__ else text
    return f"{' '.join(overrides)}: {' '.join(whole.split())[:200]}"


def key_of(override: str) -> str:
    return override.lstrip("+~").split("=")[0]


def no_such_key(key: str, overrides: Sequence[str]) -> str:
    """What is allowed in place of a key that there is not, and the nearest of that."""
    known = siblings(key, overrides)
    paths = [] if key.startswith("hydra") or not known else keys(overrides, but=key)
    meant = meant_key(key, known, paths)
    near = f"; did you mean {meant}?" if meant else ""
    choice = next((o for o in overrides if key.split(".")[0] == key_of(o)), None)
    of = f" with {choice}" if choice and "." in key else ""
    return f"no such key{of}; allowed: {', '.join(known) or 'none there'}{near}"


def keys(overrides: Sequence[str] = (), but: str = "") -> list[str]:
    """The path of every key that there is with these overrides' choices, but for that of one."""
    chosen = [o for o in overrides if is_choice(key_of(o)) and key_of(o) != but]
    return list(keys_of(to_dict(compose_raw(chosen))))


def keys_of(config: Config, path: str = "") -> Iterator[str]:
    """The path of every key of a configuration, mappings included."""
    for key, value in config.items():
        yield path + key
        if isinstance(value, dict):
            yield from keys_of(value, f"{path}{key}.")


OPEN = ("protocol.own_steps", "paper.settings", "evaluation.metrics", "evaluation.extractor")


def fixed_keys(config: Config, path: str = "") -> set[str]:
    """The keys that no override may add or take away: all but parameters of parts.

    A part knows its parameters itself. Anything else that is added would be read by nobody, and
    make another identity of the same numbers.
    """
    found = set()
    for key, value in config.items():
        here = path + key
        found.add(here)
        if not isinstance(value, dict) or here in OPEN:
            continue
        if "_target_" in value:
            found |= {f"{here}.name"} & {f"{here}.{name}" for name in value}
        else:
            found |= fixed_keys(value, f"{here}.")
    return found


def check_keys(overrides: Sequence[str], config: Config, default: Config) -> None:
    """Raise :class:`InputError` for keys that overrides added, or took away."""
    own, usual = fixed_keys(config), fixed_keys(default)
    for key in sorted((own - usual - {*OPEN}) | (usual - own), key=len)[:1]:
        given = next((o for o in overrides if key.startswith(key_of(o).split("@")[-1])), key)
        if key in own:
            raise InputError(f"{given}: {no_such_key(key, overrides)}")
        allowed = f"{key}=VALUE" if given.startswith("~") else "a mapping that has it"
        raise InputError(f"{given}: {key} cannot be left out; allowed: {allowed}")


def choices(group: str) -> list[str]:
    """The available choices of a configuration group, such as all methods.

    A file whose name begins with ``_`` is none: others build upon it.
    """
    with hydra_session():
        found = group_options(group, further_places())
    return list(filter(is_choice_name, found))


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
    for key, value in given:
        require(key.partition(".")[0] != "ablation", key, value, "with `ltvm ablate`")
    groups = [o for o, (key, _) in zip(overrides, given, strict=True) if is_choice(key)]
    plain = to_dict(compose_raw(overrides))
    plain_default = plain if len(groups) == len(overrides) else defaults(tuple(groups), sources())
    check_keys(overrides, plain, plain_default)
    plain.pop("ablation", None)
    as_floats(plain, plain_default)
    for key, _ in given:
        check_type(key, plain, plain_default)
        check_name(key, plain, plain_default)
    require_names(plain)
    require(isinstance(plain["device"], str), "device", plain["device"], "auto, cpu, cuda, cuda:N")
    require(plain["seed"] >= 0, "seed", plain["seed"], "0 or more")
    require_one_of("keep", plain["keep"], ("final", "all"))
    require_one_of("precision", plain["precision"], ("auto", *get_args(Precision)))
    dimension = plain["model"]["latent_dim"]
    require(0 < dimension <= LARGEST_CODE, "model.latent_dim", dimension, f"1 to {LARGEST_CODE:,}")
    if plain["precision"] == "auto":
        plain["precision"] = native_precision(str(plain["device"]))
    settle_statistics(plain)
    for key, value in plain["paths"].items():
        require(isinstance(value, str) and bool(value), f"paths.{key}", value, "a directory")
    iterations = plain["protocol"]["iterations"]
    require(iterations >= 1, "protocol.iterations", iterations, "1 or more")
    require(
        plain["evaluation"]["every"] >= 1, "evaluation.every", plain["evaluation"]["every"], ">= 1"
    )
    return plain


def check_name(key: str, config: Config, default: Config) -> None:
    """Raise :class:`InputError` for another class under a choice's name, which records have."""
    *parents, last = key.split(".")
    if last != "_target_":
        return
    place, usual, own = ".".join(parents), at(default, parents), at(config, parents)
    leaf = usual is not None and not isinstance(usual, dict)
    require(not leaf, key, own, f"{place}=VALUE, which has no keys of its own")
    if not isinstance(own, dict) or not usual or not usual.get("name"):
        return
    if own.get(last) == usual.get(last):
        return
    free = f"{usual[last]}, which is what {usual['name']} means; with {place}.name=WORD any"
    require(own.get("name") != usual["name"], key, own.get(last), free)


def require_names(config: Config) -> None:
    """Raise :class:`InputError` for a choice without a name, one for others to build upon."""
    for group in NAMED:
        name = at(config, [group, "name"])
        sound = isinstance(name, str) and bool(name)
        require(sound, f"{group}.name", name, f"a word; a file with one is what {group}=... takes")


def at(config: Config, path: Sequence[str]) -> Any:
    """What is at a path of a configuration; None where there is nothing."""
    found: Any = config
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def settle_statistics(config: Config) -> None:
    """Keep, in place, how processes share batch norm only where that decides numbers.

    Synchronised statistics are those of one process. Statistics per shard depend on how many
    there are: both are then part of what is hashed.
    """
    wanted = config.pop("distributed")["batchnorm"]
    allowed = ("synchronised", "per_shard")
    require_one_of("distributed.batchnorm", wanted, allowed)
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


@lru_cache(maxsize=512)
def defaults(groups: tuple[str, ...], sources: Hashable) -> Config:  # noqa: ARG001
    """The configuration of these group choices with no key overridden; not to be changed."""
    return to_dict(compose_raw(groups))


def to_dict(config: DictConfig) -> Config:
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def as_floats(config: Config, default: Config, path: str = "") -> None:
    """Make integers floats, in place, where the default is one, or null where there might be one.

    1 and 1.0 are the same cell.
    """
    for key, usual in default.items():
        value = config.get(key)
        if isinstance(usual, dict) and isinstance(value, dict):
            as_floats(value, usual, f"{path}{key}.")
        elif kind_of(path + key, usual) is float and type(value) is int:
            config[key] = float(value)


def kind_of(key: str, usual: Any) -> type:
    """The type of what overrides the value that a key has by default."""
    return float if usual is None and key in NULL_OR_NUMBER else type(usual)


def check_type(key: str, config: Config, default: Config) -> None:
    """Raise :class:`InputError` unless an overridden value has its default's type."""
    *parents, last = key.split(".")
    for part in parents:
        config = config.get(part, {})
        default = default.get(part, {})
    if last not in default or not isinstance(config, dict) or last not in config:
        return
    value, usual = config[last], default[last]
    kinds = {bool: "true or false", int: "an integer", float: "a finite number", str: "a word"}
    kinds |= {list: "a list", dict: "a mapping"}
    kind = kind_of(key, usual)
    expected = kinds.get(kind)
    undecided = usual == "auto" and type(value) is bool  # execution.graph is auto, true or false
    if expected is not None and value is not None and not undecided:
        null = ", or null" if usual is None else ""
        require(type(value) is kind, key, value, expected + null)
    if isinstance(usual, list) and usual and all(type(one) in (int, float) for one in usual):
        whole = all(type(one) is int for one in usual)
        numbers = (int,) if whole else (int, float)
        sound = all(type(one) in numbers and math.isfinite(one) for one in value or ())
        require(sound, key, value, f"a list of {'integers' if whole else 'numbers'}")
    if isinstance(value, float):
        require(math.isfinite(value), key, value, kinds[float])
    if usual is not None and not isinstance(usual, str) and last not in NULL_MEANS_ALL:
        require(value is not None, key, value, expected or type(usual).__name__)
