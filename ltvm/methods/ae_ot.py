"""AE-OT (An, Guo, Lei, Luo, Yau and Gu, ICLR 2020): auto-encoder, then transport to its codes.

The auto-encoder is ``ae``. Samples are not from a density of its codes y_1..y_n: noise u goes to
them by the optimal map of semi-discrete transport (the paper's convex energy, here F of
``ltvm.transport.semidiscrete``), T(u) = argmax_i <u, y_i> + h_i, under which every code has the
mass 1/n, and which is extended linearly between neighbouring cells: a sample's code is

    sum_k lambda_k y_k,   lambda_k ~ 1 / |u - c_k|

over u's own cell and the d others whose centres c_k (their mean noise) are nearest, without those
y_k whose normal (y_k, -1) makes more than ``angle`` radians with that of T(u): no code lies between
two modes, where a continuous generator puts some (mode mixture). Angle 0 leaves T(u): training
images, as the auto-encoder rebuilds them. The default, 0.7, is that of the authors' script; the
scale of codes, which nothing fixes, decides what it means.

Where the script differs: its noise is uniform, here it is the suite's prior; it makes one code of
two vertices by a fixed weight, and keeps no noise without a neighbour, here the paper's map is
applied to whatever noise there is; its descent is Adam until the worst mass is within 1 % or 20,000
steps are over, here the masses that were reached stand in the history (``cells_chi_square``: 1
where nothing but the count's own noise is left). Every iteration solves for the codes it has
reached, from the heights before. As of the correction of ``short_run_ot``, transport's time is
counted and its FLOPs are not. ``extended_share`` of the samples are no codes of training images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ltvm.errors import require
from ltvm.methods.ae import AutoEncoder
from ltvm.methods.base import EVALUATION_BATCH, check_counts
from ltvm.methods.problem import Problem
from ltvm.transport.semidiscrete import Cells, descend, measure


class AutoEncoderOT(AutoEncoder):
    """AE-OT; each of ``transport_steps`` has one draw per code, cells' centres ``centre_draws``."""

    heights: Tensor  # of the codes' cells [n]
    centres: Tensor  # of these cells [n, d]

    def __init__(
        self,
        problem: Problem,
        *,
        encoder: Mapping[str, Any] | None,
        angle: float,
        transport_steps: int,
        centre_draws: int,
    ) -> None:
        require(0 <= angle <= math.pi, "method.angle", angle, "0 to pi")
        check_counts(transport_steps=transport_steps, centre_draws=centre_draws)
        self.angle, self.transport_steps = angle, transport_steps
        self.centre_draws = centre_draws
        super().__init__(problem, encoder=encoder)
        self.heights = self.codes.new_zeros(len(self.codes))
        self.centres = torch.full_like(self.codes, math.nan)  # unknown

    def complete(self, encoded: Tensor) -> dict[str, float]:  # noqa: ARG002
        world = self.problem.world
        with self.problem.clock.phase("transport"):
            scalars = world.first(self.transport)
            self.heights = world.from_first(self.heights)
            self.centres = world.from_first(self.centres)
        return scalars

    def transport(self) -> dict[str, float]:
        """Heights and centres of the codes' cells; what is to be known of them."""
        generator, n = self.problem.stream("transport", self.iteration), len(self.codes)

        def draw(m: int) -> Tensor:
            return self.problem.sample_prior(m, generator)

        begun = self.heights if self.iteration else None
        self.heights = descend(self.codes, draw, steps=self.transport_steps, draws=n, heights=begun)
        cells, chi_square = measure(self.codes, self.heights, draw, self.centre_draws * n)
        self.centres = cells.centres
        noise = draw(min(n, EVALUATION_BATCH))
        moved = (cells.extend(noise, self.angle) != self.codes[cells.of(noise)]).any(1)
        return {"cells_chi_square": chi_square, "extended_share": moved.float().mean().item()}

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        """Prior draws, mapped to the codes and between them."""
        noise = self.problem.sample_prior(n, generator)
        cells = Cells(self.codes, self.heights, self.centres)
        return torch.cat([cells.extend(part, self.angle) for part in noise.split(EVALUATION_BATCH)])

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "heights": self.heights, "centres": self.centres}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.heights = state["heights"].to(self.problem.device, copy=True)
        self.centres = state["centres"].to(self.problem.device, copy=True)
