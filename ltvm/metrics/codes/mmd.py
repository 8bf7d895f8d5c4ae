"""Maximum mean discrepancy with a permutation test (Gretton et al., JMLR 2012).

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

unbiased (their equation 3), so it may be negative; k(a, b) = exp(-|a - b|^2 / (2 h^2)).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MmdTest:
    """``mmd2`` in units of the kernel (at most 2), its p-value, and the ``bandwidth`` h."""

    mmd2: float
    p_value: float
    bandwidth: float


def mmd_test(
    first: Tensor, second: Tensor, permutations: int, generator: torch.Generator
) -> MmdTest:
    """Test whether two samples [n, d] and [m, d] come from one distribution.

    The bandwidth is the median distance within the pooled sample, which a permutation does not
    change; so under the null the observed value ranks uniformly among those of the permutations
    and p = (1 + number at least as large) / (1 + permutations) is exact, not asymptotic.
    Float64 on the device of the samples; an (n + m) x (n + m) matrix is held in memory.
    """
    n, m = len(first), len(second)
    pooled = torch.cat([first, second]).double()
    squared = torch.cdist(pooled, pooled, compute_mode="donot_use_mm_for_euclid_dist").square()
    upper = torch.triu_indices(n + m, n + m, 1, device=pooled.device)
    distances = squared[upper[0], upper[1]]
    bandwidth = distances.median().sqrt()
    kernel = (-squared / (2 * bandwidth**2)).exp().fill_diagonal_(0)
    orders = [torch.randperm(n + m, generator=generator) for _ in range(permutations)]
    members = torch.zeros(n + m, 1 + permutations, dtype=torch.float64)
    members[:n, 0] = 1
    for column, order in enumerate(orders, start=1):
        members[order[:n], column] = 1
    values = mmd2_of_splits(kernel, members.to(kernel.device), n, m)
    # A tie of equal partitions must count as one, whatever the rounding of their sums.
    exceeding = int((values[1:] >= values[0] - 1e-12).sum())
    p_value = (1 + exceeding) / (1 + permutations)
    return MmdTest(values[0].item(), p_value, bandwidth.item())


def mmd2_of_splits(kernel: Tensor, members: Tensor, n: int, m: int) -> Tensor:
    """MMD^2 of every split [s]: ``members`` [n + m, s] is 1 for the n in the first sample.

    ``kernel`` [n + m, n + m] has a zero diagonal.
    """
    others = 1 - members
    to_first = kernel @ members
    within_first = (members * to_first).sum(0)
    across = (others * to_first).sum(0)
    within_second = kernel.sum() - within_first - 2 * across
    return unbiased_mmd2(within_first, within_second, across / (n * m), n, m)


def unbiased_mmd2(
    within_first: Tensor, within_second: Tensor, mean_across: Tensor, n: int, m: int
) -> Tensor:
    """MMD^2 from sums of the kernel over pairs i != j within each sample, and its mean across."""
    return within_first / (n * (n - 1)) + within_second / (m * (m - 1)) - 2 * mean_across
