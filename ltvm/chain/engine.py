"""The short-run chain at speed: what ``ltvm.chain.short_run`` computes, as an execution says.

Three things are done here and nowhere else: a copy of the decoder in low precision, kept and
refreshed in place; matrix products by another library; and, on CUDA, the K steps captured as
one graph on fixed buffers, so that no Python runs between them.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ltvm.chain.cuda_graph import CaptureError, StaticChain
from ltvm.chain.execution import Execution
from ltvm.chain.kernels.base import Kernel, State
from ltvm.chain.onednn import products
from ltvm.chain.short_run import short_run
from ltvm.models.pixel_rows import ImageToRows, RowsToImage
from ltvm.models.prior import Prior
from ltvm.models.weights import low_precision_copy

LARGEST_NUMBER_OF_GRAPHS = 4  # each holds buffers: a full batch, a last one, and two to infer


class Engine:
    """Runs a kernel's chains on one decoder and prior, whose weights may change between them.

    They must change in place, as optimisers change them.
    """

    def __init__(
        self,
        decoder: nn.Module,
        execution: Execution,
        *,
        kernel: Kernel,
        prior: Prior,
        sigma: float,
    ) -> None:
        self.decoder, self.execution = decoder, execution
        self.kernel, self.prior, self.sigma = kernel, prior, sigma
        self._copy: nn.Module | None = None
        self._graphs: dict[tuple[object, ...], StaticChain] = {}
        self._capturing = execution.graph
        self._pool: Any = None  # the memory that its graphs compute in, freed with the last of them

    def short_run(
        self,
        images: Tensor,
        state: State,
        *,
        steps: int,
        constants: tuple[float, ...],
        noise: Tensor | None,
        batchnorm: Literal["batch", "running"] = "batch",
    ) -> State:
        """As ``ltvm.chain.short_run.short_run`` with what this engine was made with."""
        decoder, images = in_rows(self.current_decoder(), images)
        if self._capturing and images.is_cuda:
            chain = self.static_chain(
                decoder, images, state, noise, steps=steps, constants=constants,
                batchnorm=batchnorm,
            )  # fmt: skip
            try:
                return chain(images, state, noise, constants)
            except CaptureError as error:
                self._capturing = False
                self._graphs.clear()
                print(
                    f"ltvm: no CUDA graph of the chain ({error}); step by step from here on, "
                    "as with execution.graph=false",
                    file=sys.stderr,
                )
        with products(self.execution.products):
            return short_run(
                decoder, images, state, kernel=self.kernel, constants=constants, steps=steps,
                sigma=self.sigma, prior=self.prior, noise=noise, batchnorm=batchnorm,
                dtype=self.execution.dtype,
            )  # fmt: skip

    def static_chain(
        self,
        decoder: nn.Module,
        images: Tensor,
        state: State,
        noise: Tensor | None,
        *,
        steps: int,
        constants: tuple[float, ...],
        batchnorm: Literal["batch", "running"],
    ) -> StaticChain:
        """The chain on fixed buffers for these shapes, made the first time."""
        shapes = tuple((name, tuple(value.shape)) for name, value in sorted(state.items()))
        width = None if noise is None else noise.shape[-1]
        key = (tuple(images.shape), shapes, width, steps, batchnorm)
        if key not in self._graphs:
            if self._pool is None and images.is_cuda:
                self._pool = torch.cuda.graph_pool_handle()
            if len(self._graphs) == LARGEST_NUMBER_OF_GRAPHS:
                self._graphs.pop(next(iter(self._graphs)))
            self._graphs[key] = StaticChain(
                decoder, images, state, noise, kernel=self.kernel, constants=constants,
                steps=steps, sigma=self.sigma, prior=self.prior, batchnorm=batchnorm,
                dtype=self.execution.dtype, pool=self._pool,
            )  # fmt: skip
        return self._graphs[key]

    @torch.no_grad()
    def current_decoder(self) -> nn.Module:
        """The decoder with its present weights in this precision, always the same module."""
        if self.execution.dtype is None:
            return self.decoder
        if self._copy is None:
            self._copy = low_precision_copy(self.decoder, self.execution.dtype)
            return self._copy
        for held, present in zip(
            self._copy.state_dict().values(), self.decoder.state_dict().values(), strict=True
        ):
            held.copy_(present)
        return self._copy


def in_rows(decoder: nn.Module, images: Tensor) -> tuple[nn.Module, Tensor]:
    """The decoder without its last putting in order, and the images put in its order once.

    Energies are sums over pixels and do not care. Other decoders are returned as they are.
    """
    if not (isinstance(decoder, nn.Sequential) and isinstance(decoder[-1], RowsToImage)):
        return decoder, images
    rows = ImageToRows()(images).view(len(images), -1, images.shape[1])  # [n, pixels, channels]
    return nn.Sequential(*list(decoder)[:-1], nn.Unflatten(0, (-1, rows.shape[1]))), rows
