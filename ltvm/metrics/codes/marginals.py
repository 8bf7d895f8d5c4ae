"""Every dimension of the codes against that of the prior: Kolmogorov-Smirnov statistics."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ltvm.models.prior import Prior


@dataclass(frozen=True)
class LargestKs:
    """The largest statistic of a dimension, and its Bonferroni-corrected p-value.

    That dimension has the smallest p-value: all have the same n. ``name`` is that of the test:
    ``ks`` against N(0, 1) itself, ``ks_draws`` against draws of another prior. Its values are
    larger for the same codes, so the two are never one column.
    """

    name: str
    statistic: float
    p_value: float


def largest_ks(codes: Tensor, prior: Prior, draws: Tensor) -> LargestKs:
    """Codes [n, d] against N(0, 1) in every dimension, for another prior its ``draws`` [m, d]."""
    from scipy.stats import ks_2samp, kstest

    columns = codes.double().cpu().numpy().T
    if prior.is_standard_normal:
        name, results = "ks", [kstest(column, "norm") for column in columns]
    else:
        pairs = zip(columns, draws.double().cpu().numpy().T, strict=True)
        name, results = "ks_draws", [ks_2samp(column, drawn) for column, drawn in pairs]
    worst = max(results, key=lambda result: result.statistic)
    return LargestKs(name, float(worst.statistic), min(1.0, float(worst.pvalue) * len(results)))
