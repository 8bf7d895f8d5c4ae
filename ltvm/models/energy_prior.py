"""An energy-based prior, sampled by a short Langevin chain (LEBM).

Pang, Han, Nijkamp, Zhu and Wu, "Learning latent space energy-based prior model", NeurIPS 2020:

    p(z) = exp(f(z)) N(z; 0, I) / Z                                     (equation 2)
    z <- z - s^2/2 grad (|z|^2/2 - f(z)) + s noise,  z_0 ~ N(0, I)      (equation 7)
    gradient of the loss: E_p grad f(z) - mean_i grad f(z_i)            (equation 8; ``Prior.loss``)

with codes z_i from short-run chains on the posterior. f is their network: two hidden layers, GELU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltvm.errors import require
from ltvm.models.prior import Prior
from ltvm.models.weights import frozen
from ltvm.runtime.randomness import Draws


class EnergyBased(Prior):
    """exp(f(z)) N(z; 0, I), f of hidden layers of ``width``; ``steps`` of ``size`` s draw from it.

    Adam's rate on f is ``rate_ratio`` times ``decoder_rate``, so that it follows a protocol's.
    """

    def __init__(
        self,
        latent_dim: int,
        *,
        width: int,
        steps: int,
        size: float,
        decoder_rate: float,
        rate_ratio: float,
    ) -> None:
        super().__init__(latent_dim)
        require(width >= 1, "prior.width", width, "1 or more")
        require(steps >= 0, "prior.steps", steps, "0 or more")
        require(size > 0, "prior.size", size, "above 0")
        require(rate_ratio > 0, "prior.rate_ratio", rate_ratio, "above 0")
        self.steps, self.size, self.rate = steps, size, rate_ratio * decoder_rate
        self.f = nn.Sequential(
            nn.Linear(latent_dim, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, 1),
        )

    @property
    def own_rate(self) -> float:
        return self.rate

    def energy(self, codes: Tensor) -> Tensor:
        """|z|^2 / 2 - f(z)"""
        return codes.square().sum(1) / 2 - self.f(codes).squeeze(1)

    def sample(self, n: int, draws: Draws) -> Tensor:
        codes = draws.normal(n, self.latent_dim)
        with frozen(self), torch.enable_grad():  # samples are drawn under no_grad as well
            for _ in range(self.steps):
                codes.requires_grad_(True)
                (gradient,) = torch.autograd.grad(self.energy(codes).sum(), codes)
                noise = draws.normal(n, self.latent_dim)
                codes = codes.detach() - self.size**2 / 2 * gradient + self.size * noise
        return codes.detach()
