"""A small diffusion of codes that is sampled from, as in latent diffusion, in the form of EDM.

Rombach et al., "High-resolution image synthesis with latent diffusion models", CVPR 2022: codes
are regularised by N(0, I) where they are inferred, and a diffusion learns what they are and is
sampled from. So ``energy``, which chains and bounds ask for, is that of N(0, I), and ``sample`` is
the diffusion's: a prior whose two halves differ, on purpose.

Karras, Aittala, Aila and Laine, "Elucidating the design space of diffusion-based generative
models", NeurIPS 2022, with sigma_data = 1, that of N(0, I), and noise levels s:

    D(x; s) = x / (s^2 + 1) + s / sqrt(s^2 + 1) F(x / sqrt(s^2 + 1), log(s) / 4)          (7)
    loss = mean (s^2 + 1) / s^2 |D(z + s noise; s) - z|^2 / d,  log s ~ N(mean, spread)   (8)
    dx/ds = (x - D(x; s)) / s, by Heun's method                                (algorithm 1)
    s_i = (smax^(1/7) + i / (levels - 1) (smin^(1/7) - smax^(1/7)))^7, then 0             (5)

F ends in a layer of zeros at first, where D is the denoiser of N(0, I) and so the prior is that.
No average of weights, no stochastic steps.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from ltvm.errors import require
from ltvm.models.prior import StandardNormal
from ltvm.runtime.randomness import Draws

FREQUENCIES = 8  # of the sines and cosines by which F is told the level
RHO = 7.0  # how levels crowd at the small end


class Diffusion(StandardNormal):
    """F of two hidden layers of ``width``; ``levels`` of noise from ``largest`` to ``smallest``.

    A draw takes 2 ``levels`` - 1 evaluations of F. ``updates`` Adam steps at every visited batch.
    """

    is_standard_normal = False
    samples_exactly = False

    def __init__(
        self,
        latent_dim: int,
        *,
        width: int,
        levels: int,
        smallest: float,
        largest: float,
        level_mean: float,
        level_spread: float,
        updates: int,
    ) -> None:
        super().__init__(latent_dim)
        require(width >= 1, "prior.width", width, "1 or more")
        require(levels >= 2, "prior.levels", levels, "2 or more")
        require(0 < smallest < largest, "prior.smallest", smallest, f"above 0, below {largest}")
        require(level_spread > 0, "prior.level_spread", level_spread, "above 0")
        require(updates >= 1, "prior.updates", updates, "1 or more")
        self.updates, self.level_mean, self.level_spread = updates, level_mean, level_spread
        first, last = largest ** (1 / RHO), smallest ** (1 / RHO)
        along = [i / (levels - 1) for i in range(levels)]
        self.noise_levels = [*((first + at * (last - first)) ** RHO for at in along), 0.0]
        self.network = nn.Sequential(
            nn.Linear(latent_dim + 2 * FREQUENCIES, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, latent_dim),
        )
        for weights in self.network[-1].parameters():
            nn.init.zeros_(weights)

    def denoise(self, codes: Tensor, level: Tensor) -> Tensor:
        """D(x; s): noisy codes [n, d] and their levels s [n, 1] -> [n, d]."""
        total = (level.square() + 1).sqrt()
        frequencies = 2.0 ** torch.arange(FREQUENCIES, device=codes.device) / 4
        angles = level.log() / 4 * frequencies  # [n, FREQUENCIES]
        inputs = torch.cat([codes / total, angles.cos(), angles.sin()], dim=1)
        return codes / total.square() + level / total * self.network(inputs)

    def loss(self, codes: Tensor, draws: Draws) -> Tensor:
        n = len(codes)
        level = (self.level_mean + self.level_spread * draws.normal(n, 1)).exp()
        noisy = codes + level * draws.normal(n, self.latent_dim)
        weight = (level.square() + 1) / level.square()
        return (weight * (self.denoise(noisy, level) - codes).square()).mean()

    @torch.no_grad()
    def sample(self, n: int, draws: Draws) -> Tensor:
        codes = self.noise_levels[0] * draws.normal(n, self.latent_dim)
        for level, next_level in itertools.pairwise(self.noise_levels):
            slope = self.slope(codes, level)
            ahead = codes + (next_level - level) * slope
            if next_level > 0:  # Heun's second half; the last step is Euler's
                slope = (slope + self.slope(ahead, next_level)) / 2
                ahead = codes + (next_level - level) * slope
            codes = ahead
        return codes

    def slope(self, codes: Tensor, level: float) -> Tensor:
        """dx/ds at the same level of all codes."""
        return (codes - self.denoise(codes, codes.new_full((len(codes), 1), level))) / level
