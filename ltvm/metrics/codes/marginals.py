"""Every dimension of the codes against N(0, 1)."""

from __future__ import annotations

from torch import Tensor


def largest_ks(codes: Tensor) -> tuple[float, float]:
    """The largest one-sample Kolmogorov-Smirnov statistic over the columns of codes [n, d].

    With it the Bonferroni-corrected p-value of that column, which has the smallest: all have
    the same n.
    """
    from scipy.stats import kstest

    results = [kstest(column, "norm") for column in codes.double().cpu().numpy().T]
    worst = max(results, key=lambda result: result.statistic)
    return float(worst.statistic), min(1.0, float(worst.pvalue) * len(results))
