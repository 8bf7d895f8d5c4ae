"""Keys that an ablation's further cells set: swept as much as axes are, but for their grid.

``extra`` of an ablation lists cells by their overrides, such as ``method.solver=bsp,
method.alpha=0.3``. Where those set a number, a figure shows the metrics against it, a line for each
combination of the other keys; the cell that they are added to stands at its own value.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ltvm.errors import InputError
from ltvm.runs.files.reading import Files
from ltvm.runs.files.store import Run
from ltvm.runs.words import note_words

LEAST = 3  # values that make a sweep


class AddedSweep(NamedTuple):
    """``rows`` of a long table, with a column for ``key`` and for each of the ``others``."""

    method: str  # its name, and what it is called
    label: str
    key: str
    others: list[str]
    rows: pd.DataFrame


def added_sweeps(
    manifest: dict[str, Any], rows: pd.DataFrame, results: Path, files: Files
) -> Iterator[AddedSweep]:
    """One for every number that the added cells of a method set to ``LEAST`` values or more.

    The reference method has a row beside them, without the key, where it is another one. A cell
    whose configuration cannot be read is left out.
    """
    first: dict[str, dict[str, Any]] = {}
    for entry in manifest["runs"]:
        first.setdefault(entry["cell"], entry)
    there = set(rows["cell"])
    for method, data in dict.fromkeys((e["method"], e["data"]) for e in first.values()):
        own = [e for e in first.values() if (e["method"], e["data"]) == (method, data)]
        keys = list(dict.fromkeys(key for entry in own for key in keys_set(entry)))
        group = joined([entry for entry in own if entry["cell"] in there])
        values = values_of(group, keys, results, files)
        reference = [
            cell
            for cell, e in first.items()
            if group and e["method"] == manifest.get("reference") != method
            and same_but_method(e, group[0]) and not e["note"] and cell in there
        ]  # fmt: skip
        for key in keys:
            others = [other for other in keys if other != key]
            if is_sweep([own[key] for own in values.values()]):
                chosen = rows[rows["cell"].isin([*values, *reference])]
                columns = {
                    name: pd.Series([values.get(str(c), {}).get(name) for c in chosen["cell"]],
                                    index=chosen.index)
                    for name in keys
                }  # fmt: skip
                yield AddedSweep(
                    method, str(group[0]["label"]), key, others, chosen.assign(note="", **columns)
                )


def keys_set(entry: dict[str, Any]) -> list[str]:
    """What an added cell sets, but for its method: ``["method.solver", "method.alpha"]``."""
    words = note_words(entry["note"])
    return [key for key, value in words if value is not None and key != "method"]


def joined(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of one method's cells those that were added to the same one, and that."""
    added = [entry for entry in entries if keys_set(entry)]
    if not added:
        return []
    alike = [entry for entry in entries if same_but_method(entry, added[0])]
    return [entry for entry in alike if keys_set(entry) or not entry["note"]]


def same_but_method(entry: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two cells have the same values of all axes but the method, and the same data."""
    return entry["data"] == other["data"] and all(
        entry["values"].get(key) == other["values"].get(key)
        for key in {*entry["values"], *other["values"]} - {"method"}
    )


def values_of(
    entries: list[dict[str, Any]], keys: list[str], results: Path, files: Files
) -> dict[str, dict[str, Hashable]]:
    """cell -> the values of these keys, from the configuration of its first run."""
    found: dict[str, dict[str, Hashable]] = {}
    for entry in entries:
        try:
            config = Run(results / entry["path"], files).config()
        except InputError:  # said where the run itself is read
            continue
        found[entry["cell"]] = {key: value_at(config, key) for key in keys}
    return found


def value_at(config: Any, key: str) -> Hashable:
    """The value of ``method.alpha``; None where there is none, or none that a figure can name."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config if isinstance(config, str | int | float) else None


def is_sweep(values: list[Hashable]) -> bool:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(set(numbers)) >= LEAST and len(numbers) == len(values)
