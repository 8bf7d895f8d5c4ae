"""What pages and rows are called: a method with its sampler, and what is set otherwise in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ltvm.config import choices, compose_raw, resolve
from ltvm.errors import InputError
from ltvm.report.leaderboard.entries import SPENT, Entry, Json
from ltvm.report.values.cells import value_text
from ltvm.report.values.flat import flatten
from ltvm.runs.identity import NOT_TRAINING, pruned

SAID = 4  # settings in a row's name; all of them stand in its provenance
USUAL = "flops"  # the currency that a page's name does not say
OF_TERMS = (
    "data", "protocol.name", *(f"protocol.{key}" for key in (*SPENT, "equal", "seconds")),
    "precision", "validation_images", "method.name", "distributed",
)  # fmt: skip


def settings_of(entry: Entry) -> dict[str, str]:
    """key -> value of what an entry sets otherwise than its method does by default here.

    Empty where this installation has no such data set, method or protocol: then nothing is known.
    """
    names = (entry.config["data"]["name"], entry.config["method"]["name"],
             entry.record.get("protocol"))  # fmt: skip
    usual = defaults_of(*map(str, names))
    if usual is None:
        return {}
    own = flatten(pruned(entry.config, NOT_TRAINING))
    changed = {key: value for key, value in own.items() if usual.get(key) != value}
    parts = [key.removesuffix("._part_") for key in changed if key.endswith("._part_")]
    found = {part: str(own[f"{part}._part_"]).strip("[]'") for part in parts}
    for key, value in changed.items():
        of_part = any(key.startswith(f"{part}.") for part in parts)
        if not of_part and not is_of_terms(key):
            found[key] = value_text(value)
    return {key: value for key, value in found.items() if not is_of_terms(key)}


def is_of_terms(key: str) -> bool:
    return any(key == own or key.startswith(f"{own}.") for own in OF_TERMS)


@lru_cache(maxsize=256)
def defaults_of(data: str, method: str, protocol: str) -> Json | None:
    """A method's flat configuration with nothing set; None where there is no such here."""
    config = resolved(data, method, protocol)
    return None if config is None else flatten(pruned(config, NOT_TRAINING))


@lru_cache(maxsize=256)
def resolved(data: str, method: str, protocol: str) -> Json | None:
    chosen = {"data": data, "method": method, "protocol": protocol}
    try:
        if any(name not in choices(group) for group, name in chosen.items()):
            return None
        return resolve([f"{group}={name}" for group, name in chosen.items()])
    except InputError:  # such as a method that this data set has no encoder for
        return None


def overrides_of(terms: Json, entry: Entry) -> list[str]:
    """What a command says to train on terms that ``entry`` was trained on."""
    named = [f"{key}={terms[key]}" for key in ("data", "protocol") if terms[key]]
    chosen = (terms["data"], entry.config["method"]["name"], terms["protocol"])
    usual = flatten(resolved(*map(str, chosen)) or {})
    keys = ["equal", *SPENT, "test_images", *(["seconds"] if terms["equal"] == "seconds" else [])]
    protocol = entry.config.get("protocol") or {}
    own = {f"protocol.{key}": protocol[key] for key in keys if key in protocol}
    own |= {key: terms[key] for key in terms if key.startswith("data.") and "._part_" not in key}
    changed = {key: value for key, value in own.items() if key in usual and usual[key] != value}
    return [*named, *(f"{key}={'null' if v is None else v}" for key, v in changed.items())]


@lru_cache(maxsize=64)
def sampler_label(name: str) -> str:
    """``GMM`` for ``gmm``, where this installation has it."""
    if name not in choices("sampler"):
        return name
    return str(compose_raw([f"sampler={name}"]).sampler.get("label") or name)


def row_label(entry: Entry, sampler: str | None) -> str:
    """``VAE``, ``VAE + GMM``"""
    label = str(entry.record.get("label") or entry.config["method"]["name"])
    return label if sampler is None else f"{label} + {sampler_label(sampler)}"


def row_names(first: Mapping[str, Entry], samplers: Mapping[str, str | None]) -> dict[str, str]:
    """row -> ``VAE + GMM, learning_rate = 0.001``; equal ones also say precision, or identity.

    ``first`` has an entry of every row, ``samplers`` its sampler's name.
    """
    names = {}
    for row, entry in first.items():
        texts = [f"{k.split('.', 1)[-1]} = {v}" for k, v in settings_of(entry).items()]
        more = [f"and {len(texts) - SAID} more"] if len(texts) > SAID else []
        names[row] = ", ".join([row_label(entry, samplers[row]), *texts[:SAID], *more])
    for tell_apart in (lambda e: e.record.get("precision"), lambda e: f"[{e.identity}]"):
        count = Counter(names.values())
        several = {name for name, number in count.items() if number > 1}
        names = {
            row: f"{name}, {tell_apart(first[row])}" if name in several else name
            for row, name in names.items()
        }
    return names


def page_titles(groups: Sequence[Json]) -> list[str]:
    """``mnist5k, small``; of several with that title the later ones say what is otherwise."""
    titles, first = [], dict[str, Json]()
    for terms in groups:
        equal = terms["equal"]
        title = f"{terms['data']}, {terms['protocol'] or 'no protocol'}"
        title += f", equal {equal}" if equal not in (None, USUAL) else ""
        usual = first.setdefault(title, terms)
        if usual is not terms:
            keys = [key for key in {**usual, **terms} if usual.get(key) != terms.get(key)]
            title += "".join(f", {key} = {short(terms.get(key))}" for key in keys)
        titles.append(title)
    return titles


def short(value: Any) -> str:
    """A value in a title; of a hash its first digits."""
    text = value_text(value)
    return text[:8] if re.fullmatch(r"[0-9a-f]{64}", text) else text


def file_names(titles: Sequence[str]) -> list[str]:
    """``mnist5k-small``: names of files, each another."""
    names: list[str] = []
    for title in titles:
        plain = re.sub(r"[^\w=.]+", "-", title.replace(" = ", "="), flags=re.ASCII)
        name = plain.strip("-.")[:100] or "page"
        number = 1 + sum(other == name or other.startswith(f"{name}~") for other in names)
        names.append(name if number == 1 else f"{name}~{number}")
    return names
