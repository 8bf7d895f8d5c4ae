"""A chain of fixed shape on fixed buffers, which CUDA replays as one captured graph."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ltvm.chain.langevin import short_run


class StaticChain:
    """A chain of fixed shape on fixed buffers; on CUDA a captured graph replays it.

    The buffers outlive the call, so weights must change in place, as optimisers change them.
    """

    def __init__(
        self,
        decoder: nn.Module,
        images: Tensor,
        codes: Tensor,
        noise: Tensor | None,
        steps: int,
        batchnorm: Literal["batch", "running"],
        dtype: torch.dtype | None,
    ) -> None:
        self.decoder, self.steps, self.batchnorm, self.dtype = decoder, steps, batchnorm, dtype
        self.images = images.clone()
        self.codes = codes.clone()
        self.noise = None if noise is None else noise.clone()
        self.constants = torch.zeros(3, device=codes.device)  # eta, tau, sigma
        self.result = torch.empty_like(self.codes)
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(
        self,
        images: Tensor,
        codes: Tensor,
        noise: Tensor | None,
        eta: float,
        tau: float,
        sigma: float,
    ) -> Tensor:
        self.images.copy_(images)
        self.codes.copy_(codes)
        if self.noise is not None and noise is not None:
            self.noise.copy_(noise)
        for held, value in zip(self.constants, (eta, tau, sigma), strict=True):
            held.fill_(value)  # a kernel's argument: the host need not wait, as for a copy
        if not codes.is_cuda:
            self.run()
        else:
            if self.graph is None:
                self.graph = self.capture()
            self.graph.replay()
        return self.result.clone()

    def run(self) -> None:
        """The chain, from the buffers to ``result``."""
        eta, tau, sigma = self.constants
        self.result.copy_(
            short_run(
                self.decoder, self.images, self.codes, steps=self.steps, eta=eta, tau=tau,
                sigma=sigma, noise=self.noise, batchnorm=self.batchnorm, dtype=self.dtype,
            )
        )  # fmt: skip

    def capture(self) -> torch.cuda.CUDAGraph:
        """Record ``run`` as a graph, after a warm-up on a side stream as CUDA asks for."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.run()
        return graph
