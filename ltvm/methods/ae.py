"""Auto-encoder, sampled by a Gaussian that is fitted to its codes.

    loss = |x - g(z)|^2 / (2 sigma^2),   z = e(x)

A code has no law of its own, so sigma is a mere factor of the loss, which Adam does not see:
codes, decoder and samples are those of any other sigma. Samples are g(z), z ~ N(m, S) with the
mean and the full covariance of the codes of the training images (ex-post density estimation:
Ghosh, Sajjadi, Vergari, Black and Schoelkopf, "From variational to deterministic autoencoders",
ICLR 2020, section 4); the suite's prior plays no part. It is the AE of their Table 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltvm.densities import Gaussian
from ltvm.methods.budget import Visit
from ltvm.methods.encoder_method import EncoderMethod
from ltvm.models.batchnorm import statistics


class AutoEncoder(EncoderMethod):
    """A deterministic auto-encoder; subclasses add a ``penalty`` to its loss."""

    samples_need_codes = True
    largest_code = math.inf  # nothing holds their size

    def learn(self, visit: Visit) -> Tensor:
        images = self.problem.images.scaled(visit.images)
        with (
            statistics(self.encoder, "learn"),
            statistics(self.decoder, "learn"),
            self.computing(),
        ):
            codes = self.encoder(images).float()[:, : self.problem.latent_dim]
            made = self.decoder(codes).float()
        misfit = (images - made).flatten(1).square().sum(1) / (2 * self.problem.sigma**2)
        loss = self.step_optimizer(misfit.mean() + self.penalty(visit, codes, made), len(images))
        self.update_prior(codes)
        return loss

    def penalty(self, visit: Visit, codes: Tensor, made: Tensor) -> Tensor | float:  # noqa: ARG002
        """What is added to the mean misfit of a batch: codes [n, d], decoded images."""
        return 0.0

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        """From the Gaussian of the training images' codes."""
        density = Gaussian()
        density.fit(self.codes, generator)
        return density.sample(n, generator).to(self.codes.device)
