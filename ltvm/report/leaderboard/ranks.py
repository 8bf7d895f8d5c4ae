"""Ranks with their uncertainty, from differences at shared seeds; means over seeds have no part.

The rank interval: every row is held against every other by one-sided paired t tests, one in each
direction, corrected together by Holm's method. A row's rank is then at least 1 + how many rows are
better, at most as many as there are minus how many are worse. All intervals of a page, by all of
its metrics, hold at once with a chance of 95 %, whatever the dependence of the tests (Mogstad,
Romano, Shaikh and Wilhelm, Review of Economic Studies 2024, confidence sets for ranks from pairwise
comparisons).

The rank at one seed: 1 + the sum over the other rows of the share of shared seeds at which they are
better, a tie counting half (the probability of improvement of Agarwal et al., NeurIPS 2021, section
4.3). Its interval is of a bootstrap over seeds, which draws the same seeds for all rows, and is
shown of rows with ``SEEDS_OF_AN_INTERVAL`` seeds or more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from ltvm.report.comparisons.statistics import (
    BOOTSTRAP_SEED,
    CONFIDENCE,
    ROUNDING,
    Direction,
    holm,
)

RESAMPLES = 2_000  # of the seeds
# Few seeds may agree by chance, and the interval of a bootstrap over them has no width then. That
# one of two equal rows is better at 5 of 5 is too probable for 95 % (2 / 2^5), 6 of 6 is not: see
# ``statistics.decides``.
SEEDS_OF_AN_INTERVAL = 6

Values = Mapping[str, Mapping[int, float]]  # row -> seed -> value


@dataclass(frozen=True)
class Rank:
    """A row's rank among ``n`` rows: the interval, and what is expected of it at one seed."""

    low: int
    high: int
    expected: float
    bounds: tuple[float, float] | None  # of ``expected``; None with few seeds
    first: int  # at how many of its seeds no other row is better
    seeds: int
    better_than: tuple[str, ...]  # significantly
    worse_than: tuple[str, ...]

    @property
    def text(self) -> str:
        """``1``, ``2-5``"""
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


@dataclass(frozen=True)
class Ranking:
    """The ranks of rows, the best expected first, and of how many tests they were corrected for."""

    ranks: dict[str, Rank]
    tests: int

    @property
    def pairs(self) -> int:
        """Of rows."""
        return math.comb(len(self.ranks), 2)

    @property
    def told_apart(self) -> int:
        """Pairs of which one row is significantly better."""
        return sum(len(rank.better_than) for rank in self.ranks.values())

    @property
    def seeds(self) -> str:
        """How many its rows have: ``3``, ``3 to 10``"""
        numbers = [rank.seeds for rank in self.ranks.values()] or [0]
        least, most = min(numbers), max(numbers)
        return str(most) if least == most else f"{least} to {most}"


def ranking(values: Values, direction: Direction) -> Ranking:
    """The ranking of rows by values at seeds; rows that share no two seeds are not told apart.

    The order of rows in ``values`` changes nothing. Raises ``ValueError`` for a value that is none.
    """
    return rankings({"": (values, direction)})[""]


def rankings(by_metric: Mapping[str, tuple[Values, Direction]]) -> dict[str, Ranking]:
    """A ranking by each of several metrics; their tests are corrected all together."""
    names = {metric: sorted(values) for metric, (values, _) in by_metric.items()}
    costs = {m: costs_of(values, direction) for m, (values, direction) in by_metric.items()}
    better, tests = separable(list(costs.values()))
    return {
        metric: ranking_of(names[metric], own, told, tests)
        for (metric, own), told in zip(costs.items(), better, strict=True)
    }


def costs_of(values: Values, direction: Direction) -> np.ndarray:
    """[rows by name, seeds], lower is better; NaN where a row has no such seed."""
    names = sorted(values)
    seeds = sorted({seed for row in values.values() for seed in row})
    costs = np.full((len(names), len(seeds)), np.nan)
    for place, name in enumerate(names):
        for seed, value in values[name].items():
            if not np.isfinite(value):
                raise ValueError(f"a ranking needs finite values, got {value} of {name}")
            costs[place, seeds.index(seed)] = value if direction == "lower" else -value
    return costs


def ranking_of(names: Sequence[str], costs: np.ndarray, better: np.ndarray, tests: int) -> Ranking:
    """``better`` is that of ``separable``."""
    expected, bounds = at_one_seed(costs)
    known = np.isfinite(costs)
    seeds = known.sum(axis=1)
    enough = seeds >= SEEDS_OF_AN_INTERVAL
    leads = known & (costs <= np.where(known, costs, np.inf).min(axis=0, initial=np.inf))
    found = {
        name: Rank(
            low=1 + int(better[:, place].sum()),
            high=len(names) - int(better[place].sum()),
            expected=float(expected[place]),
            bounds=(float(bounds[0, place]), float(bounds[1, place])) if enough[place] else None,
            first=int(leads[place].sum()),
            seeds=int(seeds[place]),
            better_than=tuple(names[i] for i in np.flatnonzero(better[place]).tolist()),
            worse_than=tuple(names[i] for i in np.flatnonzero(better[:, place]).tolist()),
        )
        for place, name in enumerate(names)
    }
    order = sorted(names, key=lambda name: (found[name].expected, found[name].low, name))
    return Ranking({name: found[name] for name in order}, tests)


def separable(several: Sequence[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """Of each of several metrics [i, j]: whether row i is significantly better than row j.

    And the number of tests. Each is [n rows, seeds], as ``costs_of`` has them.
    """
    found = []
    for costs in several:
        p_values = np.array([one_sided(row, costs) for row in costs]).reshape(2 * (len(costs),))
        np.fill_diagonal(p_values, np.nan)
        found.append(p_values)
    every = np.concatenate([p_values.ravel() for p_values in found] or [np.empty(0)])
    tested = np.isfinite(every)
    told = np.zeros(every.shape, dtype=bool)
    told[tested] = np.asarray(holm(every[tested].tolist())) < 1 - CONFIDENCE
    ends = np.cumsum([p_values.size for p_values in found])[:-1]
    parts = zip(np.split(told, ends), found, strict=True) if found else ()
    return [part.reshape(p_values.shape) for part, p_values in parts], int(tested.sum())


def one_sided(row: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """p-values of "this row is no better than that one", by the paired t test; [n].

    NaN with fewer than two shared seeds. Differences that are all the same, but for rounding, have
    no spread to judge by: the exact sign test's, 1 / 2^n, if they are better, else 1 (as
    ``statistics.paired_p_value``, which is two-sided).
    """
    differences = row - costs
    known = np.isfinite(differences)
    n = known.sum(axis=1)
    kept = np.where(known, differences, 0.0)
    mean = kept.sum(axis=1) / np.maximum(n, 1)
    residuals = np.where(known, differences - mean[:, None], 0.0)
    squares = (residuals**2).sum(axis=1) / np.maximum(n - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_values = special.stdtr(np.maximum(n - 1, 1), mean / np.sqrt(squares / n))
    sizes = np.where(known, np.maximum(abs(row), abs(costs)), 0.0)
    rounding = ROUNDING * sizes.max(axis=1, initial=0.0)
    least = np.where(known, differences, np.inf).min(axis=1, initial=np.inf)
    most = np.where(known, differences, -np.inf).max(axis=1, initial=-np.inf)
    same = most - least <= rounding
    p_values[same] = np.where(mean < -rounding, 0.5**n, 1.0)[same]
    p_values[n < 2] = np.nan
    return p_values


def at_one_seed(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected ranks [n], and their interval [2, n] over seeds; NaN of few seeds.

    Rows that share no seed, or none of a resample, are as probably better as worse.
    """
    n, seeds = costs.shape
    expected = expected_ranks(costs, np.ones((1, seeds)))[0]
    if n == 0 or seeds < SEEDS_OF_AN_INTERVAL:
        return expected, np.full((2, n), np.nan)
    draw = np.random.default_rng(BOOTSTRAP_SEED)
    counts = draw.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES).astype(float)
    tail = 100 * (1 - CONFIDENCE) / 2
    return expected, np.percentile(expected_ranks(costs, counts), [tail, 100 - tail], axis=0)


def expected_ranks(costs: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[resamples, n]: ranks at one of the seeds that were drawn so often, [resamples, seeds]."""
    if np.isfinite(costs).all():  # the mean of ranks, much faster
        by_seed = stats.rankdata(costs, axis=0).reshape(costs.shape)
        return counts @ by_seed.T / counts.sum(axis=1, keepdims=True)
    ranks = np.ones((len(counts), len(costs)))
    for place, row in enumerate(costs):
        others = np.delete(costs, place, axis=0)  # [n - 1, seeds]
        known = np.isfinite(others) & np.isfinite(row)
        beats = np.where(known, (others < row) + 0.5 * (others == row), 0.0)
        times = counts @ known.T  # [resamples, n - 1]
        share = np.where(times > 0, counts @ beats.T / np.maximum(times, 1), 0.5)
        ranks[:, place] += share.sum(axis=1)
    return ranks


def errors_needed(tests: int, seeds: int) -> float | None:
    """How many standard errors a difference must have to be told first of so many tests.

    Of two rows and of 40, by three metrics, at 3 and at 10 seeds:

    >>> [round(errors_needed(3 * n * (n - 1), seeds), 1) for n in (2, 40) for seeds in (3, 10)]
    [7.6, 2.9, 216.3, 8.0]
    """
    if tests == 0 or seeds < 2:
        return None
    return float(stats.t.ppf(1 - (1 - CONFIDENCE) / tests, seeds - 1))
