"""Means with intervals over seeds, and comparisons on shared seeds.

What is marked in a table is decided by paired t tests, whatever interval is shown, corrected
within that table's families (``ltvm.report.comparisons.hypotheses``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
from scipy import special, stats

Direction = Literal["lower", "higher"]  # towards better

CONFIDENCE = 0.95
ROUNDING = 1e-12  # of values, relative to them
LARGE, SMALL = 1e6, 1e-6  # above and below in powers of ten
RESAMPLES = 9_999  # of a bootstrap interval
BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` seeds with its 95 % interval, which a single seed does not have.

    A t interval has its ``half_width``; a bootstrap interval is not symmetric and has ``bounds``.
    """

    mean: float
    half_width: float | None
    n: int
    bounds: tuple[float, float] | None = None

    @property
    def errors(self) -> tuple[float, float]:
        """How far the interval reaches below and above the mean; zeros without one."""
        if self.bounds is not None:
            return self.mean - self.bounds[0], self.bounds[1] - self.mean
        return self.half_width or 0.0, self.half_width or 0.0

    @property
    def excludes_zero(self) -> bool:
        if self.bounds is not None:
            return self.bounds[0] > 0 or self.bounds[1] < 0
        return self.half_width is not None and abs(self.mean) > self.half_width


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean and 95 % Student t interval of independent values; raises for none or NaN."""
    return known_mean_interval(tuple(values))


@lru_cache(maxsize=2**16)  # the tables, figures and pages of a report ask for the same ones
def known_mean_interval(values: tuple[float, ...]) -> Estimate:
    numbers = finite(values)
    mean, n = float(numbers.mean()), len(numbers)
    if n == 1:
        return Estimate(mean, None, 1)
    error = float(numbers.std(ddof=1)) / math.sqrt(n)
    return Estimate(mean, t_quantile(n - 1) * error, n)


@cache
def t_quantile(freedom: int) -> float:
    """Of Student's t: how many standard errors the interval reaches."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))


def bootstrap_interval(values: Sequence[float]) -> Estimate:
    """Mean and 95 % bootstrap interval, bias-corrected and accelerated (Efron, JASA 1987).

    The same values give the same interval. It assumes no shape, but wants more than a handful
    of values: of three it covers the mean far less often than it says.
    """
    numbers = finite(values)
    mean, n = float(numbers.mean()), len(numbers)
    if n == 1:
        return Estimate(mean, None, 1)
    if np.ptp(numbers) == 0:  # every resample is the sample
        return Estimate(mean, None, n, (mean, mean))
    found = stats.bootstrap(
        (numbers,), np.mean, confidence_level=CONFIDENCE, n_resamples=RESAMPLES, method="BCa",
        random_state=np.random.default_rng(BOOTSTRAP_SEED),
    ).confidence_interval  # fmt: skip
    return Estimate(mean, None, n, (float(found.low), float(found.high)))


INTERVALS: dict[str, Callable[[Sequence[float]], Estimate]] = {
    "t": mean_interval,
    "bootstrap": bootstrap_interval,
}


def finite(values: Sequence[float]) -> np.ndarray:
    numbers = np.asarray(values, dtype=float)
    if len(numbers) == 0 or not np.isfinite(numbers).all():
        raise ValueError(f"an interval needs finite values, got {list(values)}")
    return numbers


def shared_differences(first: Mapping[int, float], second: Mapping[int, float]) -> list[float]:
    """first - second of every seed that both have."""
    return [first[seed] - second[seed] for seed in sorted(set(first) & set(second))]


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], interval: str = "t"
) -> Estimate | None:
    """Interval of first - second over the seeds both have; None if they share none.

    Methods of an ablation share initial weights, data order and prior draws per seed, so the
    difference within a seed is what is compared.
    """
    differences = shared_differences(first, second)
    return INTERVALS[interval](differences) if differences else None


def paired_p_value(first: Mapping[int, float], second: Mapping[int, float]) -> float | None:
    """Two-sided p-value of the paired t test; None with fewer than two shared seeds.

    Differences that are all the same, but for rounding, have no spread to judge by: 1 if they are
    zero, else the exact sign test's, 2 / 2^n, which n equal signs are worth.
    """
    differences = np.asarray(shared_differences(first, second))
    n = len(differences)
    if n < 2:
        return None
    rounding = rounding_of(first, second)
    if np.ptp(differences) <= rounding:
        return 1.0 if abs(differences.mean()) <= rounding else 2 * 0.5**n
    error = math.sqrt(float(differences.var(ddof=1)) / n)
    t = float(differences.mean()) / error if error else math.inf
    return 2 * float(special.stdtr(n - 1, -abs(t)))  # scipy.stats.ttest_1samp takes a millisecond


def rounding_of(first: Mapping[int, float], second: Mapping[int, float]) -> float:
    """How far differences at shared seeds, one at least, are equal up to rounding of the values."""
    shared = set(first) & set(second)
    return ROUNDING * max(abs(of[seed]) for of in (first, second) for seed in shared)


def has_spread(first: Mapping[int, float], second: Mapping[int, float]) -> bool:
    """Whether differences at shared seeds, one at least, differ by more than rounding."""
    return float(np.ptp(shared_differences(first, second))) > rounding_of(first, second)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: below a level, the error over all comparisons is below it.

    Holm, Scandinavian Journal of Statistics 1979. Holds whatever the dependence of the
    comparisons.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return [float(x) for x in adjusted.clip(max=1)]


@dataclass(frozen=True)
class Improvement:
    """The probability of being better than the reference, over ``n`` seeds, and its interval."""

    probability: float
    low: float
    high: float
    n: int


def probability_of_improvement(
    first: Mapping[int, float], second: Mapping[int, float], direction: Direction
) -> Improvement | None:
    """How probably ``first`` is better than ``second`` at the same seed; None without shared ones.

    As in Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice",
    NeurIPS 2021, section 4.3 (a tie counts half), with the seeds as strata. The interval is not
    their bootstrap, which of a few wins in a row makes certainty, but exact (Clopper and
    Pearson, Biometrika 1934), at least 95 % for any n; ties widen it on both sides.
    """
    differences = np.asarray(shared_differences(first, second))
    n = len(differences)
    if n == 0:
        return None
    better = differences < 0 if direction == "lower" else differences > 0
    wins = int(better.sum())
    ties = int((differences == 0).sum())
    return improvement(wins, ties, n)


@cache
def improvement(wins: int, ties: int, n: int) -> Improvement:
    tail, most = (1 - CONFIDENCE) / 2, wins + ties
    low = float(stats.beta.ppf(tail, wins, n - wins + 1)) if wins else 0.0
    high = float(stats.beta.ppf(1 - tail, most + 1, n - most)) if most < n else 1.0
    return Improvement((wins + ties / 2) / n, low, high, n)


def decides(n: int) -> bool:
    """Whether ``n`` wins out of ``n`` tell a probability of improvement from one half."""
    return 2 * 0.5**n < 1 - CONFIDENCE


def is_better(value: float, than: float, direction: Direction) -> bool:
    return value < than if direction == "lower" else value > than


def leader(by_key: Mapping[str, Mapping[int, float]], direction: Direction) -> str | None:
    """The first of ``leaders``; None where there are none."""
    return next(iter(leaders(by_key, direction)), None)


def leaders(by_key: Mapping[str, Mapping[int, float]], direction: Direction) -> dict[str, float]:
    """The keys with the best mean over the seeds that all keys have, and that mean."""
    shared = set.intersection(*(set(values) for values in by_key.values())) if by_key else set()
    if not shared:
        return {}
    means = {key: float(np.mean([values[s] for s in shared])) for key, values in by_key.items()}
    best = (min if direction == "lower" else max)(means.values())
    return {key: mean for key, mean in means.items() if mean == best}


def leader_p_value(
    by_key: Mapping[str, Mapping[int, float]], best: str, direction: Direction
) -> float | None:
    """The p-value of "the key ``best`` is better than every other": the largest of the paired ones.

    An intersection-union test (Berger, Technometrics 1982): it needs no correction for the number
    of keys. Each pair is taken over the seeds that both have, and 1 where ``best`` has the worse
    mean there. None with fewer than two keys, or where a pair shares fewer than two seeds.
    """
    found = []
    for key, values in by_key.items():
        if key != best:
            ahead = leader({best: by_key[best], key: values}, direction) == best
            p = paired_p_value(by_key[best], values)
            found.append(p if ahead or p is None else 1.0)
    known = [p for p in found if p is not None]
    return max(known) if known and len(known) == len(found) else None


def format_estimate(estimate: Estimate, mark: bool = False, signs: str = "") -> str:
    """``457 ± 12`` or ``457 [446, 468]``, digits chosen by the interval; one seed says so.

    ``mark`` makes it bold; ``signs`` are footnote signs that follow the number.
    """
    most = max(abs(estimate.mean), *estimate.errors)
    if abs(estimate.mean) >= LARGE or (estimate.n > 1 and 0 < most < SMALL):
        text = scientific(estimate)
        text = f"{text} {signs}" if signs else text
        return f"**{text}**" if mark else text
    digits = digits_of(estimate.mean, sum(estimate.errors) / 2)
    mean = round(estimate.mean, digits) or 0.0  # no -0
    if estimate.bounds is not None:
        low, high = estimate.bounds
        text = f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    elif estimate.half_width is not None:
        text = f"{mean:.{digits}f} ± {estimate.half_width:.{digits}f}"
    else:
        text = f"{estimate.mean:.4g} (1 seed)"
    text = f"{text} {signs}" if signs else text
    return f"**{text}**" if mark else text


def scientific(estimate: Estimate) -> str:
    """``3.1e13``, or ``(3.10 ± 0.25)e13`` where the interval is more than a rounding."""
    mean = abs(estimate.mean)
    power = math.floor(math.log10(mean if mean >= LARGE else max(mean, *estimate.errors)))
    mean, *errors = (x / 10**power for x in (estimate.mean, *estimate.errors))
    if sum(errors) / 2 < 5e-4:
        text = f"{mean:.3f}".rstrip("0").rstrip(".") + f"e{power}"
    elif estimate.bounds is not None:
        text = f"{mean:.3f} [{mean - errors[0]:.3f}, {mean + errors[1]:.3f}]e{power}"
    else:
        text = f"({mean:.3f} ± {errors[0]:.3f})e{power}"
    return text if estimate.n > 1 else f"{text} (1 seed)"


def format_p(p: float) -> str:
    """Two digits, or ``<0.0001``."""
    return f"{p:.2g}" if p >= 1e-4 else "<0.0001"


def digits_of(mean: float, half_width: float) -> int:
    """Digits after the point: two significant ones of the interval, or four of the mean."""
    digits = 0
    if half_width > 1e-9 * abs(mean):  # less is rounding of equal values
        digits = max(0, 1 - math.floor(math.log10(half_width)))
    elif mean != 0:
        digits = max(0, 3 - math.floor(math.log10(abs(mean))))
    return min(digits, 6)
