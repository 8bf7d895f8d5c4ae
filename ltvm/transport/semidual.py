"""Semi-discrete dual ascent by full passes, finished to a permutation, with a certified bound.

With heights h on the targets, T(z) = argmax_p <z, p> + h_p (:mod:`ltvm.transport.scores` has
the semi-dual F and the bound). The reference implementation descends on F with normalised
momentum until the L1 error of the marginal is at most 0.05; the codes left without a target of
their own then get one by a small exact assignment, so that the result is a permutation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.errors import require
from ltvm.transport.completion import complete
from ltvm.transport.coupling import (
    Coupling,
    check_counts,
    check_numbers,
    check_points,
    permutation_coupling,
)
from ltvm.transport.scores import Scores, lower_bound


class Semidual:
    """``semidual``: at most ``passes`` full passes, until the L1 marginal error is ``error``."""

    def __init__(self, passes: int = 200, error: float = 0.05, step: float = 1.0) -> None:
        check_counts(passes=passes)
        check_numbers(error=error, step=step)
        require(step > 0, "method.solver_options.step", step, "above 0")
        self.passes, self.error, self.step = passes, error, step

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        check_points(codes, targets)
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
        scores, velocity = Scores(targets), torch.zeros_like(heights)
        smallest, kept = float("inf"), (heights, heights.long())
        for k in range(self.passes):
            _, chosen = scores.best(codes, heights)
            used = torch.bincount(chosen, minlength=n)
            error = (used - 1).abs().sum().item() / n
            if error < smallest:
                smallest, kept = error, (heights, chosen)
            if error <= self.error:
                break
            velocity = 0.9 * velocity + 0.1 * (1 - used)
            heights = heights + self.step * scale / (1 + (k + begun) / 25) * velocity
        return kept
