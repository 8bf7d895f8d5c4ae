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
    check_points,
    mean_cost,
    permutation_coupling,
    squared_distances,
)


def optimal_assignment(codes: Tensor, targets: Tensor) -> Tensor:
    """The permutation [n] of least summed squared distance (scipy, float64)."""
    costs = squared_distances(codes.double(), targets.double())
    _, columns = linear_sum_assignment(costs.cpu().numpy())
    return torch.from_numpy(columns).to(codes.device)


class Exact:
    """``exact``: the optimum, which is its own lower bound. Takes no warm start."""

    largest = 20_000  # codes; a matrix of 3.2 GB

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        check_points(codes, targets)
        require(
            len(codes) <= self.largest,
            "method.solver",
            f"exact with {len(codes)} codes",
            f"at most {self.largest} (it holds an n x n matrix); use auto",
        )
        assignment = optimal_assignment(codes, targets)
        optimum = mean_cost(codes, targets[assignment])
        return permutation_coupling(codes, targets, assignment, lower_bound=optimum)
