"""Claims that an ablation stated beforehand, judged by its records.

A difference is taken in the claimed direction, paired by seed, and tested by the two-sided paired t
test at the 5 % level, corrected by Holm's method over the claims of one family: all that are asked
here, also those that have no answer yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ltvm.metrics.columns import Column
from ltvm.report.comparisons.differences import signed
from ltvm.report.comparisons.hypotheses import outstanding_cells, untested_cells
from ltvm.report.comparisons.power import needed_text, percent
from ltvm.report.comparisons.statistics import (
    CONFIDENCE,
    Estimate,
    decides,
    format_p,
    has_spread,
    holm,
    mean_interval,
    paired_p_value,
    shared_differences,
)
from ltvm.report.values.cells import by_cell, cell_names, external_cells, runs_texts
from ltvm.report.values.comparability import MIXED, Marks
from ltvm.report.values.declared import columns_of, headings
from ltvm.runs.ablations.claims import Claim, claims_of, compared, text_of_row, why_not_asked

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided here"
PENDING = "not answered yet"
ABSENT = "not asked here"
CLAIMS = (
    "Each as the ablation states it, judged by the difference of its rows, paired by seed "
    "(interval: 95 % Student t, not adjusted). Supported: p of the two-sided paired t test is "
    "below 0.05 after Holm's adjustment over the claims of its family, and the mean difference is "
    "at least the smallest of interest, where it has a % a share of the second row's mean. "
    "Refuted: the interval has no difference of that size in the claimed direction. Undecided "
    "here: everything else, and where a run of either row diverged: a miss, that no other seed "
    "makes up for. "
    "Where runs were begun before the day on which a claim was stated, that is said."
)


Cells = tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """The differences of a claim's rows over their shared seeds, and the other row's mean.

    ``spread``: whether the differences differ, by more than rounding.
    """

    differences: tuple[float, ...]
    reference: float
    p: float | None
    spread: bool = True

    @property
    def estimate(self) -> Estimate:
        return mean_interval(self.differences)


@dataclass(frozen=True)
class Judged:
    """A claim with the cells of either side, what was measured of them, and the verdict with its
    reason. A side has several cells, in the same order, where a claim is of a mean over rows.
    """

    claim: Claim
    cells: tuple[Cells, Cells] | None
    compared: Compared | None
    corrected: float | None
    verdict: str
    reason: str = ""

    @property
    def decided(self) -> bool:
        return self.verdict in (SUPPORTED, REFUTED)


def verdict(estimate: Estimate, corrected: float, interest: float, falls: bool) -> str:
    """What a difference says of a claim.

    ``interest`` is the smallest difference of interest, above 0; ``falls``: the claim is that the
    difference is below 0. Supported: adjusted p below 0.05, and the mean at least as far in the
    claimed direction. Refuted: the 95 % interval has no difference of interest in that direction.

    >>> verdict(Estimate(-60.0, 20.0, 5), 0.01, 50.0, falls=True)
    'supported'
    >>> verdict(Estimate(-20.0, 20.0, 5), 0.05, 50.0, falls=True)
    'refuted'
    >>> verdict(Estimate(-60.0, 90.0, 5), 0.13, 50.0, falls=True)
    'undecided here'
    """
    towards = -estimate.mean if falls else estimate.mean
    below, above = estimate.errors
    most = towards + (below if falls else above)
    if corrected < 1 - CONFIDENCE and towards >= interest:
        return SUPPORTED
    if estimate.n > 1 and most < interest:
        return REFUTED
    return UNDECIDED


def judged_claims(
    table: pd.DataFrame, manifest: Mapping[str, Any], marks: Marks | None = None
) -> list[Judged]:
    """Every claim of a manifest, in its order."""
    marks, columns = marks or Marks(), columns_of(table)
    claims = claims_of(list(manifest.get("claims", [])))
    found = [look_up(claim, table, manifest, marks, columns) for claim in claims]
    corrected = corrected_by_family(found)
    return [
        judge(one, p, columns) if one.verdict == "" else one
        for one, p in zip(found, corrected, strict=True)
    ]


def look_up(
    claim: Claim,
    table: pd.DataFrame,
    manifest: Mapping[str, Any],
    marks: Marks,
    columns: Mapping[str, Column],
) -> Judged:
    """A claim's rows and their differences; its verdict is empty where these have to tell."""
    found = compared(claim, manifest["runs"])
    if why := why_not_asked(claim, found):
        return Judged(claim, None, None, None, ABSENT, why)
    sides = tuple(one for (one,), _ in found.values()), tuple(one for _, (one,) in found.values())
    if why_not := unasked(claim, sides, table, columns):
        return Judged(claim, sides, None, None, *why_not)
    for pair_of in zip(*sides, strict=True):
        subtract, signs = marks.pair(claim.metric, *pair_of)
        if not subtract or MIXED in signs:
            return Judged(claim, sides, None, None, UNDECIDED, "values of different kinds")
    first, second = (means(by_cell(table, claim.metric), cells) for cells in sides)
    shared = sorted(set(first) & set(second))
    if len(shared) < 2:
        return Judged(claim, sides, None, None, UNDECIDED, f"{len(shared)} shared seeds")
    reference = float(np.mean([second[seed] for seed in shared]))
    differences = tuple(shared_differences(first, second))
    p, spread = paired_p_value(first, second), has_spread(first, second)
    measured = Compared(differences, reference, p, spread)
    return Judged(claim, sides, measured, None, "")


def unasked(
    claim: Claim, sides: tuple[Cells, Cells], table: pd.DataFrame, columns: Mapping[str, Column]
) -> tuple[str, str] | None:
    """(verdict, reason) of a claim whose rows cannot be compared; None where they can."""
    cells = [*sides[0], *sides[1]]
    if claim.metric not in columns:
        return ABSENT, f"{claim.metric} was not measured"
    if columns[claim.metric].direction is None:
        return ABSENT, f"{claim.metric} has no better direction"
    if outstanding_cells(table).intersection(cells):
        return PENDING, "runs are still to come"
    if external_cells(table).intersection(cells):
        return ABSENT, "a row from elsewhere shares no seed"
    if lost := untested_cells(table).intersection(cells):
        counts = runs_texts(table)
        why = ", ".join(counts[cell] for cell in cells if cell in lost)
        return UNDECIDED, f"runs diverged: {why}"
    return None


def means(values: Mapping[str, Mapping[int, float]], cells: Cells) -> dict[int, float]:
    """The mean over ``cells`` at every seed at which all of them have a value."""
    of_cells = [values.get(cell, {}) for cell in cells]
    seeds = set(of_cells[0]).intersection(*of_cells[1:])
    return {seed: float(np.mean([one[seed] for one in of_cells])) for seed in sorted(seeds)}


def corrected_by_family(found: Sequence[Judged]) -> list[float]:
    """p of every claim after Holm's adjustment; one that is asked and not answered counts as 1."""
    corrected = [1.0] * len(found)
    for family in dict.fromkeys(one.claim.tested_with for one in found):
        asked = [
            place
            for place, one in enumerate(found)
            if one.claim.tested_with == family and one.verdict != ABSENT
        ]
        known = [found[place].compared for place in asked]
        p_values = [1.0 if c is None or c.p is None else c.p for c in known]
        for place, p in zip(asked, holm(p_values), strict=True):
            corrected[place] = p
    return corrected


def judge(found: Judged, corrected: float, columns: Mapping[str, Column]) -> Judged:
    claim, measured = found.claim, found.compared
    assert measured is not None, "what has no differences has its verdict"
    lower_is_better = columns[claim.metric].direction == "lower"
    falls = lower_is_better == (claim.expected == "better")
    interest = claim.smallest * (1.0 if claim.absolute else abs(measured.reference))
    if why := undecidable(measured, interest):
        return Judged(claim, found.cells, measured, corrected, UNDECIDED, why)
    word = verdict(measured.estimate, corrected, interest, falls)
    reason = ""
    if word == UNDECIDED and corrected < 1 - CONFIDENCE:
        reason = "there is a difference, but it may be smaller than what is of interest"
    elif word == UNDECIDED:
        needed = needed_text(list(measured.differences))
        reason = f"seeds that a difference like this needs: {needed}"
    return Judged(claim, found.cells, measured, corrected, word, reason)


def undecidable(measured: Compared, interest: float) -> str:
    """Why differences say nothing of a claim, whatever they are; empty where they may.

    Few seeds agree by chance, and an interval of equal differences has no width: where the exact
    sign test cannot decide, it does not.
    """
    n = len(measured.differences)
    if interest == 0:
        return "the second row's mean is 0, and so would be the smallest difference of interest"
    if not measured.spread and not decides(n):
        return f"the differences of {n} seeds are equal, which may be chance of so few"
    return ""


def claims_table(
    table: pd.DataFrame, manifest: dict[str, Any], marks: Marks | None = None
) -> pd.DataFrame | None:
    """A row per claim; None for an ablation that stated none."""
    marks = marks or Marks()
    judged = judged_claims(table, manifest, marks)
    names, titles = cell_names(table, manifest), headings(columns_of(table))
    rows = [
        {
            "claim": one.claim.name,
            "in words": one.claim.claim,
            "verdict": "; ".join(
                filter(None, [one.verdict, one.reason, unequal(one, marks), late(one, table)])
            ),
            "rows": rows_text(one, names),
            "metric": titles.get(one.claim.metric, one.claim.metric),
            "difference": difference_text(one),
            "of interest": f"{one.claim.expected} by {smallest_text(one.claim)}",
            "p, adjusted": "-" if one.corrected is None else format_p(one.corrected),
            "seeds": "; ".join(seeds_texts(one, table)),
        }
        for one in judged
    ]
    return pd.DataFrame(rows) if rows else None


def unequal(one: Judged, marks: Marks) -> str:
    """That a claim, which names its rows, names such of unequal budgets; nothing of others."""
    pairs = zip(*one.cells, strict=True) if one.cells is not None else ()
    return "" if all(map(marks.equal_terms, pairs)) else "not on equal terms"


def rows_text(one: Judged, names: Mapping[str, str]) -> str:
    """``short-run OT against VAE``, or of means ``method=vae against ..., mean over ...=1, 4``"""
    if one.cells is not None and not one.claim.over:
        return " against ".join(names[cell] for cells in one.cells for cell in cells)
    text = f"{text_of_row(one.claim.row)} against {text_of_row(one.claim.against)}"
    over = f", mean over {one.claim.over}" if one.claim.over else ""
    count = f" ({len(one.cells[0])} rows each)" if one.cells is not None else ""
    return text + over + count


def smallest_text(claim: Claim) -> str:
    """``10 %`` or, where it is absolute, ``0.05``"""
    return f"{claim.smallest:g}" if claim.absolute else percent(claim.smallest)


def difference_text(one: Judged) -> str:
    """``-87 ± 40 (-18 %)``"""
    if one.compared is None:
        return "-"
    estimate, reference = one.compared.estimate, abs(one.compared.reference)
    share = f" ({100 * estimate.mean / reference:+.0f} %)" if reference else ""
    return f"{signed(estimate, False)}{share}"


def seeds_texts(one: Judged, table: pd.DataFrame) -> Iterator[str]:
    """How many seeds both rows have, and of either what is not done."""
    if one.cells is None:
        return
    yield "-" if one.compared is None else str(len(one.compared.differences))
    texts = runs_texts(table)
    cells = [cell for side in one.cells for cell in side]
    yield from dict.fromkeys(texts[cell] for cell in cells if not texts[cell].isdigit())


def late(one: Judged, table: pd.DataFrame) -> str:
    """Says so where runs were begun before the day on which a claim was stated."""
    if one.cells is None or "started" not in table:
        return ""
    cells = [cell for side in one.cells for cell in side]
    rows = table[table["cell"].isin(cells)].drop_duplicates("path")
    began = [str(when)[:10] for when in rows["started"].dropna()]
    early = sum(when < one.claim.stated for when in began)
    return f"stated after {early} of {len(began)} runs were begun" if early else ""
