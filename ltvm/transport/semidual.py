"""Semi-discrete dual ascent, finished to a permutation, with a certified lower bound.

With heights h on the targets, T(z) = argmax_p <z, p> + h_p. For *any* h and permutation pi,

    mean_i <z_i, p_pi(i)>  <=  F(h) = mean_i max_p (<z_i, p> + h_p) - mean_p h_p,

so mean |z|^2 + mean |p|^2 - 2 F(h) is a lower bound on the optimal cost (weak duality); the
minimiser of the convex F makes it tight. The reference implementation descends on F with
normalised momentum until the L1 error of the marginal is at most 0.05; the codes left
without a target of their own then get one by a small exact assignment, so that the result
is a permutation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.errors import require
from ltvm.transport.blocks import Blocks
from ltvm.transport.coupling import Coupling, check, permutation_coupling
from ltvm.transport.exact import optimal_assignment

ROWS_AT_ONCE = 2_000  # codes per block of the score matrix: memory is ROWS_AT_ONCE * n


def best_targets(codes: Tensor, targets: Tensor, heights: Tensor) -> tuple[Tensor, Tensor]:
    """max_p and argmax_p of <z, p> + h_p for every code, in blocks of rows: [n] and [n]."""
    rows = [(block @ targets.T).add_(heights).max(dim=1) for block in codes.split(ROWS_AT_ONCE)]
    return torch.cat([row.values for row in rows]), torch.cat([row.indices for row in rows])


def lower_bound(codes: Tensor, targets: Tensor, heights: Tensor) -> float:
    """The certified lower bound on the optimal mean cost that ``heights`` [n] give (float64)."""
    codes, targets, heights = codes.double(), targets.double(), heights.double()
    values, _ = best_targets(codes, targets, heights)
    dual = values.mean() - heights.mean()
    return (codes.square().sum(1).mean() + targets.square().sum(1).mean() - 2 * dual).item()


class Semidual:
    """``semidual``: at most ``passes`` full passes, until the L1 marginal error is ``error``."""

    def __init__(self, passes: int = 200, error: float = 0.05, step: float = 1.0) -> None:
        require(passes >= 1, "method.solver_options.passes", passes, "1 or more")
        require(error >= 0, "method.solver_options.error", error, "0 or more")
        require(step > 0, "method.solver_options.step", step, "above 0")
        self.passes, self.error, self.step = passes, error, step

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        check(codes, targets)
        heights, chosen = self.ascend(codes, targets, warm_start.get("heights"))
        assignment = complete(codes, targets, chosen)
        return permutation_coupling(
            codes,
            targets,
            assignment,
            lower_bound=lower_bound(codes, targets, heights),
            state={"heights": heights, "assignment": assignment},
        )

    def ascend(
        self, codes: Tensor, targets: Tensor, warm_heights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the heights [n] with the smallest marginal error met, and their choices [n].

        Each pass moves the heights against the over- and under-use of the targets, a target
        used twice falling by one step, with momentum 0.9 and steps that fall as 1 / (1 + k/25).
        """
        n, scale = len(codes), codes.square().mean().sqrt()
        heights = torch.zeros(n, device=codes.device) if warm_heights is None else warm_heights
        heights = heights.to(codes.device)
        # A warm start is near the optimum already: begin with steps a fifth as long.
        begun = 0 if warm_heights is None else 100
        velocity = torch.zeros_like(heights)
        smallest, kept = float("inf"), (heights, heights.long())
        for k in range(self.passes):
            _, chosen = best_targets(codes, targets, heights)
            used = torch.bincount(chosen, minlength=n)
            error = (used - 1).abs().sum().item() / n
            if error < smallest:
                smallest, kept = error, (heights, chosen)
            if error <= self.error:
                break
            velocity = 0.9 * velocity + 0.1 * (1 - used)
            heights = heights + self.step * scale / (1 + (k + begun) / 25) * velocity
        return kept


def complete(codes: Tensor, targets: Tensor, chosen: Tensor) -> Tensor:
    """Turn choices [n], which may share targets, into a permutation [n].

    The code nearest to a shared target keeps it; the codes left over are assigned to the
    targets left over, exactly where they are at most 5,000, otherwise by random blocks.
    """
    n = len(codes)
    distances = (codes - targets[chosen]).square().sum(1)
    # Sort by target, nearest code first within each: the first code of a group is the owner.
    order = distances.argsort()
    order = order[chosen[order].argsort(stable=True)]
    groups = chosen[order]
    first = torch.ones(n, dtype=torch.bool, device=codes.device)
    first[1:] = groups[1:] != groups[:-1]
    owner = torch.full((n,), -1, dtype=torch.int64, device=codes.device)
    owner[groups[first]] = order[first]
    assignment = torch.full((n,), -1, dtype=torch.int64, device=codes.device)
    taken = owner >= 0
    assignment[owner[taken]] = taken.nonzero().flatten()
    codes_left = (assignment < 0).nonzero().flatten()
    targets_left = (~taken).nonzero().flatten()
    if len(codes_left) == 0:
        return assignment
    if len(codes_left) <= 5_000:
        matched = optimal_assignment(codes[codes_left], targets[targets_left])
    else:
        seeded = torch.Generator().manual_seed(0)
        rest = Blocks(block=1_000)(codes[codes_left], targets[targets_left], {}, seeded)
        assert rest.assignment is not None
        matched = rest.assignment
    assignment[codes_left] = targets_left[matched]
    return assignment
