"""What every method is given, so that all of them compete on equal terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ltvm.chain.execution import Execution
from ltvm.data.image_set import ImageSet
from ltvm.errors import InputError, require
from ltvm.methods.budget import Budget
from ltvm.models.batchnorm import Norm
from ltvm.models.decoders import ARCHITECTURES, build_decoder
from ltvm.runtime.clock import Clock
from ltvm.runtime.randomness import normal, stream, stream_key


def no_progress(done: float, doing: str) -> None:
    """Ignore progress."""


@dataclass
class Problem:
    """Training images, model and budget: everything but the method.

    For the same ``seed`` every method starts from the same decoder weights, visits the images
    in the same order and draws the same prior samples. ``progress(done, doing)`` takes the
    fraction of the current iteration and what is being done.
    """

    images: ImageSet
    architecture: str
    latent_dim: int
    sigma: float
    budget: Budget
    seed: int
    norm: Norm = "batch"
    stem_norm: bool = True
    betas: tuple[float, float] = (0.5, 0.99)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    execution: Execution = field(default_factory=Execution)
    progress: Callable[[float, str], None] = no_progress

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
        decoder_size = ARCHITECTURES.get(self.architecture)
        if decoder_size is not None and decoder_size.size != self.images.size:
            raise InputError(
                f"decoder.architecture={self.architecture}: makes {decoder_size.size}x"
                f"{decoder_size.size} images, data={self.images.name} has {self.images.size}x"
                f"{self.images.size}"
            )
        self.clock = Clock(self.device)

    def stream(self, purpose: str, *axes: int) -> torch.Generator:
        """A generator for this seed and purpose (see ``ltvm.runtime.randomness``)."""
        return stream(self.seed, purpose, *axes)

    def stream_key(self, purpose: str, *axes: int) -> int:
        """A key for draws per image, for this seed and purpose."""
        return stream_key(self.seed, purpose, *axes)

    def normal(self, n: int, generator: torch.Generator) -> Tensor:
        """Prior draws [n, d], standard normal, on the device."""
        return normal((n, self.latent_dim), generator, self.device)

    def describe_decoder(self) -> str:
        """The decoder in words, as far as its speed depends on it."""
        stem = "" if self.stem_norm else " but none at the stem"
        return (
            f"{self.architecture} decoder, d={self.latent_dim}, {self.images.channels} channels, "
            f"{self.norm} norm{stem}"
        )

    def new_decoder(self) -> nn.Module:
        """The decoder with this seed's initial weights, on the device."""
        decoder = build_decoder(
            self.architecture,
            self.latent_dim,
            self.images.channels,
            norm=self.norm,
            stem_norm=self.stem_norm,
            generator=stream(self.seed, "decoder"),
        )
        return self.execution.prepare(decoder.to(self.device))
