"""Differences to the reference along training: where in the budget a row is ahead, and where not.

histories -> curves at shares of the reference's FLOPs, paired by seed -> differences

Descriptions: points of one curve depend on each other, and none of them is tested. Curves are of
runs that are done; where others diverged it is said of how many seeds a difference is.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ltvm.report.comparisons.differences import signed
from ltvm.report.comparisons.statistics import INTERVALS
from ltvm.report.comparisons.time_to_quality import Measured, compared_cells, value_at
from ltvm.report.values.cells import cell_names, trained_rows

SHARES = (0.25, 0.5, 0.75, 1.0)  # of what the reference spends


def along_table(
    found: Measured, table: pd.DataFrame, manifest: dict[str, Any], interval: str = "t"
) -> pd.DataFrame | None:
    """A row per cell that has another for its reference, a column per share; None without any."""
    rows_of = trained_rows(table)
    names, rows = cell_names(rows_of, manifest), []
    for cell, reference in compared_cells(rows_of, manifest).items():
        if cell == reference:
            continue
        row = {"cell": names[cell]}
        for share in SHARES:
            differences = differences_at(found, cell, reference, share)
            text = signed(INTERVALS[interval](differences), bold=False) if differences else "-"
            lost = {*found.lost.get(cell, ()), *found.lost.get(reference, ())}
            seeds = f" ({len(differences)} of {len(differences) + len(lost)} seeds)"
            row[f"at {100 * share:.0f} %"] = text + seeds * bool(lost and differences)
        rows.append(row)
    shown = pd.DataFrame([row for row in rows if any(t != "-" for t in list(row.values())[1:])])
    return shown if len(shown) else None


def differences_at(found: Measured, cell: str, reference: str, share: float) -> list[float]:
    """Cell minus reference at every shared seed; none where one of them was not measured there."""
    own, others = found.of(cell), found.of(reference)
    differences = []
    for seed in sorted(set(own) & set(others)):
        at = share * float(others[seed]["flops"].iloc[-1])
        pair = [
            value_at(part["flops"].tolist(), part[found.curve].tolist(), at)
            for part in (own[seed], others[seed])
        ]
        if pair[0] is None or pair[1] is None:
            return []
        differences.append(pair[0] - pair[1])
    return differences
