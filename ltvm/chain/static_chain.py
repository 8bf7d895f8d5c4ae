"""A chain of fixed shape on fixed buffers, which CUDA replays as one captured graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from ltvm.chain.kernels.base import Kernel, State
from ltvm.chain.short_run import short_run
from ltvm.models.prior import Prior
from ltvm.runtime.cuda_graph import Graphs, Replayed
from ltvm.runtime.randomness import ImageNoise


class StaticChain(Replayed):
    """A chain of fixed shape on fixed buffers, its noise drawn from a key and image numbers there.

    The buffers outlive the call, so weights must change in place, as optimisers change them.
    ``images``, ``state`` and ``noise`` give shapes and the device; ``width`` is that of the noise,
    and ``refresh`` brings the decoder up to date before the first step.
    """

    def __init__(
        self,
        decoder: nn.Module,
        images: Tensor,
        state: State,
        noise: ImageNoise,
        *,
        kernel: Kernel,
        constants: tuple[float, ...],
        steps: int,
        width: int,
        sigma: float,
        prior: Prior,
        batchnorm: Literal["batch", "running"],
        dtype: torch.dtype | None,
        graphs: Graphs[StaticChain],
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(images.device, graphs)
        self.decoder, self.kernel, self.prior, self.refresh = decoder, kernel, prior, refresh
        self.steps, self.width, self.batchnorm, self.dtype = steps, width, batchnorm, dtype
        self.images = images.clone()
        self.state = {name: value.clone() for name, value in state.items()}
        self.key = torch.zeros((), dtype=torch.int64, device=self.device)
        self.noise = replace(noise, key=self.key, images=noise.images.clone())
        self.constants = torch.zeros(len(constants), device=self.device)
        self.sigma = torch.full((), sigma, device=self.device)
        self.result = {name: torch.empty_like(value) for name, value in state.items()}

    def __call__(
        self, images: Tensor, state: State, noise: ImageNoise, constants: tuple[float, ...]
    ) -> State:
        self.images.copy_(images)
        for name, value in state.items():
            self.state[name].copy_(value)
        # A number that is filled in is a kernel's argument: the host need not wait, as for a copy.
        if self.width:
            self.key.fill_(noise.key)
            self.noise.images.copy_(noise.images)
        for held, constant in zip(self.constants, constants, strict=True):
            held.fill_(constant)
        self.replay()
        return {name: value.clone() for name, value in self.result.items()}

    def run(self) -> None:
        """The chain, from the buffers to ``result``."""
        self.refresh()
        state = short_run(
            self.decoder, self.images, self.state, kernel=self.kernel, constants=self.constants,
            steps=self.steps, sigma=self.sigma, prior=self.prior,
            noise=self.noise.normals(self.steps, self.width), batchnorm=self.batchnorm,
            dtype=self.dtype,
        )  # fmt: skip
        for name, value in state.items():
            self.result[name].copy_(value)
