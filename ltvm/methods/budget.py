"""What an outer iteration may spend, in one of four currencies: equal for all methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from ltvm.errors import require, require_one_of

Currency = Literal["flops", "passes", "updates", "seconds"]
CURRENCIES: tuple[str, ...] = get_args(Currency)


@dataclass(frozen=True)
class Price:
    """What visiting a batch costs: ``passes`` and ``flops`` per image, ``updates`` per batch.

    A pass is one forward and backward for one image, through the decoder or through an encoder
    that mirrors it. ``flops`` are as ``ltvm.models.flops`` counts them, ``updates`` are Adam steps
    on the decoder.
    """

    passes: int = 0
    flops: int = 0
    updates: int = 0

    def __add__(self, other: Price) -> Price:
        return Price(
            self.passes + other.passes, self.flops + other.flops, self.updates + other.updates
        )

    def __mul__(self, times: int) -> Price:
        return Price(self.passes * times, self.flops * times, self.updates * times)

    def of(self, currency: Currency, images: int, batches: int = 1) -> int:
        """The price of so many images in so many batches, in a currency other than seconds."""
        if currency == "updates":
            return self.updates * batches
        return images * (self.passes if currency == "passes" else self.flops)


@dataclass(frozen=True)
class Visit:
    """A batch of training images, of which this process works on its share: all, if it is alone."""

    images: Tensor  # numbers of those in the share, int64 [n]
    sweep: int  # sweeps over all images before this one, all iterations: names random streams
    ends_sweep: bool
    batch: Tensor  # numbers of all, int64 [m]


@dataclass(frozen=True)
class Budget:
    """What one outer iteration of the paper's method does, and with it what all may spend.

    ``equal`` is the currency in which every method spends what that costs, within one batch; for
    ``seconds`` it is ``seconds`` of training per iteration that all spend.
    """

    sweeps: int  # L: sweeps over all images per iteration
    steps: int  # K: chain steps per visit of an image
    updates_per_batch: int  # Adam steps on the decoder per visited batch
    learn_epochs: int  # passes over all images with the corrected codes held fixed
    batch: int  # images per mini-batch
    learning_rate: float = 2e-4
    equal: Currency = "flops"
    seconds: float | None = None

    def __post_init__(self) -> None:
        for key, least in (("sweeps", 1), ("steps", 1), ("updates_per_batch", 0)):
            value = getattr(self, key)
            require(value >= least, f"protocol.{key}", value, f"{least} or more")
        require(self.learn_epochs >= 0, "protocol.learn_epochs", self.learn_epochs, "0 or more")
        require(self.batch >= 2, "protocol.batch", self.batch, "2 or more")
        require(self.learning_rate > 0, "protocol.learning_rate", self.learning_rate, "above 0")
        require_one_of("protocol.equal", self.equal, CURRENCIES)
        if self.equal == "updates":
            made = self.updates_per_batch + self.learn_epochs
            require(
                made >= 1, "protocol.updates_per_batch", self.updates_per_batch,
                "1 or more, or protocol.learn_epochs of 1 or more, with protocol.equal=updates",
            )  # fmt: skip
        if self.equal == "seconds":
            given = self.seconds is not None and self.seconds > 0
            require(given, "protocol.seconds", self.seconds, "above 0, with protocol.equal=seconds")

    def allowance(self, chain: Price, update: Price, images: int, batches: int) -> float:
        """What an iteration may spend in the currency, given the prices of a chain step and of a
        decoder update, the number of images and of the batches of a sweep.
        """
        if self.equal == "seconds":
            assert self.seconds is not None
            return self.seconds
        sweeps = (chain * self.steps + update * self.updates_per_batch) * self.sweeps
        return (sweeps + update * self.learn_epochs).of(self.equal, images, batches)
