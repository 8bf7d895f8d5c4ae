"""Two controls that do not solve anything: a random pairing, and no transport at all."""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.transport.coupling import Coupling, check, permutation_coupling


class Random:
    """``random``: a random permutation, drawn once and kept through the warm start.

    The targets are still exactly the prior draws; what is lost is that each code moves to a
    near one. Tells whether the optimality of the transport matters.
    """

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        check(codes, targets)
        n = len(codes)
        assignment = warm_start.get("assignment")
        if assignment is None:
            assignment = torch.randperm(n, generator=generator, device=generator.device)
        return permutation_coupling(codes, targets, assignment.to(codes.device))


class Identity:
    """``none``: T(z) = z, so that no blend moves any code."""

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        check(codes, targets)
        return Coupling(codes, 0.0)
