"""Controls that take from the transport what a correction may owe to something else.

``random`` keeps the targets and drops the pairing, ``noise`` keeps the size of the displacements
and drops their direction, ``none`` drops all of it. ``gaussian`` (its own file) keeps two moments.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.runtime.randomness import normal
from ltvm.transport.auto import Auto
from ltvm.transport.coupling import Coupling, check_points, mean_cost, permutation_coupling


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
        check_points(codes, targets)
        n = len(codes)
        assignment = warm_start.get("assignment")
        if assignment is None:
            assignment = torch.randperm(n, generator=generator, device=generator.device)
        return permutation_coupling(codes, targets, assignment.to(codes.device))


class Noise:
    """``noise``: T(z) = z + e, where e is Gaussian and as large as ``auto``'s displacements.

    mean_i |e_i|^2 equals the cost of that coupling, so that a blend moves codes as far as the
    correction would, in directions that know nothing of the prior. Takes ``auto``'s time.
    """

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        transport = Auto()(codes, targets, warm_start, generator)
        noise = normal(tuple(codes.shape), generator, codes.device)
        size = (transport.cost / noise.double().square().sum(1).mean().item()) ** 0.5
        mapped = codes + size * noise
        return Coupling(mapped, mean_cost(codes, mapped), state=transport.state)


class Identity:
    """``none``: T(z) = z, so that no blend moves any code."""

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        check_points(codes, targets)
        return Coupling(codes, 0.0)
