"""Regularised auto-encoder, RAE (Ghosh, Sajjadi, Vergari, Black and Schoelkopf, ICLR 2020).

Their L_RAE = L_REC + beta L_Z + lambda L_REG (section 3): a squared error, |z|^2, and what keeps
the decoder smooth: its weights' squares (RAE-L2, ``rae``) or its gradient (RAE-GP, ``rae_gp``). The
authors' script, for pixels y in [0, 1], has means where the paper has sums:

    mean_pixels (x - y)^2 + beta mean_d z^2 + lambda |W|^2 + lambda' mean_d (d |y|^2 / dz)^2

Of D pixels in [-1, 1] the squared error is |x - g(z)|^2 / (4 D), so the loss here is that one
times 2 D / sigma^2, which makes it |x - g(z)|^2 / (2 sigma^2) + ... and every weight the published
one, whatever sigma is: sigma is a mere factor, as it is for ``ae``. At sigma = 0.3, D = 784 and
d = 30 the embedding's 1e-4 is 0.058 |z|^2, the energy of N(0, 8.6 I).

The paper's gradient penalty is that of the decoder at the code; the script, whose weight this is,
takes the gradient of the sum of squared pixels, which is done here. W are the decoder's matrices
and kernels; the script regularises its transposed convolutions alone. Samples as of ``ae``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ltvm.errors import require
from ltvm.methods.ae import AutoEncoder
from ltvm.methods.budget import Visit
from ltvm.methods.problem import Problem
from ltvm.models.batchnorm import synchronises
from ltvm.models.flops import autoencoder_flops


class RegularizedAutoEncoder(AutoEncoder):
    """RAE; all weights zero is ``ae``."""

    def __init__(
        self,
        problem: Problem,
        *,
        encoder: Mapping[str, Any] | None,
        embedding_weight: float,
        decoder_weight: float,
        gradient_weight: float,
    ) -> None:
        weights = {
            "embedding_weight": embedding_weight, "decoder_weight": decoder_weight,
            "gradient_weight": gradient_weight,
        }  # fmt: skip
        for key, value in weights.items():
            require(value >= 0, f"method.{key}", value, "0 or more")
        self.embedding_weight, self.decoder_weight = embedding_weight, decoder_weight
        self.gradient_weight = gradient_weight
        super().__init__(problem, encoder=encoder)
        require(
            not (gradient_weight and synchronises(self.decoder)), "method.gradient_weight",
            gradient_weight, "0 in several processes, or distributed.batchnorm=per_shard",
        )  # fmt: skip
        self.scale = 2 * math.prod(problem.images.shape) / problem.sigma**2  # of the script's loss

    def penalty(self, visit: Visit, codes: Tensor, made: Tensor) -> Tensor | float:  # noqa: ARG002
        terms: list[Tensor] = []
        if self.embedding_weight:
            terms.append(self.embedding_weight * codes.square().mean())
        if self.decoder_weight:
            kernels = [p for p in self.decoder.parameters() if p.ndim > 1]
            squares = torch.stack([kernel.square().sum() for kernel in kernels])
            terms.append(self.decoder_weight * squares.sum())
        if self.gradient_weight:
            terms.append(self.gradient_weight * gradient_penalty(codes, made))
        return self.scale * torch.stack(terms).sum() if terms else 0.0

    def step_flops(self) -> int:
        """As of ``ae``, with what the gradient of the gradient takes."""
        penalty = gradient_penalty if self.gradient_weight else None
        shape = self.problem.images.shape
        return autoencoder_flops(self.encoder, self.decoder, shape, penalty)


def gradient_penalty(codes: Tensor, made: Tensor) -> Tensor:
    """mean over images and d of (d |y|^2 / dz)^2, y the decoded images in [0, 1]; has a graph.

    ``made`` are the decoded images of codes [n, d] in [-1, 1], with the graph that made them.
    """
    squares = ((made + 1) / 2).square().sum()
    (gradient,) = torch.autograd.grad(squares, codes, create_graph=True)
    return gradient.square().mean()
