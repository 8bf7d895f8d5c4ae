"""What every method is given, so that all of them compete on equal terms."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ltvm.chain.execution import Execution
from ltvm.data.image_set import ImageSet
from ltvm.errors import require
from ltvm.methods.budget import Budget, Price
from ltvm.models.batchnorm import Sharing, share_batchnorm
from ltvm.models.flops import ModelFlops, model_flops
from ltvm.models.networks import build_decoder, build_encoder
from ltvm.models.prior import Prior, StandardNormal
from ltvm.runtime.clock import Clock
from ltvm.runtime.distributed import ALONE, World
from ltvm.runtime.randomness import (
    GeneratorDraws,
    number_of_batches,
    smallest_batch,
    stream,
    stream_key,
)


def no_progress(done: float, doing: str) -> None:
    """Ignore progress."""


@dataclass
class Problem:
    """Training images, model and budget: everything but the method.

    ``decoder`` are its parameters, as in ``config["decoder"]``; ``prior`` is None for N(0, I). For
    the same ``seed`` every method starts from the same decoder weights, visits the images in the
    same order and draws the same prior samples. ``progress(done, doing)`` takes the fraction of the
    current iteration and what is being done. The processes of ``world`` share every batch, and
    ``statistics`` says of what batch norm takes them: of the whole of it, or of each share.
    """

    images: ImageSet
    decoder: Mapping[str, Any]
    latent_dim: int
    sigma: float
    budget: Budget
    seed: int
    betas: tuple[float, float] = (0.5, 0.99)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    execution: Execution = field(default_factory=Execution)
    progress: Callable[[float, str], None] = no_progress
    world: World = ALONE
    statistics: Sharing = "synchronised"
    prior: Prior = None  # type: ignore[assignment]  # never None once made

    def __post_init__(self) -> None:
        require(self.sigma > 0, "model.sigma", self.sigma, "above 0")
        require(
            self.budget.batch <= len(self.images),
            "protocol.batch",
            self.budget.batch,
            f"at most the {len(self.images)} training images of {self.images.name}",
        )
        require(
            len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
            "optimizer.betas",
            list(self.betas),
            "two numbers in [0, 1)",
        )
        size = self.world.size
        require(
            size == 1 or smallest_batch(len(self.images), self.budget.batch) >= 2 * size,
            "protocol.batch", self.budget.batch,
            f"two images of every batch, the last one included, for each of {size} processes",
        )  # fmt: skip
        prior = StandardNormal(self.latent_dim) if self.prior is None else self.prior
        self.prior = prior.to(self.device)
        self.clock = Clock(self.device)

    @cached_property
    def flops(self) -> ModelFlops:
        """Operations per image of a chain step, a decoder update, and what the prior does."""
        return model_flops(self.new_decoder(), self.prior, self.latent_dim)

    @property
    def chain_step(self) -> Price:
        """The price of one gradient of U(z; x) with respect to a code."""
        return Price(passes=1, flops=self.flops.chain)

    @property
    def decoder_update(self) -> Price:
        """The price of an Adam step on the decoder."""
        return Price(passes=1, flops=self.flops.update, updates=1)

    @property
    def prior_update(self) -> Price:
        """The price of the Adam steps on the prior at a visit, where it has parameters."""
        return Price(flops=self.flops.prior_update * self.prior.updates)

    @property
    def prior_draw(self) -> Price:
        """The price of a draw of the prior: no pass, but FLOPs where it is a chain or a network."""
        return Price(flops=self.flops.prior_sample)

    @property
    def allowance(self) -> float:
        """What an outer iteration may spend, in the budget's currency.

        It is the same whatever the prior: what a method does with a prior of its own it pays for.
        """
        n = len(self.images)
        batches = number_of_batches(n, self.budget.batch)
        chain = Price(passes=1, flops=self.flops.chain - self.flops.prior_gradient)
        return self.budget.allowance(chain, self.decoder_update, n, batches)

    def stream(self, purpose: str, *axes: int) -> torch.Generator:
        """A generator for this seed and purpose (see ``ltvm.runtime.randomness``)."""
        return stream(self.seed, purpose, *axes)

    def stream_key(self, purpose: str, *axes: int) -> int:
        """A key for draws per image, for this seed and purpose."""
        return stream_key(self.seed, purpose, *axes)

    def sample_prior(self, n: int, generator: torch.Generator) -> Tensor:
        """Prior draws [n, d] on the device."""
        return self.prior.sample(n, GeneratorDraws(generator, self.device))

    def describe_execution(self) -> str:
        """How it is computed, in words: what is no part of a run's identity but may round."""
        several = f", {self.world.size} processes" if self.world.size > 1 else ""
        return f"{self.execution}{several}"

    def describe_decoder(self) -> str:
        """The decoder in words, as far as its speed depends on it."""
        own = {k: v for k, v in self.decoder.items() if k not in ("name", "encoder", "_target_")}
        name = self.decoder.get("name", self.decoder["_target_"])
        channels = self.images.channels
        return f"{name} decoder, d={self.latent_dim}, {channels} channels, {json.dumps(own)}"

    def new_decoder(self) -> nn.Module:
        """The decoder with this seed's initial weights, on the device."""
        decoder = build_decoder(self.decoder, self.latent_dim, self.images.shape, self.seed)
        return self.prepare(decoder)

    def new_encoder(self, parameters: Mapping[str, Any] | None) -> nn.Module:
        """An encoder with this seed's initial weights, on the device."""
        norm = self.decoder.get("norm", "batch")
        encoder = build_encoder(parameters, self.latent_dim, self.images.shape, self.seed, norm)
        return self.prepare(encoder)

    def prepare(self, network: nn.Module) -> nn.Module:
        """A network on the device, as the execution lays it out and for processes that share."""
        network = self.execution.prepare(network.to(self.device))
        return share_batchnorm(network, self.statistics, self.world)
