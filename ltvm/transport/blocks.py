"""Iterated random-block assignment: exact assignments within random blocks, over and over.

Any pairing can only be improved by re-assigning the targets of a block of codes among
themselves, so the cost falls monotonically, memory stays at block^2, and the previous
iteration's permutation is a warm start.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.transport.coupling import Coupling, check_counts, check_points, permutation_coupling
from ltvm.transport.exact import optimal_assignment


class Blocks:
    """``blocks``: ``rounds`` passes over random blocks of ``block`` codes."""

    def __init__(self, block: int = 500, rounds: int = 10) -> None:
        check_counts(2, block=block)
        check_counts(rounds=rounds)
        self.block, self.rounds = block, rounds

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        check_points(codes, targets)
        n, device = len(codes), codes.device
        if "assignment" in warm_start:
            assignment = warm_start["assignment"].to(device).clone()
        else:
            assignment = torch.randperm(n, generator=generator, device=generator.device).to(device)
        # Blocks of equal size; one block when n is small makes this the exact optimum.
        count = max(1, round(n / self.block))
        for _ in range(1 if count == 1 else self.rounds):
            order = torch.randperm(n, generator=generator, device=generator.device).to(device)
            for block in order.tensor_split(count):
                held = assignment[block]
                assignment[block] = held[optimal_assignment(codes[block], targets[held])]
        return permutation_coupling(codes, targets, assignment)
