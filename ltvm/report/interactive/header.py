"""What a report says above its numbers: methods, how much was run on what, what a run spends."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import pandas as pd

from ltvm.report.sentences.answer import counted
from ltvm.report.values.cells import by_cell

SPENT = {"passes": "passes per image", "flops": "FLOP", "training_seconds": "s of training"}


def methods_of(manifest: dict[str, Any], shown: Collection[str]) -> dict[str, str]:
    """label -> what the method is, of these methods in their order, where anything says."""
    entries = [entry for entry in manifest["runs"] if entry["method"] in shown]
    return {
        entry["label"] or entry["method"]: entry["about"] for entry in entries if entry.get("about")
    }


def budget_texts(table: pd.DataFrame) -> list[str]:
    """Runs done and their protocol; what a run spends."""
    return [runs_text(table), *spent_texts(table)]


def runs_text(table: pd.DataFrame) -> str:
    runs = table.drop_duplicates(["cell", "seed"])
    seeds = sorted({int(seed) for seed in runs["seed"]})
    done, rows = int((runs["status"] == "done").sum()), runs["cell"].nunique()
    parts = [f"{counted(rows, 'row')}, seed{'s' if len(seeds) > 1 else ''} {spans(seeds)}"]
    for words, column in (("protocol", "protocol"), ("data", "data"), ("on", "device")):
        found = list(table[column].dropna().unique()) if column in table else []
        text = ", ".join(map(str, found)).replace(", 1 threads", ", 1 thread")
        parts += [f"{words} {text}"] if found else []
    return f"{done} of {len(runs)} runs are done: {'; '.join(parts)}."


def spans(numbers: list[int]) -> str:
    """``0 to 4`` of neighbours, else all of them.

    >>> spans([0, 1, 2]), spans([1, 4]), spans([3])
    ('0 to 2', '1, 4', '3')
    """
    first, last = numbers[0], numbers[-1]
    if len(numbers) > 2 and numbers == list(range(first, last + 1)):
        return f"{first} to {last}"
    return ", ".join(map(str, numbers))


def amount(value: float) -> str:
    """Three digits; all of them before the point, up to a million.

    >>> [amount(value) for value in (24.53, 767.4, 1088.0, 1.494e14)]
    ['24.5', '767', '1,088', '1.49e14']
    """
    if 1000 <= value < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3g}".replace("e+", "e")


def spent_texts(table: pd.DataFrame) -> Iterator[str]:
    """What runs of the rows spend, from the least to the most."""
    parts = []
    for metric, unit in SPENT.items():
        means = [sum(v.values()) / len(v) for v in by_cell(table, metric).values()]
        if means:
            low, high = (amount(value) for value in (min(means), max(means)))
            parts.append(f"{low if low == high else f'{low} to {high}'} {unit}")
    if parts:
        yield f"A run spends {', '.join(parts)}."
