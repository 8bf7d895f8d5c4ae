"""Prior gaps that are lower from the wrong side: the rule, and what a page says of them.

    prior_gap = <distance> - <distance>_decoded          (metrics/generation/frechet.py)

A gap has no better direction: it falls, too, where images decoded from inferred codes get worse
while prior samples get no better. The names are the contract of whoever measures them; that the
values add up is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from ltvm.report.comparisons.differences import pairs, signed
from ltvm.report.comparisons.hypotheses import outstanding_cells
from ltvm.report.comparisons.statistics import paired_difference, shared_differences
from ltvm.report.values.cells import by_cell, cell_names
from ltvm.report.values.comparability import Marks
from ltvm.report.values.declared import columns_of, headings

GAP, DECODED = "prior_gap", "_decoded"
NAMED = 4  # rows whose numbers are said
ROUNDING = 1e-6  # of the distances


class WrongSide(NamedTuple):
    """A row whose gap is below its reference's while ``distance`` of prior samples is not."""

    cell: str
    other: str
    distance: str


def wrong_sides(table: pd.DataFrame, manifest: dict[str, Any], marks: Marks) -> list[WrongSide]:
    """By the means of differences at shared seeds; not of rows with runs still to come."""
    columns = columns_of(table)
    measured = [name for name in columns if name + DECODED in columns] if GAP in columns else []
    waiting = outstanding_cells(table) if measured else set()
    compared = [pair for pair in pairs(table, manifest) if waiting.isdisjoint(pair)]
    return [
        WrongSide(*pair, name) for name in measured for pair in compared
        if is_wrong_side(table, name, pair, marks)
    ]  # fmt: skip


def is_wrong_side(table: pd.DataFrame, distance: str, pair: tuple[str, str], marks: Marks) -> bool:
    means = []
    for metric in (GAP, distance, distance + DECODED):
        first, second = (by_cell(table, metric).get(cell, {}) for cell in pair)
        differences = shared_differences(first, second)
        if not differences or not marks.pair(metric, *pair)[0]:
            return False
        means.append(sum(differences) / len(differences))
    gap, sampled, decoded = means
    error = abs(gap - (sampled - decoded))
    return gap < 0 <= sampled and error <= ROUNDING * (abs(sampled) + abs(decoded))


def wrong_side_texts(
    table: pd.DataFrame, manifest: dict[str, Any], marks: Marks, interval: str
) -> Iterator[str]:
    """A text for each distance, with the differences of the first rows."""
    found, names = wrong_sides(table, manifest, marks), cell_names(table, manifest)
    titles = headings(columns_of(table))
    for distance in dict.fromkeys(one.distance for one in found):
        own = [one for one in found if one.distance == distance]
        of_rows = [
            [difference_text(table, metric, one, interval) for one in own[:NAMED]]
            for metric in (GAP, distance, distance + DECODED)
        ]
        gaps, sampled, decoded = of_rows
        rows = [f"“{names[one.cell]}” ({gap})" for one, gap in zip(own[:NAMED], gaps, strict=True)]
        more = [f"and {len(own) - NAMED} more"] if len(own) > NAMED else []
        yield (
            "The prior gap is lower than the reference's from the wrong side for "
            f"{', '.join([*rows, *more])}: by its mean, {titles[distance]} of prior samples is not "
            f"lower there ({', '.join(sampled)}), and that of images decoded from inferred codes "
            f"is higher ({', '.join(decoded)}). Such a gap is no better generation."
        )


def difference_text(table: pd.DataFrame, metric: str, row: WrongSide, interval: str) -> str:
    values = by_cell(table, metric)
    estimate = paired_difference(values[row.cell], values[row.other], interval)
    assert estimate is not None, "it was found at shared seeds"
    return signed(estimate, False)
