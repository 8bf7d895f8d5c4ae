"""What the page says above its numbers: how much was run, on what, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ltvm.report.cells import by_cell, cell_names
from ltvm.report.costs import COSTS
from ltvm.report.declared import columns_of
from ltvm.report.differences import pairs
from ltvm.report.statistics import INTERVALS, format_estimate
from ltvm.report.terms import equal_text

SPENT = {"passes": "passes per image", "flops": "FLOP", "training_seconds": "s of training"}


def budget_texts(table: pd.DataFrame, manifest: dict[str, Any], interval: str) -> list[str]:
    """Runs done and their protocol; what a run spends; what the compared rows took."""
    texts = [runs_text(table), *spent_texts(table), *pair_texts(table, manifest, interval)]
    return [text for text in texts if text]


def runs_text(table: pd.DataFrame) -> str:
    runs = table.drop_duplicates(["cell", "seed"])
    seeds = sorted({int(seed) for seed in runs["seed"]})
    done, rows = int((runs["status"] == "done").sum()), runs["cell"].nunique()
    parts = [f"{counted(rows, 'row')}, seed{'s' if len(seeds) > 1 else ''} {spans(seeds)}"]
    for words, column in (("protocol", "protocol"), ("data", "data"), ("on", "device")):
        found = list(table[column].dropna().unique()) if column in table else []
        parts += [f"{words} {', '.join(map(str, found))}"] if found else []
    return f"{done} of {len(runs)} runs are done: {'; '.join(parts)}."


def counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def spans(numbers: list[int]) -> str:
    """``0 to 4`` of neighbours, else all of them.

    >>> spans([0, 1, 2]), spans([1, 4]), spans([3])
    ('0 to 2', '1, 4', '3')
    """
    first, last = numbers[0], numbers[-1]
    if len(numbers) > 2 and numbers == list(range(first, last + 1)):
        return f"{first} to {last}"
    return ", ".join(map(str, numbers))


def spent_texts(table: pd.DataFrame) -> Iterator[str]:
    """What runs of the rows spend, from the least to the most, and what is equal."""
    parts = []
    for metric, unit in SPENT.items():
        means = [sum(v.values()) / len(v) for v in by_cell(table, metric).values()]
        if means:
            low, high = (f"{value:.3g}".replace("e+", "e") for value in (min(means), max(means)))
            parts.append(f"{low if low == high else f'{low} to {high}'} {unit}")
    if parts:
        yield f"A run spends {', '.join(parts)}."
    yield equal_text(table).replace("`", "").strip()


def pair_texts(table: pd.DataFrame, manifest: dict[str, Any], interval: str) -> Iterator[str]:
    """What training took in the row that the answer is about, and in its reference."""
    compared, seconds = next(iter(pairs(table, manifest)), None), by_cell(table, "training_seconds")
    if compared is None or not all(cell in seconds for cell in compared):
        return
    names = cell_names(table, manifest)
    own, other = (
        format_estimate(INTERVALS[interval](list(seconds[cell].values()))) for cell in compared
    )
    title = columns_of(table).get("training_seconds", COSTS["training_seconds"]).title
    yield f"Cost ({title}): “{names[compared[0]]}” {own}, “{names[compared[1]]}” {other}."
