"""The answer of a report in a sentence or two, computed from its tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ltvm.metrics.columns import Column
from ltvm.report.cells import by_cell, cell_names
from ltvm.report.comparability import Marks
from ltvm.report.declared import columns_of, compared_metrics
from ltvm.report.differences import difference_tests, pairs, signed
from ltvm.report.hypotheses import (
    PRIMARY,
    Key,
    Outcome,
    best_cells,
    families_of_tests,
    outstanding_cells,
)
from ltvm.report.statistics import format_p, paired_difference

UNFINISHED = "Not answered yet: runs are still to come."


def answer(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    marks: Marks,
    interval: str,
    tests: Mapping[Key, Outcome] | None = None,
) -> str:
    """What the headline metrics say: of the first comparison to the reference, else of the best.

    A difference is one where its test stands after correction; where none does, it says so, which
    is not that there is none. ``tests`` as for ``differences_table``.
    """
    columns = columns_of(table)
    metrics = families_of_tests(columns, compared_metrics(columns))[PRIMARY]
    compared = list(pairs(table, manifest))
    if not metrics:
        return "No headline metric was measured."
    if not compared:
        return " ".join(best_sentences(table, manifest, metrics, columns, marks))
    cell, other = compared[0]
    if outstanding_cells(table).intersection((cell, other)):
        return UNFINISHED
    if tests is None:
        tests = difference_tests(table, manifest, compared_metrics(columns), marks)
    names = cell_names(table, manifest)
    found: dict[str, list[str]] = {"better": [], "worse": [], "neither": []}
    seeds = 0
    for metric in metrics:
        values = by_cell(table, metric)
        estimate = paired_difference(values.get(cell, {}), values.get(other, {}), interval)
        if estimate is None:
            continue
        seeds = max(seeds, estimate.n)
        test = tests.get((metric, cell))
        said = f"{columns[metric].title} {signed(estimate, False)}"
        said += f" (p {format_p(test.corrected)})" if test else ""
        better = (estimate.mean < 0) == (columns[metric].direction == "lower")
        stands = test is not None and test.stands
        found["neither" if not stands else "better" if better else "worse"].append(said)
    parts = [
        f"{words}: {'; '.join(found[verdict])}"  # titles have commas
        for verdict, words in (("better", "better"), ("worse", "worse"),
                               ("neither", "no difference that stands"))
        if found[verdict]
    ]  # fmt: skip
    said = (
        ". ".join([*parts[:1], *(part[0].upper() + part[1:] for part in parts[1:])])
        or "nothing was measured of both"
    )
    counted = f"{seeds} seed{'s' if seeds != 1 else ''}"
    corrected = "paired, p corrected for all headline comparisons" if seeds > 1 else "not tested"
    return f"“{names[cell]}” against “{names[other]}”: {said} ({counted}, {corrected})."


def best_sentences(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    metrics: list[str],
    columns: dict[str, Column],
    marks: Marks,
) -> Iterator[str]:
    """Which row is best beyond doubt in each headline metric; of several data sets, which ones."""
    if not outstanding_cells(table).isdisjoint(table["cell"]):
        yield UNFINISHED
        return
    names = cell_names(table, manifest)
    best = best_cells(table, compared_metrics(columns), columns, marks)
    for metric in metrics:
        winners = [names[cell] for found, cell in sorted(best) if found == metric]
        who = " and ".join(winners) if winners else "no row"
        yield f"Best beyond doubt in {columns[metric].title}: {who}."
