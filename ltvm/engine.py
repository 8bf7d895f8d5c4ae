"""The short-run chain at speed: what ``ltvm.langevin.short_run`` computes, as a execution says.

Three things are done here and nowhere else: a copy of the decoder in low precision, kept and
refreshed in place; matrix products by another library; and, on CUDA, the K steps captured as
one graph on fixed buffers, so that no Python runs between them.
"""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from ltvm.execution import Execution
from ltvm.langevin import short_run
from ltvm.patches import ImageToRows, RowsToImage
from ltvm.products import products

LARGEST_NUMBER_OF_GRAPHS = 4  # each holds buffers: a full batch, a last one, and two to infer


class Engine:
    """Runs chains on one decoder, whose weights may change between them."""

    def __init__(self, decoder: nn.Module, execution: Execution) -> None:
        self.decoder, self.execution = decoder, execution
        self._copy: nn.Module | None = None
        self._graphs: dict[tuple[object, ...], StaticChain] = {}

    def short_run(
        self,
        images: Tensor,
        codes: Tensor,
        *,
        steps: int,
        eta: float,
        tau: float,
        sigma: float,
        noise: Tensor | None,
        batchnorm: Literal["batch", "running"] = "batch",
    ) -> Tensor:
        """As ``ltvm.langevin.short_run`` with this engine's decoder."""
        decoder, images = in_rows(self.current_decoder(), images)
        if self.execution.graph and codes.is_cuda:
            key = (tuple(images.shape), steps, noise is None, batchnorm)
            if key not in self._graphs:
                if len(self._graphs) == LARGEST_NUMBER_OF_GRAPHS:
                    self._graphs.pop(next(iter(self._graphs)))
                self._graphs[key] = StaticChain(
                    decoder, images, codes, noise, steps, batchnorm, self.execution.dtype
                )
            return self._graphs[key](images, codes, noise, eta, tau, sigma)
        with products(self.execution.products):
            return short_run(
                decoder, images, codes, steps=steps, eta=eta, tau=tau, sigma=sigma, noise=noise,
                batchnorm=batchnorm, dtype=self.execution.dtype,
            )  # fmt: skip

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


def low_precision_copy(decoder: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A frozen copy with weights in ``dtype`` and batch norm kept in float32.

    Batch norm takes mixed precision everywhere; group norm does not on every device.
    """
    copied = copy.deepcopy(decoder).requires_grad_(False)
    for layer in copied.modules():
        if not (isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) or list(layer.children())):
            layer.to(dtype)
    return copied


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
