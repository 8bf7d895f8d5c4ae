"""Every cell against the reference method, on shared seeds: differences and improvement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ltvm.report.cells import by_cell, cell_names, swept_keys
from ltvm.report.comparability import MIXED, Marks
from ltvm.report.declared import columns_of, headings
from ltvm.report.statistics import (
    Estimate,
    Improvement,
    decides,
    format_estimate,
    paired_difference,
    probability_of_improvement,
    significant,
)


def pairs(table: pd.DataFrame, manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(cell, its reference): the first cell of the reference method, other swept keys equal.

    Cells without one, such as a baseline beside a swept key, are left out.
    """
    reference = manifest.get("reference")
    keys = ["data", *swept_keys(manifest)]
    cells = table.drop_duplicates("cell").set_index("cell")
    for cell, row in cells.iterrows():
        if row["method"] == reference:
            continue
        equal = (cells[keys] == row[keys]) | (cells[keys].isna() & row[keys].isna())
        same = cells[(cells["method"] == reference) & equal.all(axis=1)]
        if not same.empty:
            yield str(cell), str(same.index[0])


def differences_table(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    metrics: list[str],
    marks: Marks | None = None,
    interval: str = "t",
) -> pd.DataFrame | None:
    """Paired differences to the reference on shared seeds; None without a reference.

    ``metrics`` are those of which a difference says something (``declared.compared_metrics``).
    A difference is in ``**`` where ``significant`` finds one, which corrects for many
    comparisons of a column. Numbers that a sweep makes different things are not subtracted.
    """
    marks = marks or Marks()
    compared = list(pairs(table, manifest))
    names = cell_names(table, manifest)
    titles = headings(columns_of(table))
    columns = {"cell": [names[cell] for cell, _ in compared]}
    for metric in metrics:
        values = by_cell(table, metric)
        allowed = [marks.pair(metric, cell, other) for cell, other in compared]
        numbers = [
            (values.get(cell, {}), values.get(other, {}) if subtract else {})
            for (cell, other), (subtract, _) in zip(compared, allowed, strict=True)
        ]
        columns[titles[metric]] = [
            signed(estimate, bold and MIXED not in signs, signs) if estimate else "-"
            for estimate, bold, (_, signs) in zip(
                [paired_difference(first, second, interval) for first, second in numbers],
                significant(numbers),
                allowed,
                strict=True,
            )
        ]
    return pd.DataFrame(columns) if compared else None


def signed(estimate: Estimate, bold: bool, signs: str = "") -> str:
    text = format_estimate(estimate, bold, signs)
    return (
        text if estimate.mean < 0 else text.replace("**", "**+", 1) if "**" in text else "+" + text
    )


def improvement_table(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    metrics: list[str],
    marks: Marks | None = None,
) -> pd.DataFrame | None:
    """The probability of being better than the reference at the same seed, with its interval.

    For metrics that have a better direction. None where no comparison has seeds enough that
    its interval could exclude one half.
    """
    marks = marks or Marks()
    compared = list(pairs(table, manifest))
    names = cell_names(table, manifest)
    declared = columns_of(table)
    titles = headings(declared)
    columns = {"cell": [names[cell] for cell, _ in compared]}
    enough = False
    for metric in metrics:
        direction = declared[metric].direction
        if direction is None:
            continue
        values = by_cell(table, metric)
        texts = []
        for cell, other in compared:
            subtract, signs = marks.pair(metric, cell, other)
            first, second = values.get(cell, {}), values.get(other, {})
            found = probability_of_improvement(first, second, direction) if subtract else None
            enough = enough or (found is not None and decides(found.n))
            texts.append(improvement_text(found, signs))
        columns[titles[metric]] = texts
    return pd.DataFrame(columns) if enough else None


def improvement_text(found: Improvement | None, signs: str = "") -> str:
    """``0.83 [0.36, 1.00]``"""
    if found is None:
        return "-"
    text = f"{found.probability:.2f} [{found.low:.2f}, {found.high:.2f}]"
    return f"{text} {signs}" if signs else text
