"""Short-run inference of codes, as one reads it.

An, Xie and Li, CVPR 2021; Nijkamp et al., ECCV 2020.

Energy of a code z given an image x, sums over pixels, one value per image:

    U(z; x) = |x - g(z)|^2 / (2 sigma^2) - log p(z)        (= -log p(x, z) + constant)

A chain is K steps of a kernel (``ltvm.chain.kernels``) on U, by default of Langevin dynamics.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ltvm.chain.kernels.base import Constants, Kernel, State
from ltvm.models.batchnorm import statistics
from ltvm.models.prior import Prior
from ltvm.models.weights import frozen


def energy(
    decoder: nn.Module,
    images: Tensor,
    codes: Tensor,
    *,
    sigma: float | Tensor,
    prior: Prior,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """U(z; x) per image: images [n, c, h, w] in [-1, 1] and codes [n, d] -> [n], float32.

    ``dtype`` is what the decoder takes, if not float32.
    """
    residual = images - decoder(codes if dtype is None else codes.to(dtype)).float()
    return residual.flatten(1).square().sum(1) / (2 * sigma**2) + prior.energy(codes)


def short_run(
    decoder: nn.Module,
    images: Tensor,
    state: State,
    *,
    kernel: Kernel,
    constants: Constants,
    steps: int,
    sigma: float | Tensor,
    prior: Prior,
    noise: Tensor | None,
    batchnorm: Literal["batch", "running"] = "batch",
    dtype: torch.dtype | None = None,
) -> State:
    """Run ``steps`` steps of ``kernel`` from ``state``, given ``images`` [n, c, h, w] in [-1, 1].

    ``state`` is as ``kernel.init`` makes it, codes [n, d] in float32 among it; returns a new one
    with the same entries. ``noise`` is standard normal [steps, n, width] (see
    ``ltvm.runtime.randomness``), or None where the kernel's ``noise_width`` is 0. The decoder's
    weights and the prior's are frozen while the chain runs, so that a pass computes one gradient,
    that of the codes. ``batchnorm`` chooses where batch norm takes its statistics; with
    ``running`` (or a decoder without batch norm) an image's code does not depend on the other
    images. ``dtype`` is the decoder's, if not float32; the rest stays in float32.

    This loop is the reference; ``ltvm.chain.engine`` runs the same steps fast.
    """

    @torch.enable_grad()
    def potential(codes: Tensor) -> tuple[Tensor, Tensor]:
        codes = codes.detach().requires_grad_(True)
        values = energy(decoder, images, codes, sigma=sigma, prior=prior, dtype=dtype)
        (gradient,) = torch.autograd.grad(values.sum(), codes)
        return values.detach(), gradient

    entries = tuple(state)
    state = {name: value.detach() for name, value in state.items()}
    with frozen(decoder), frozen(prior), statistics(decoder, batchnorm):
        for step in range(steps):
            state = kernel.step(state, potential, None if noise is None else noise[step], constants)
    return {name: state[name] for name in entries}
