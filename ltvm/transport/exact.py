"""The optimal assignment, by scipy's modified Jonker-Volgenant algorithm.

O(n^3) time in the worst case and an n x n float64 matrix: for n up to some thousands.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ltvm.errors import require
from ltvm.transport.coupling import (
    Coupling,
    check,
    mean_cost,
    permutation_coupling,
    squared_distances,
)

LARGEST = 20_000  # a matrix of 3.2 GB


def optimal_assignment(codes: Tensor, targets: Tensor) -> Tensor:
    """The permutation [n] of least summed squared distance (scipy, float64)."""
    costs = squared_distances(codes.double(), targets.double())
    _, columns = linear_sum_assignment(costs.cpu().numpy())
    return torch.from_numpy(columns).to(codes.device)


class Exact:
    """``exact``: the optimum, which is its own lower bound. Takes no warm start."""

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        check(codes, targets)
        require(
            len(codes) <= LARGEST,
            "method.solver",
            f"exact with {len(codes)} codes",
            f"at most {LARGEST} (the n x n matrix would take "
            f"{len(codes) ** 2 * 8 / 1e9:.0f} GB); use blocks",
        )
        assignment = optimal_assignment(codes, targets)
        optimum = mean_cost(codes, targets[assignment])
        return permutation_coupling(codes, targets, assignment, lower_bound=optimum)
