"""The solver for a problem of this size."""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.transport.coupling import Coupling
from ltvm.transport.exact import Exact
from ltvm.transport.shortlist import Shortlist


class Auto:
    """``auto``: ``exact`` up to 1,000 codes (to which a copy from a GPU is small), else
    ``shortlist`` with its defaults: what gap it certifies is the coupling's ``gap``.
    """

    largest_exact = 1_000

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        solver = Exact() if len(codes) <= self.largest_exact else Shortlist()
        return solver(codes, targets, warm_start, generator)
