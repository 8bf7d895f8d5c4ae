"""Short-run Langevin inference of codes (An, Xie and Li, CVPR 2021; Nijkamp et al., ECCV 2020).

Energy of a code z given an image x, sums over pixels, one value per image:

    U(z; x) = |x - g(z)|^2 / (2 sigma^2) + |z|^2 / 2        (= -log p(x, z) + constant)

One step of the chain:  z <- z - eta * grad_z U(z; x) + tau * noise
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ltvm.errors import require
from ltvm.models.batchnorm import statistics
from ltvm.models.weights import frozen


@dataclass(frozen=True)
class Step:
    """What a step size s means; ``at(iteration)`` gives (eta, tau).

    - ``paper``: eta = s / reference_batch and tau = r_t * s, where r_t starts at 0.1 and
      falls by 0.01 every 5 outer iterations, not below 0. The paper's public script divides
      the energy by its batch of 2,000, whatever batch this machine uses: so do we.
    - ``langevin``: eta = s^2 / 2 and tau = s, the textbook discretisation, whose stationary
      distribution tends to the posterior as s tends to 0.

    ``noise = False`` sets tau to 0 (gradient descent).
    """

    kind: Literal["paper", "langevin"] = "paper"
    size: float = 0.3
    noise: bool = True
    reference_batch: int = 2000

    def __post_init__(self) -> None:
        require(
            self.kind in ("paper", "langevin"), "method.step.kind", self.kind, "paper, langevin"
        )
        require(self.size > 0, "method.step.size", self.size, "above 0")
        require(
            self.reference_batch >= 1, "method.step.reference_batch", self.reference_batch, ">= 1"
        )

    def at(self, iteration: int) -> tuple[float, float]:
        """Return (eta, tau) at an outer iteration, counted from 0."""
        if self.kind == "langevin":
            eta, tau = self.size**2 / 2, self.size
        else:
            ratio = max(0.0, 0.1 - 0.01 * (iteration // 5))
            eta, tau = self.size / self.reference_batch, ratio * self.size
        return eta, tau if self.noise else 0.0


def energy(
    decoder: nn.Module,
    images: Tensor,
    codes: Tensor,
    sigma: float | Tensor,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """U(z; x) per image: images [n, c, h, w] in [-1, 1] and codes [n, d] -> [n], float32.

    ``dtype`` is what the decoder takes, if not float32.
    """
    residual = images - decoder(codes if dtype is None else codes.to(dtype)).float()
    return residual.flatten(1).square().sum(1) / (2 * sigma**2) + codes.square().sum(1) / 2


def short_run(
    decoder: nn.Module,
    images: Tensor,
    codes: Tensor,
    *,
    steps: int,
    eta: float | Tensor,
    tau: float | Tensor,
    sigma: float | Tensor,
    noise: Tensor | None,
    batchnorm: Literal["batch", "running"] = "batch",
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Run ``steps`` Langevin steps on ``codes`` [n, d] given ``images`` [n, c, h, w] in [-1, 1].

    Returns new codes [n, d] in float32. ``noise`` is standard normal [steps, n, d] (see
    ``ltvm.runtime.randomness``), or None for gradient descent. The decoder's weights are
    frozen while the chain runs, so that a step computes one gradient, that of the codes.
    ``batchnorm`` chooses where batch norm takes its statistics; with ``running`` (or a decoder
    without batch norm) an image's code does not depend on the other images. ``dtype`` is the
    decoder's, if not float32; codes, noise and energies stay in float32.

    This loop is the reference; ``ltvm.chain.engine`` runs the same steps fast.
    """
    codes = codes.detach()
    with frozen(decoder), statistics(decoder, batchnorm):
        for step in range(steps):
            codes.requires_grad_(True)
            total = energy(decoder, images, codes, sigma, dtype).sum()
            (gradient,) = torch.autograd.grad(total, codes)
            codes = codes.detach() - eta * gradient
            if noise is not None:
                codes += tau * noise[step]
    return codes
