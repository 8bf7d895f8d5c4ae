"""Overrides as people write them and as Hydra is given them; what is refused without composing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from hydra.errors import HydraException

from ltvm.errors import InputError, nearest
from ltvm.hydra_private import Override, parse_override

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

LISTS = ("methods", "seeds", "external")  # keys of `ltvm compare` that take one

# What others call some keys of an ablation, and the groups where a name is looked for, in turn.
OF_ABLATIONS = {"seeds": "ablation.seeds", "name": "--name", "axes": "ablation.axes"}
LIKELY = ("method", "protocol", "model", "decoder", "optimizer", "evaluation", "execution", "paths")
ALIKE = 0.8  # as alike as words are that differ by a letter or two

SIGNS = r"""[\[\]{}(),:=\\'"$]"""  # of the grammar of overrides, in a value


@lru_cache(maxsize=1024)
def parsed(override: str) -> Override:
    return parse_override(override)


def parse(overrides: Sequence[str]) -> list[tuple[str, Any]]:
    """Overrides as (key, value) pairs; raises :class:`InputError` for malformed ones."""
    found = [parsed_soundly(override) for override in overrides]
    return [(o.key_or_group, o.value()) for o in found]


def parsed_soundly(override: str) -> Override:
    """One override; raises :class:`InputError` that says what is wrong with it, or how to quote."""
    key, separator, value = override.partition("=")
    name = key.lstrip("+~")
    plain = not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in override)
    if not plain or not name or not (separator or key.startswith("~")):
        raise InputError(f"{override!r}: allowed: KEY=VALUE")
    quote = f"; quote words with signs such as , ( [ or =: '{name}=\"a,b\"' '{name}=[\"a=b\"]'"
    try:
        found = parsed(readable(override))
    except HydraException as error:
        hint = quote if re.search(SIGNS, value) and '"' not in value else ""
        raise InputError(f"{override}: cannot be read as KEY=VALUE{hint}") from error
    if found.is_sweep_override():
        raise InputError(f"{override}: several values; allowed: {one_or_list(name, value, quote)}")
    return found


def one_or_list(name: str, value: str, quote: str) -> str:
    """What is meant, perhaps, by several values without brackets.

    >>> one_or_list("methods", "vae,abp", "")
    "a list, 'methods=[vae,abp]'"
    """
    listed = f"'{name}=[{value}]'"
    if name in LISTS or name.startswith("ablation."):
        return f"a list, {listed}"
    if name == "method":
        return f"one; of several: ltvm compare 'methods=[{value}]', ltvm tune {listed}"
    return f"one (sweeps are ablations){quote}"


def refuse_repeated(overrides: Sequence[str]) -> None:
    """Raise :class:`InputError` for a group that two overrides choose from: which is meant?"""
    first: dict[str, str] = {}
    for override in overrides:
        key = override.partition("=")[0].lstrip("+")
        if is_choice(key) and key in first:
            raise InputError(f"{first[key]} {override}: allowed: one {key}=NAME")
        first[key] = override


@lru_cache(maxsize=1024)
def readable(override: str) -> str:
    """An override with its value in quotes where it is a word that the grammar does not have.

    >>> readable("paths.results=/home/zoë/two words"), readable("seed=1")
    ('paths.results="/home/zoë/two words"', 'seed=1')
    """
    key, separator, value = override.partition("=")
    if not separator or not value or re.search(r"""[\[\]{}(),\\'"$]""", value):
        return override
    try:
        parsed(override)
    except HydraException:
        return f'{key}="{value}"'
    return override


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
    override = readable(override)
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


def meant_key(key: str, beside: Collection[str], paths: Sequence[str]) -> str | None:
    """The key that was probably meant by one that there is not, if any; its own group comes first.

    ``beside`` are the names beside it, ``paths`` all keys of the configuration.

    >>> meant_key("method.step", ["size", "steps"], ["method", "method.steps", "protocol.step"])
    'method.steps'
    """
    if "ablation" in beside and key in OF_ABLATIONS:
        return OF_ABLATIONS[key]
    group, last = key.split(".")[0], key.split(".")[-1]
    names = {*beside} - {last, "name"}  # what a part is called is chosen with it
    near = nearest(last, names)
    near = near and key.removesuffix(last) + near
    if last in beside or not paths:
        return near
    dotted = group != key
    if dotted and any(path.startswith(f"{group}.") for path in paths):
        within = re.compile(rf"{re.escape(group)}\.\w+\.{re.escape(last)}")
        alike = nearest(last, names, ALIKE)
        own = next(filter(within.fullmatch, paths), alike and near)
        return own or key_named(last, paths) or near or similar_elsewhere(last, paths)
    return key_named(last, paths) or (None if dotted else near) or similar_elsewhere(last, paths)


def similar_elsewhere(name: str, paths: Collection[str]) -> str | None:
    names = [path.split(".")[1] for path in paths if path.count(".") == 1]
    similar = nearest(name, names, ALIKE)
    return similar and key_named(similar, paths)


def key_named(name: str, paths: Collection[str]) -> str | None:
    """The key of this name at the top, or in the likeliest of the groups; None if there is none.

    >>> key_named("alpha", ["method", "method.alpha"]), key_named("seed", ["seed"])
    ('method.alpha', 'seed')
    """
    if name == "name":
        return None
    likely = [name, *(f"{group}.{name}" for group in LIKELY)]
    return next((path for path in likely if path in paths), None)
