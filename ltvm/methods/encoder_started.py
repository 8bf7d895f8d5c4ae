"""Chains that an encoder starts, and the correction (amortised MCMC).

Li, Turner and Liu, "Approximate inference with amortised MCMC" (2017): a student q(z | x) starts
the chain, K steps of it are the teacher, and the student follows the teacher by

    max_phi  mean_i log q_phi(z_i,K | x_i)        (their inclusive divergence, KL(q_K || q))

Here q has a fixed variance, so that this is mean |z_i,K - m_phi(x_i)|^2, and chains start at its
mean m, that of the VAE's encoder (its log-variance is not used). With a variance that is learned,
and draws of q as starts, the student learns its own noise where a chain is as short as these, and
codes explode. All else is ``short_run_ot``, whose chains start at the code that an image had.
Theirs has no correction (``alpha`` = 0).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ltvm.chain.kernels.base import State
from ltvm.methods.budget import Price, Visit
from ltvm.methods.problem import Problem
from ltvm.methods.short_run_ot import ShortRunOT
from ltvm.models.batchnorm import statistics
from ltvm.models.flops import IMAGES, on_cpu, operations


class EncoderStarted(ShortRunOT):
    """``ShortRunOT`` (whose keys it has, but for ``start``) from the encoder's codes."""

    only_for_training = ShortRunOT.only_for_training | {"encoder_optimizer"}

    def __init__(
        self, problem: Problem, *, encoder: Mapping[str, Any] | None, **options: Any
    ) -> None:
        self.encoder = problem.new_encoder(encoder)
        super().__init__(problem, start="prior", **options)
        rate = problem.budget.learning_rate
        self.encoder_optimizer = self.adam(list(self.encoder.parameters()), rate)

    @cached_property
    def start_price(self) -> Price:
        """A pass through the encoder: forward at the start of a visit, backward at its end."""
        return Price(passes=1, flops=update_flops(self.encoder, self.problem.images.shape))

    def begin(self, images: Tensor, visit: Visit) -> State:  # noqa: ARG002
        """At the encoder's codes, whose gradients wait for the chain's end.

        Statistics are the batch's, as in the chain: the running ones lag behind.
        """
        with statistics(self.encoder, "learn"), self.computing():
            self.guess = self.encoder(images).float().chunk(2, dim=1)[0]
        return self.kernel.init(self.guess.detach())

    @torch.no_grad()
    def first_state(self, images: Tensor, key: int, numbers: Tensor) -> State:  # noqa: ARG002
        """The same of unseen images, with running statistics: no image affects another."""
        with statistics(self.encoder, "running"):
            return self.kernel.init(self.encoder(images).chunk(2, dim=1)[0])

    def visit(self, visit: Visit) -> list[Tensor]:
        losses = super().visit(visit)
        self.update_encoder(self.guess, self.codes[visit.images])
        del self.guess
        return losses

    def update_encoder(self, guess: Tensor, codes: Tensor) -> Tensor:
        """One Adam step on mean_i |z_i - m(x_i)|^2 where chains ended; returns that.

        ``guess`` is what the encoder made of the images [n, d], with its graph.
        """
        loss = (codes - guess).square().sum(1).mean()
        self.encoder_optimizer.zero_grad(set_to_none=True)
        loss = self.problem.world.backward(loss, len(codes), self.encoder_optimizer)
        self.encoder_optimizer.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "encoder": self.encoder.state_dict(),
            "encoder_optimizer": self.encoder_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.encoder.load_state_dict(state["encoder"])
        if "encoder_optimizer" in state:
            self.encoder_optimizer.load_state_dict(state["encoder_optimizer"])


def update_flops(encoder: nn.Module, shape: tuple[int, ...]) -> int:
    """Operations per image of a pass through an encoder, forward and backward."""
    encoder, images = on_cpu(encoder), torch.zeros(IMAGES, *shape)
    with statistics(encoder, "running"):
        return operations(lambda: encoder(images).square().sum().backward()) // IMAGES
