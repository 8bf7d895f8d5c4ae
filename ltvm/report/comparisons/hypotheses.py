"""What a page tests, in two families, each corrected for all of its tests.

Primary: the headline values, which their metrics declare in their code. Exploratory:
all other values that have a better direction. A family is every such metric times every
comparison of one table, and Holm's method holds the chance of any false mark in it at 5 %:
differences to the reference are one table, the best rows another, each claim's family a third.
Values without a better direction, diagnostics and curves are not tested; nor are rows with a run
that diverged, since the seeds that are left are those that went well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from statistics import fmean

import pandas as pd

from ltvm.metrics.columns import Column
from ltvm.report.comparisons.statistics import (
    CONFIDENCE,
    holm,
    is_better,
    leader,
    leader_p_value,
)
from ltvm.report.values.cells import by_cell, cells_by_data, external_cells
from ltvm.report.values.comparability import Marks
from ltvm.report.values.long_table import SAMPLER_LABEL

PRIMARY, EXPLORATORY = "primary", "exploratory"
OUTSTANDING = (
    "failed",
    "unreadable",
    "interrupted",
    "running",
    "pending",
)  # not final: may still be done

Key = tuple[str, str]  # metric, what is compared


@dataclass(frozen=True)
class Outcome:
    """One comparison's p-value, alone and corrected for its family."""

    p: float
    corrected: float
    again: bool = False  # of the very values of another comparison: one test, counted once

    @property
    def stands(self) -> bool:
        """Whether it is found at the 5 % level after correction."""
        return self.corrected < 1 - CONFIDENCE


def families_of_tests(
    columns: Mapping[str, Column], metrics: Sequence[str]
) -> dict[str, list[str]]:
    """The tested ones of ``metrics``, as primary and exploratory ones."""
    tested = [m for m in metrics if columns[m].role == "value" and columns[m].direction]
    return {
        PRIMARY: [m for m in tested if columns[m].headline],
        EXPLORATORY: [m for m in tested if not columns[m].headline],
    }


def correct(
    p_values: Mapping[Key, float | None],
    families: Mapping[str, Sequence[str]],
    same: Mapping[Key, Key] | None = None,
) -> dict[Key, Outcome]:
    """Tests by metric and comparison, by ``holm`` within each family; None is no test.

    ``same`` names those that are another one over again (a run that several rows share, say), and
    which: they have its outcome, and the family is none the larger for them.
    """
    tests: dict[Key, Outcome] = {}
    for metrics in families.values():
        found = {
            key: p
            for key, p in p_values.items()
            if key[0] in metrics and p is not None and key not in (same or {})
        }
        corrected = holm(list(found.values()))
        tests |= {k: Outcome(p, c) for (k, p), c in zip(found.items(), corrected, strict=True)}
    for key, first in (same or {}).items():
        if first in tests:
            tests[key] = replace(tests[first], again=True)
    return tests


def outstanding_cells(table: pd.DataFrame) -> set[str]:
    """Cells with runs still to come: tested then, since every early look is a chance to err."""
    return {str(cell) for cell in table[table["status"].isin(OUTSTANDING)]["cell"]}


def untested_cells(table: pd.DataFrame) -> set[str]:
    """Cells with a run that is not done: still to come, or diverged."""
    return {str(cell) for cell in table[table["status"] != "done"]["cell"]}


def best_cells(
    table: pd.DataFrame, metrics: Sequence[str], columns: Mapping[str, Column], marks: Marks
) -> set[Key]:
    """(metric, cell) of what is significantly best, corrected for the metrics and data sets."""
    p_values = best_p_values(table, metrics, columns, marks)
    tests = correct(p_values, families_of_tests(columns, metrics))
    return {key for key, test in tests.items() if test.stands}


def best_p_values(
    table: pd.DataFrame, metrics: Sequence[str], columns: Mapping[str, Column], marks: Marks
) -> dict[Key, float | None]:
    """(metric, cell with the best mean) -> p of being better than every other, not corrected.

    Only where all cells on the same data are done and their numbers are of one kind. Cells from
    elsewhere share no seed, so that nothing of them is tested; beside a better one nothing is best.
    Rows that sample from a density compete where they have a value: reconstruction has their run's.
    """
    external = external_cells(table)
    unfinished = untested_cells(table)
    families = families_of_tests(columns, metrics)
    of_data = own_and_external(table, external)
    aside = cells_with_a_density(table)
    p_values: dict[Key, float | None] = {}
    for metric in [m for names in families.values() for m in names]:
        direction = columns[metric].direction
        assert direction is not None, "a tested metric has one"
        values = by_cell(table, metric)
        for own, beside in of_data:
            cells = [cell for cell in own if cell in values or cell not in aside]
            outside = [values[cell] for cell in beside if cell in values]
            done = all(cell not in unfinished and cell in values for cell in cells)
            if cells and done and marks.alike([*cells, *beside], metric):
                competing = {cell: values[cell] for cell in cells}
                best = leader(competing, direction)
                if best is None or any(
                    is_better(fmean(other.values()), fmean(competing[best].values()), direction)
                    for other in outside
                ):
                    continue
                p_values[metric, best] = leader_p_value(competing, best, direction)
    return p_values


def own_and_external(table: pd.DataFrame, external: Set[str]) -> list[tuple[list[str], list[str]]]:
    """Cells that compete, and beside them those from elsewhere on images of that name."""
    groups = cells_by_data(table)
    outside: dict[str, list[str]] = {}
    for data, cells in groups:
        outside.setdefault(data, []).extend(cell for cell in cells if cell in external)
    own = [(data, [cell for cell in cells if cell not in external]) for data, cells in groups]
    return [(cells, outside[data]) for data, cells in own if cells]


def cells_with_a_density(table: pd.DataFrame) -> set[str]:
    """Cells that sample from a density in place of the method's prior."""
    if SAMPLER_LABEL not in table:
        return set()
    return {str(cell) for cell in table[table[SAMPLER_LABEL].notna()]["cell"]}
