"""Means with intervals over seeds, and paired differences on shared seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` seeds; ``half_width`` of its 95 % t interval, None for one seed."""

    mean: float
    half_width: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        return self.half_width is not None and abs(self.mean) > self.half_width


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean and 95 % Student t interval of independent values; raises for none or NaN."""
    numbers = np.asarray(values, dtype=float)
    if len(numbers) == 0 or not np.isfinite(numbers).all():
        raise ValueError(f"an interval needs finite values, got {list(values)}")
    mean, n = float(numbers.mean()), len(numbers)
    if n == 1:
        return Estimate(mean, None, 1)
    error = float(numbers.std(ddof=1)) / math.sqrt(n)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))
    return Estimate(mean, quantile * error, n)


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate | None:
    """Interval of first - second over the seeds both have; None if they share none.

    Methods of an ablation share initial weights, data order and prior draws per seed, so the
    difference within a seed is what is compared.
    """
    shared = sorted(set(first) & set(second))
    if not shared:
        return None
    return mean_interval([first[seed] - second[seed] for seed in shared])


def best_keys(by_key: Mapping[str, Mapping[int, float]], lower_is_better: bool) -> list[str]:
    """The key whose value is best beyond doubt, in a list; an empty list where there is none.

    Beyond doubt: the paired difference to every other key has an interval without zero. A
    single seed decides nothing.
    """
    sign = 1 if lower_is_better else -1
    if len(by_key) < 2:
        return []
    leader = min(by_key, key=lambda key: sign * float(np.mean(list(by_key[key].values()))))
    for key, values in by_key.items():
        if key == leader:
            continue
        difference = paired_difference(by_key[leader], values)
        if difference is None or not difference.excludes_zero:
            return []
    return [leader]


def format_estimate(estimate: Estimate, mark: bool = False) -> str:
    """``457 ± 12``, digits chosen by the interval; a single seed says so."""
    if estimate.half_width is None:
        text = f"{estimate.mean:.4g} (1 seed)"
    else:
        digits = 0
        if estimate.half_width > 1e-9 * abs(estimate.mean):  # less is rounding of equal values
            digits = max(0, 1 - math.floor(math.log10(estimate.half_width)))
        elif estimate.mean != 0:
            digits = max(0, 3 - math.floor(math.log10(abs(estimate.mean))))
        digits = min(digits, 6)
        text = f"{estimate.mean:.{digits}f} ± {estimate.half_width:.{digits}f}"
    return f"**{text}**" if mark else text
