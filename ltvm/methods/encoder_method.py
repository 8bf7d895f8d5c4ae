"""What the methods whose codes come from an encoder have in common."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ltvm.errors import require
from ltvm.methods.base import EVALUATION_BATCH, Method
from ltvm.methods.budget import Price, Visit
from ltvm.methods.problem import Problem
from ltvm.models.batchnorm import statistics
from ltvm.models.flops import autoencoder_flops, encoder_flops


class EncoderMethod(Method):
    """An encoder that mirrors the decoder, and an Adam step on both per visit (``learn``).

    The encoder makes [n, 2 d], of which the first half are the codes; what the second half is,
    if anything, is the method's own. All allowance goes into visits, but for what encoding the
    training images takes where samples are made from their codes (``samples_need_codes``), which
    leave a prior that learns without a use. Where terms are equal in seconds, what follows the
    visits is expected to take as long as it last did.
    """

    largest_code: ClassVar[float] = 1e3  # |z|^2 / d that no code may exceed
    learns_last: ClassVar[bool] = False  # ``complete`` spends what is left of the allowance
    loss_name: ClassVar[str] = "loss"  # of what ``learn`` returns, in the history
    seconds_after = 0.0  # of the last iteration's clock, after ``learn``

    def __init__(self, problem: Problem, *, encoder: Mapping[str, Any] | None) -> None:
        learns = bool(list(problem.prior.parameters()))
        require(
            not (learns and self.samples_need_codes), "prior", type(problem.prior).__name__,
            "one without parameters: samples of this method come from its own codes",
        )  # fmt: skip
        self.encoder = problem.new_encoder(encoder)
        super().__init__(problem)

    def learned_parameters(self) -> list[nn.Parameter]:
        return [*super().learned_parameters(), *self.encoder.parameters()]

    @abstractmethod
    def learn(self, visit: Visit) -> Tensor:
        """An Adam step; returns the mean loss (nats per image, up to a constant)."""

    def fit_iteration(self) -> dict[str, float]:
        phase, needed = self.problem.clock.phase, self.samples_need_codes
        with phase("learning"):
            scalars = {self.loss_name: self.learn_by(self.learn, self.price, self.learning_share)}
        learned = self.spent()
        with phase("learning" if needed else "evaluation"):
            encoded = self.problem.world.from_first(self.encode_training_images())
            self.flops += self.encoding_flops if needed else 0
        self.codes = encoded.chunk(2, dim=1)[0].contiguous()
        self.check_codes(self.codes, self.largest_code)
        scalars |= self.complete(encoded)
        if self.problem.budget.equal == "seconds" and not self.learns_last:
            self.seconds_after = self.spent() - learned
        self.iteration += 1
        return scalars

    def complete(self, encoded: Tensor) -> dict[str, float]:  # noqa: ARG002
        """What is left to do of an iteration, given what the encoder makes of all images.

        Returns further scalars for the history.
        """
        return {}

    # Cost

    @cached_property
    def price(self) -> Price:
        """Of a visit: a pass through each network, and an Adam step on both."""
        step = Price(passes=2, flops=self.step_flops(), updates=1)
        return step + self.problem.prior_update

    def step_flops(self) -> int:
        """Operations per image of ``learn``, an update of the prior apart."""
        return autoencoder_flops(self.encoder, self.decoder, self.problem.images.shape)

    @cached_property
    def encoding_flops(self) -> int:
        """Operations of one forward pass of all training images through the encoder.

        A pass without its backward is not counted among the passes.
        """
        images = self.problem.images
        return len(images) * encoder_flops(self.encoder, images.shape)

    @property
    def learning_share(self) -> float:
        """Of an iteration's allowance that ``learn`` may spend."""
        return self.share_without_encoding

    @property
    def share_without_encoding(self) -> float:
        """Of an iteration's allowance, where its price has to be paid."""
        problem = self.problem
        if problem.budget.equal == "seconds":
            return max(0.0, 1 - self.seconds_after / problem.allowance)
        if not self.samples_need_codes or problem.budget.equal != "flops":
            return 1.0
        return max(0.0, 1 - self.encoding_flops / problem.allowance)

    # Codes

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """What the encoder makes of images [n, c, h, w]: [n, 2 d], with running statistics."""
        with statistics(self.encoder, "running"):
            return torch.cat([self.encoder(part) for part in images.split(EVALUATION_BATCH)])

    def encode_training_images(self) -> Tensor:
        """``encode`` over the training images, without a float copy of them all."""
        images = self.problem.images
        edges = [*range(0, len(images), EVALUATION_BATCH), len(images)]
        parts = [self.encode(images.scaled(slice(a, b))) for a, b in itertools.pairwise(edges)]
        return torch.cat(parts)

    def infer(self, images: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """The encoder's code."""
        return self.encode(images).chunk(2, dim=1)[0]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "encoder": self.encoder.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.encoder.load_state_dict(state["encoder"])
