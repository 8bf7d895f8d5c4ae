"""Variational auto-encoder (Kingma and Welling, ICLR 2014), with this suite's likelihood.

Mirrored encoder, the same decoder, Gaussian likelihood with the same sigma, analytic KL:

    loss = |x - g(z)|^2 / (2 sigma^2) + KL(q(z | x) || N(0, I)),   z ~ q(z | x)

Under another prior, KL is estimated at that z: the prior's U(z) minus the entropy of q(z | x),
up to constants. An implicit sigma = 1 against MCMC methods with sigma = 0.3 would be no fair fight.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ltvm.methods.base import EVALUATION_BATCH, Method
from ltvm.methods.budget import Price, Visit
from ltvm.methods.problem import Problem
from ltvm.models.batchnorm import statistics
from ltvm.models.flops import IMAGES, on_cpu, operations
from ltvm.runtime.randomness import image_normals, normal


class VariationalAutoEncoder(Method):
    """VAE; all its allowance goes into learning, an Adam step on both networks per visit."""

    def __init__(self, problem: Problem, *, encoder: Mapping[str, Any] | None) -> None:
        self.encoder = problem.new_encoder(encoder)
        super().__init__(problem)

    def learned_parameters(self) -> list[nn.Parameter]:
        return [*super().learned_parameters(), *self.encoder.parameters()]

    def fit_iteration(self) -> dict[str, float]:
        with self.problem.clock.phase("learning"):
            bound = self.learn_by(self.learn, self.price)
        with self.problem.clock.phase("evaluation"):  # training itself needs no codes
            self.codes = self.problem.world.from_first(self.encode_training_images()[0])
        self.check_codes(self.codes)
        self.iteration += 1
        return {"negative_bound": bound}

    @cached_property
    def price(self) -> Price:
        """Of a visit: a pass through each network, and an Adam step on both."""
        flops = vae_flops(self.encoder, self.decoder, self.problem.images.shape)
        return Price(passes=2, flops=flops, updates=1) + self.problem.prior_update

    def learn(self, visit: Visit) -> Tensor:
        """An Adam step; returns the mean negative evidence bound (nats, up to a constant)."""
        images = self.problem.images.scaled(visit.images)
        with (
            statistics(self.encoder, "learn"),
            statistics(self.decoder, "learn"),
            self.computing(),
        ):
            mean, log_variance = self.encoder(images).float().chunk(2, dim=1)
            key = self.problem.stream_key("noise", visit.sweep)
            noise = image_normals(key, visit.images, 1, mean.shape[1])[0]
            codes = mean + (log_variance / 2).exp() * noise
            residual = images - self.decoder(codes).float()
        likelihood = residual.flatten(1).square().sum(1) / (2 * self.problem.sigma**2)
        divergence = self.divergence(mean, log_variance, codes)
        loss = self.step_optimizer((likelihood + divergence).mean(), len(images))
        self.update_prior(codes)
        return loss

    def divergence(self, mean: Tensor, log_variance: Tensor, codes: Tensor) -> Tensor:
        """KL of N(mean, exp(log_variance)) to the prior [n]; up to a constant if estimated."""
        if self.prior.is_standard_normal:
            return (mean.square() + log_variance.exp() - log_variance - 1).sum(1) / 2
        return self.prior.energy(codes) - log_variance.sum(1) / 2

    @torch.no_grad()
    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z | x), both [n, d], with running statistics."""
        with statistics(self.encoder, "running"):
            parts = [self.encoder(part) for part in images.split(EVALUATION_BATCH)]
        mean, log_variance = torch.cat(parts).chunk(2, dim=1)
        return mean, (log_variance / 2).exp()

    def encode_training_images(self) -> tuple[Tensor, Tensor]:
        """``encode`` over the training images, without a float copy of them all."""
        images = self.problem.images
        edges = [*range(0, len(images), EVALUATION_BATCH), len(images)]
        parts = [self.encode(images.scaled(slice(a, b))) for a, b in itertools.pairwise(edges)]
        means, deviations = zip(*parts, strict=True)
        return torch.cat(means), torch.cat(deviations)

    def infer(self, images: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """The mean of q(z | x)."""
        return self.encode(images)[0]

    def posterior_draws(self) -> Tensor:
        """Draws from q(z | x): the means alone are narrower than the prior by design."""
        mean, deviation = self.encode_training_images()
        draws = normal(tuple(mean.shape), self.problem.stream("posterior draws"), mean.device)
        return mean + deviation * draws

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "encoder": self.encoder.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.encoder.load_state_dict(state["encoder"])


def vae_flops(encoder: nn.Module, decoder: nn.Module, shape: tuple[int, ...]) -> int:
    """Operations per image of a learning step: forward and backward through both networks."""
    encoder, decoder = on_cpu(encoder), on_cpu(decoder)
    images = torch.zeros(IMAGES, *shape)

    def learn() -> None:
        mean, log_variance = encoder(images).chunk(2, dim=1)
        (decoder(mean + log_variance).square().sum() + mean.sum()).backward()

    with statistics(encoder, "running"), statistics(decoder, "running"):
        return operations(learn) // IMAGES
