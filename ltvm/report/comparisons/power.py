"""What the seeds of a page could have shown: detectable differences, seeds needed, equivalence.

Of the paired t test of one comparison at the 5 % level, two-sided, before any correction over
several comparisons: its power at a true difference of delta is that of a noncentral t with n - 1
degrees of freedom and noncentrality delta sqrt(n) / s (Cohen, Statistical Power Analysis, 1988,
chapter 2), s the standard deviation of the differences over seeds. Of a handful of seeds s itself
is hardly known: what follows from it is stated with the range that its 95 % interval leaves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from ltvm.report.comparisons.differences import signed, tested_pairs
from ltvm.report.comparisons.hypotheses import PRIMARY, families_of_tests
from ltvm.report.comparisons.statistics import (
    CONFIDENCE,
    format_p,
    mean_interval,
    shared_differences,
)
from ltvm.report.values.cells import by_cell, cell_names
from ltvm.report.values.comparability import Marks, is_tested
from ltvm.report.values.declared import columns_of, headings
from ltvm.runs.ablations.grid import Ablation

LEVEL = 1 - CONFIDENCE
POWER = 0.8
MOST = 1_000  # seeds; a plan for more is none
FAR = 1e6  # times the bound of a test: beyond it a difference is found for certain


def power(difference: float, deviation: float, n: int) -> float:
    """The chance that ``n`` paired seeds find a true ``difference``; ``n`` from 2."""
    freedom, shift = n - 1, difference / deviation * math.sqrt(n)
    # The square of a noncentral t is a noncentral F, which scipy has also where shifts are large.
    bound = bound_of_test(freedom) ** 2
    missed = float(special.ncfdtr(1, freedom, shift**2, bound))
    if math.isnan(missed):  # here and there at large shifts; the slow way a page does not ask often
        found = float(stats.ncf.sf(bound, 1, freedom, shift**2))
        return 1.0 if math.isnan(found) and shift**2 > FAR * bound else found
    return 1 - missed


@cache
def bound_of_test(freedom: int) -> float:
    return float(stats.t.ppf(1 - LEVEL / 2, freedom))


def smallest_difference(deviation: float, n: int) -> float:
    """The smallest true difference that ``n`` paired seeds find with a chance of ``POWER``."""
    return deviation * smallest_effect(n)


@cache
def smallest_effect(n: int) -> float:
    """The same in standard deviations."""

    def lacking(effect: float) -> float:
        return power(effect, 1.0, n) - POWER

    return float(optimize.brentq(lacking, 1e-3, 1e3))


def seeds_needed(difference: float, deviation: float) -> int | None:
    """The fewest seeds that find a true ``difference`` with a chance of ``POWER``.

    At least two; None for more than ``MOST``.
    """
    if difference == 0 or power(difference, deviation, MOST) < POWER:
        return None
    low, high = 1, MOST  # power grows with n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if power(difference, deviation, middle) >= POWER else (middle, high)
        )
    return high


def deviation_bounds(deviation: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a normal sample's standard deviation, by the chi-squared law."""
    low, high = bounds_of_one(n)
    return deviation * low, deviation * high


@cache
def bounds_of_one(n: int) -> tuple[float, float]:
    low, high = stats.chi2.ppf([1 - LEVEL / 2, LEVEL / 2], n - 1)
    return math.sqrt((n - 1) / low), math.sqrt((n - 1) / high)


def equivalence_p_value(differences: Sequence[float], margin: float) -> float:
    """The p-value of "the mean difference is within ``margin`` of 0", of two values or more.

    The larger of two one-sided tests (Schuirmann, J. Pharmacokinetics and Biopharmaceutics 1987).
    """
    values = np.asarray(differences, dtype=float)
    n, mean = len(values), float(values.mean())
    error = math.sqrt(float(values.var(ddof=1)) / n)
    below = special.stdtr(n - 1, (mean - margin) / error)
    above = special.stdtr(n - 1, -(mean + margin) / error)
    return float(max(below, above))


@dataclass(frozen=True)
class Sensitivity:
    """What a comparison's ``n`` seeds can tell: differences of a metric, in its own unit."""

    detectable: float
    needed: int | None
    needed_range: tuple[int | None, int | None]
    equivalent: float  # p-value of being within the margin


def sensitivity(differences: Sequence[float], margin: float) -> Sensitivity | None:
    """None for fewer than two differences, or for ones without any spread."""
    values = np.asarray(differences, dtype=float)
    n = len(values)
    deviation = float(values.std(ddof=1)) if n > 1 else 0.0
    mean = float(values.mean()) if n else 0.0
    if deviation <= 1e-12 * abs(mean) or deviation == 0:
        return None
    low, high = deviation_bounds(deviation, n)
    return Sensitivity(
        smallest_difference(deviation, n),
        seeds_needed(mean, deviation),
        (seeds_needed(mean, low), seeds_needed(mean, high)),
        equivalence_p_value(differences, margin),
    )


def sensitivity_table(
    table: pd.DataFrame, manifest: dict[str, Any], metrics: list[str], marks: Marks | None = None
) -> pd.DataFrame | None:
    """A row for every comparison to the reference and headline metric; None without any.

    Of cells whose runs are all done: the seeds that are left of others are no sample.
    ``metrics`` are those of which a difference says something (``declared.compared_metrics``).
    """
    marks = marks or Marks()
    declared = columns_of(table)
    titles, names = headings(declared), cell_names(table, manifest)
    compared = tested_pairs(table, manifest)
    share = manifest.get("margin", Ablation.margin)
    rows = []
    for metric in families_of_tests(declared, metrics)[PRIMARY]:
        values = by_cell(table, metric)
        for cell, other in compared:
            subtract, signs = marks.pair(metric, cell, other)
            first, second = values.get(cell, {}), values.get(other, {})
            differences = shared_differences(first, second)
            if not subtract or not is_tested(signs) or len(differences) < 2:
                continue
            reference = abs(float(np.mean([second[seed] for seed in set(first) & set(second)])))
            found = sensitivity(differences, share * reference)
            if found is not None:
                estimate = signed(mean_interval(differences), False, signs)
                head = {"metric": titles[metric], "cell": names[cell], "difference": estimate}
                rows.append(head | texts_of(found, reference, len(differences), share))
    return pd.DataFrame(rows) if rows else None


def texts_of(found: Sensitivity, reference: float, n: int, share: float) -> dict[str, str]:
    part = f" ({percent(found.detectable / reference)})" if reference else ""
    return {
        "seeds": str(n),
        "detectable": f"{found.detectable:.3g}{part}",
        "seeds needed": range_text(found),
        f"equivalent within {100 * share:g} %, p": format_p(found.equivalent),
    }


def range_text(found: Sensitivity) -> str:
    """``17 [8, 122]``"""
    low, high = (seeds_text(bound) for bound in found.needed_range)
    needed = seeds_text(found.needed)
    return needed if low == high else f"{needed} [{low}, {high}]"


def needed_text(differences: Sequence[float]) -> str:
    """The seeds that a true difference like these needs, with the range of their spread."""
    found = sensitivity(differences, 0.0)
    return seeds_text(None) if found is None else range_text(found)


def percent(share: float) -> str:
    """``3.4 %``, ``220 %``"""
    return f"{100 * share:.{1 if share < 0.1 else 0}f} %"


def seeds_text(n: int | None) -> str:
    return f">{MOST}" if n is None else str(n)
