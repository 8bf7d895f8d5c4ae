"""Wasserstein auto-encoder, WAE-MMD (Tolstikhin, Bousquet, Gelly and Schoelkopf, ICLR 2018).

Their Algorithm 2, with a deterministic encoder z = e(x): squared error, and lambda times the
unbiased estimate of the MMD between the codes of a batch and as many draws of the prior, under the
inverse multiquadratic kernel k(a, b) = C / (C + |a - b|^2). The authors' script adds up seven
kernels, C = 2 d s for s = 0.1 to 10 (2 d is the mean |a - b|^2 of N(0, I)), and has for pixels y in
[0, 1], on MNIST,

    0.05 |x - y|^2 + 10 MMD

Pixels in [-1, 1] have four times that squared error, so the loss here is 40 / sigma^2 times it:

    loss = |x - g(z)|^2 / (2 sigma^2) + (40 lambda / sigma^2) MMD,   lambda = 10

and lambda is the published one whatever sigma is: sigma is a mere factor, as it is for ``ae``.
The script's pretraining of the encoder (matching two moments of the prior) is left out: it would be
spent outside of the budget. Samples are the prior's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ltvm.errors import require
from ltvm.methods.ae import AutoEncoder
from ltvm.methods.budget import Visit
from ltvm.methods.problem import Problem
from ltvm.models.flops import operations
from ltvm.runtime.randomness import ImageDraws

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the seven kernels


class WassersteinAutoEncoder(AutoEncoder):
    """WAE-MMD; ``mmd_weight`` is the script's lambda."""

    samples_need_codes = False

    def __init__(
        self, problem: Problem, *, encoder: Mapping[str, Any] | None, mmd_weight: float
    ) -> None:
        require(mmd_weight >= 0, "method.mmd_weight", mmd_weight, "0 or more")
        self.mmd_weight = mmd_weight
        super().__init__(problem, encoder=encoder)

    def penalty(self, visit: Visit, codes: Tensor, made: Tensor) -> Tensor | float:  # noqa: ARG002
        """The MMD of the whole batch, also where several processes share it."""
        problem, whole = self.problem, len(visit.batch)
        key = problem.stream_key("noise", visit.sweep)
        draws = self.prior.sample(whole, ImageDraws(key, visit.batch)).detach()
        weight = 40 * self.mmd_weight / problem.sigma**2
        if problem.world.size == 1:
            return weight * mmd(codes, draws)
        everyones = problem.world.gather(codes.detach(), whole)
        own = problem.world.share(torch.arange(whole, device=codes.device))
        everyones = everyones.index_copy(0, own, codes)
        distance = mmd(everyones, draws)
        # A process's loss counts by its share of the images, but its codes have all the gradient.
        distance = distance.detach() + whole / len(codes) * (distance - distance.detach())
        return weight * distance

    def step_flops(self) -> int:
        compared = mmd_flops(self.problem.budget.batch, self.codes.shape[1])
        return super().step_flops() + self.problem.prior_draw.flops + compared

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        return self.problem.sample_prior(n, generator)


def mmd(codes: Tensor, draws: Tensor) -> Tensor:
    """Unbiased estimate of the squared MMD of two laws by draws [n, d] and [n, d] of each.

    Its expectation is 0 for equal laws, so that it may be negative (Gretton et al., JMLR 2012,
    equation 3). The kernel is the sum of the seven.
    """
    n, d = codes.shape

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squares = a.square().sum(1)[:, None] - 2 * a @ b.T + b.square().sum(1)[None]
        sizes = [2 * d * scale for scale in SCALES]
        return torch.stack([size / (size + squares) for size in sizes]).sum(0)

    apart = 1 - torch.eye(n, device=codes.device)
    within = ((kernel(codes, codes) + kernel(draws, draws)) * apart).sum() / (n * (n - 1))
    return within - 2 * kernel(codes, draws).mean()


def mmd_flops(n: int, d: int) -> int:
    """Operations per image of the MMD of a batch of ``n`` codes, forward and backward."""
    codes = torch.zeros(n, d, requires_grad=True)
    return operations(lambda: mmd(codes, torch.zeros(n, d)).backward()) // n
