"""A chain of fixed shape on fixed buffers, which CUDA replays as one captured graph."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ltvm.chain.kernels.base import Kernel, State
from ltvm.chain.short_run import short_run
from ltvm.models.prior import Prior


class CaptureError(RuntimeError):
    """A chain cannot be a graph here; the reason is the message."""


class StaticChain:
    """A chain of fixed shape on fixed buffers; on CUDA a captured graph replays it.

    The buffers outlive the call, so weights must change in place, as optimisers change them.
    ``images``, ``state`` and ``noise`` give shapes and the device. Graphs may compute in the same
    memory ``pool`` (``torch.cuda.graph_pool_handle``): they are replayed one after the other, and
    what outlives a replay is in buffers made outside of it.
    """

    def __init__(
        self,
        decoder: nn.Module,
        images: Tensor,
        state: State,
        noise: Tensor | None,
        *,
        kernel: Kernel,
        constants: tuple[float, ...],
        steps: int,
        sigma: float,
        prior: Prior,
        batchnorm: Literal["batch", "running"],
        dtype: torch.dtype | None,
        pool: Any = None,
    ) -> None:
        self.decoder, self.kernel, self.prior = decoder, kernel, prior
        self.steps, self.batchnorm, self.dtype = steps, batchnorm, dtype
        self.device, self.pool = images.device, pool
        self.images = images.clone()
        self.state = {name: value.clone() for name, value in state.items()}
        self.noise = None if noise is None else noise.clone()
        self.constants = torch.zeros(len(constants), device=self.device)
        self.sigma = torch.full((), sigma, device=self.device)
        self.result = {name: torch.empty_like(value) for name, value in state.items()}
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(
        self, images: Tensor, state: State, noise: Tensor | None, constants: tuple[float, ...]
    ) -> State:
        self.images.copy_(images)
        for name, value in state.items():
            self.state[name].copy_(value)
        if self.noise is not None and noise is not None:
            self.noise.copy_(noise)
        for held, constant in zip(self.constants, constants, strict=True):
            held.fill_(constant)  # a kernel's argument: the host need not wait, as for a copy
        if self.device.type != "cuda":
            self.run()
        else:
            # Streams and graphs belong to the current device, which need not be the chain's.
            with torch.cuda.device(self.device):
                if self.graph is None:
                    self.graph = self.capture()
                self.graph.replay()
        return {name: value.clone() for name, value in self.result.items()}

    def run(self) -> None:
        """The chain, from the buffers to ``result``."""
        state = short_run(
            self.decoder, self.images, self.state, kernel=self.kernel, constants=self.constants,
            steps=self.steps, sigma=self.sigma, prior=self.prior, noise=self.noise,
            batchnorm=self.batchnorm, dtype=self.dtype,
        )  # fmt: skip
        for name, value in state.items():
            self.result[name].copy_(value)

    def capture(self) -> torch.cuda.CUDAGraph:
        """Record ``run`` as a graph, after a warm-up on a side stream as CUDA asks for.

        Raises :class:`CaptureError` where that fails, or where nothing was recorded.
        """
        try:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self.run()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="The CUDA Graph is empty")
                with torch.cuda.graph(graph, pool=self.pool):
                    self.run()
        except (RuntimeError, UserWarning) as error:
            raise CaptureError(" ".join(str(error).split())[:200]) from error
        return graph
