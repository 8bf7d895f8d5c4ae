"""Reconstruction against generation: the rows that no other is as good as in both.

Of the first headline metric of either family that has a better direction. A row is on the frontier
at a seed unless another row is at least as good in both there, and better in one. A row with a run
that diverged counts so many seeds the fewer. Means are over the seeds that all rows have; a row
with a run that is not done has no part in their frontier.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import pandas as pd

from ltvm.metrics.columns import Column
from ltvm.report.comparisons.hypotheses import untested_cells
from ltvm.report.comparisons.statistics import INTERVALS, format_estimate
from ltvm.report.values.cells import by_cell, cell_names, cells_by_data, external_cells
from ltvm.report.values.comparability import Marks, is_tested
from ltvm.report.values.declared import columns_of, headings

FEWEST, MOST = 3, 100  # rows
FAMILIES = ("generation", "reconstruction")
Point = tuple[float, ...]  # a value of either metric
BySeed = dict[int, Point]


@dataclass(frozen=True)
class Traded:
    """Both values of all rows on one data set, at the seeds that have both."""

    metrics: tuple[str, str]
    columns: tuple[Column, Column]
    points: dict[str, BySeed]  # by cell
    lost: Mapping[str, int] = field(default_factory=dict)  # cell -> runs that diverged
    unfinished: Set[str] = frozenset()  # cells with a run that is not done

    def means(self) -> dict[str, Point]:
        """Of the cells all of whose runs went well, over the seeds that these have in common."""
        whole = {cell: own for cell, own in self.points.items() if cell not in self.unfinished}
        seeds = set.intersection(*map(set, whole.values())) if whole else set()
        of_seeds = {cell: [own[seed] for seed in seeds] for cell, own in whole.items() if seeds}
        return {cell: tuple(map(fmean, zip(*own, strict=True))) for cell, own in of_seeds.items()}

    def at(self, seed: int) -> dict[str, Point]:
        return {cell: own[seed] for cell, own in self.points.items() if seed in own}

    def on_frontier(self, points: Mapping[str, Point], marks: Marks) -> set[str]:
        """The cells of ``points`` that no other, of those they compare with, is as good as."""
        better = {cell: self.downwards(point) for cell, point in points.items()}
        return {
            cell
            for cell, own in better.items()
            if not any(
                dominates(better[other], own)
                and all(of_one_kind(marks, metric, cell, other) for metric in self.metrics)
                for other in better
                if other != cell
            )
        }

    def downwards(self, point: Point) -> Point:
        """With signs, so that less is better."""
        signs = [1 if column.direction == "lower" else -1 for column in self.columns]
        return tuple(sign * value for sign, value in zip(signs, point, strict=True))


def of_one_kind(marks: Marks, metric: str, cell: str, other: str) -> bool:
    """Whether one row may be ahead of another: numbers of one kind, on equal terms."""
    subtract, signs = marks.pair(metric, cell, other)
    return subtract and is_tested(signs)


def dominates(first: Point, second: Point) -> bool:
    """Whether the first is at most the second in all, and less in one.

    >>> dominates((1, 2), (1, 3)), dominates((1, 2), (1, 2)), dominates((0, 4), (1, 3))
    (True, False, False)
    """
    return first != second and all(a <= b for a, b in zip(first, second, strict=True))


def traded_metrics(columns: Mapping[str, Column]) -> tuple[str, str] | None:
    """The metrics of the two axes; None where either is absent."""
    chosen = [name for name, column in columns.items() if column.headline and column.direction]
    firsts = [next((n for n in chosen if columns[n].family == one), None) for one in FAMILIES]
    return None if firsts[0] is None or firsts[1] is None else (firsts[0], firsts[1])


def traded(table: pd.DataFrame) -> list[Traded]:
    """What there is for each data set; a row without an error of its own has its run's."""
    columns = columns_of(table)
    metrics = traded_metrics(columns)
    groups = [cells for _, cells in cells_by_data(table) if FEWEST <= len(cells) <= MOST]
    if metrics is None or not groups:
        return []
    generated, errors = by_cell(table, metrics[0]), errors_of(table, metrics[1])
    outside, found = external_cells(table), []
    diverged = table[table["status"] == "diverged"].drop_duplicates(["cell", "seed"])
    lost = {str(cell): int(n) for cell, n in diverged["cell"].value_counts().items()}
    for cells in groups:
        points: dict[str, BySeed] = {
            cell: {
                seed: (value, errors[cell, seed])
                for seed, value in generated.get(cell, {}).items()
                if (cell, seed) in errors
            }
            for cell in cells
            if cell not in outside
        }
        points = {cell: by_seed for cell, by_seed in points.items() if by_seed}
        if len(points) >= FEWEST:
            both = (columns[metrics[0]], columns[metrics[1]])
            found.append(Traded(metrics, both, points, lost, untested_cells(table)))
    return found


def errors_of(table: pd.DataFrame, metric: str) -> dict[tuple[str, int], float]:
    """(cell, seed) -> its own value, or else the one that its run has in another row.

    Rows that sample from a density have none of their own: samples have no part in it.
    """
    found = by_cell(table, metric)
    own = {(cell, seed): value for cell, of in found.items() for seed, value in of.items()}
    places = table.drop_duplicates(["cell", "seed"])
    paths = {
        (str(cell), int(seed)): path
        for cell, seed, path in zip(places["cell"], places["seed"], places["path"], strict=True)
    }
    of_runs = {paths[place]: value for place, value in own.items()}
    return {place: of_runs[path] for place, path in paths.items() if path in of_runs} | own


def trade_off_table(
    table: pd.DataFrame, manifest: dict[str, Any], marks: Marks, interval: str = "t"
) -> pd.DataFrame | None:
    """Every row with both values: at how many of its seeds it is on the frontier; and of means."""
    names, titles, rows = cell_names(table, manifest), headings(columns_of(table)), []
    for found in traded(table):
        seeds = sorted({seed for own in found.points.values() for seed in own})
        fronts = {seed: found.on_frontier(found.at(seed), marks) for seed in seeds}
        of_means = found.on_frontier(found.means(), marks)
        for cell, own in found.points.items():
            values = zip(found.metrics, zip(*own.values(), strict=True), strict=True)
            on = sum(cell in fronts[seed] for seed in own)
            rows.append(
                {"cell": names[cell]}
                | {titles[m]: format_estimate(INTERVALS[interval](list(v))) for m, v in values}
                | {
                    "on the frontier": f"{on} of {len(own) + found.lost.get(cell, 0)} seeds",
                    "of the means": "yes" if cell in of_means else "-",
                }
            )
    return pd.DataFrame(rows) if rows else None
