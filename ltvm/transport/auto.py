"""The solver for a problem of this size."""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.transport.coupling import Coupling, Solver
from ltvm.transport.exact import Exact
from ltvm.transport.onepass import OnePass
from ltvm.transport.shortlist import Shortlist


class Auto:
    """``auto``: ``exact`` up to 1,000 codes (to which a copy from a GPU is small), ``shortlist``
    up to 60,000 and ``onepass`` above, with their defaults: what gap they certify is the
    coupling's ``gap``.
    """

    largest_exact = 1_000
    largest_shortlist = 60_000

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        solver: Solver = OnePass()
        if len(codes) <= self.largest_exact:
            solver = Exact()
        elif len(codes) <= self.largest_shortlist:
            solver = Shortlist()
        return solver(codes, targets, warm_start, generator)
