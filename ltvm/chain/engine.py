"""The short-run chain at speed: what ``ltvm.chain.short_run`` computes, as an execution says.

Three things are done here and nowhere else: a copy of the decoder in low precision, kept and
refreshed in place; matrix products by another library; and, on CUDA, the K steps captured as
one graph on fixed buffers, so that no Python runs between them.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ltvm.chain.execution import Execution
from ltvm.chain.kernels.base import Kernel, State
from ltvm.chain.onednn import products
from ltvm.chain.short_run import short_run
from ltvm.chain.static_chain import StaticChain
from ltvm.chain.static_start import StaticStart
from ltvm.models.pixel_rows import ImageToRows, RowsToImage
from ltvm.models.prior import Prior
from ltvm.models.weights import low_precision_copy
from ltvm.runtime.cuda_graph import Graphs, Pool
from ltvm.runtime.randomness import ImageDraws, ImageNoise

LARGEST_NUMBER_OF_GRAPHS = 4  # each holds buffers: a full batch, a last one, and two to infer


class Engine:
    """Runs a kernel's chains on one decoder and prior, whose weights may change between them.

    They must change in place, as optimisers change them. Its graphs compute in the memory ``pool``.
    """

    def __init__(
        self,
        decoder: nn.Module,
        execution: Execution,
        *,
        kernel: Kernel,
        prior: Prior,
        sigma: float,
        pool: Pool | None = None,
    ) -> None:
        self.decoder, self.execution = decoder, execution
        self.kernel, self.prior, self.sigma = kernel, prior, sigma
        self._copy: nn.Module | None = None
        self.graphs: Graphs[StaticChain] = Graphs(
            "the chain", execution.graph, LARGEST_NUMBER_OF_GRAPHS, pool
        )
        self.starts: Graphs[StaticStart] = Graphs(
            "the prior's draws", execution.graph, LARGEST_NUMBER_OF_GRAPHS, self.graphs.pool
        )

    def start(self, key: int, images: Tensor) -> State:
        """The state of chains that begin at draws of the prior for images by number, int64 [n]."""
        if self.starts.wanted and images.is_cuda:
            make = lambda: StaticStart(self.prior, images, self.starts)  # noqa: E731
            codes = self.starts.get(len(images), make)(key, images)
        else:
            codes = self.prior.sample(len(images), ImageDraws(key, images))
        return self.kernel.init(codes)

    def short_run(
        self,
        images: Tensor,
        state: State,
        *,
        steps: int,
        constants: tuple[float, ...],
        noise: ImageNoise,
        batchnorm: Literal["batch", "running"] = "batch",
    ) -> State:
        """As ``ltvm.chain.short_run.short_run`` with what this engine was made with.

        The noise is drawn here, as wide as the kernel takes it with these constants.
        """
        decoder, images = in_rows(self.current_decoder(), images)
        width = self.kernel.noise_width(state["codes"].shape[1], constants)
        if self.graphs.wanted and images.is_cuda:
            chain = self.static_chain(
                decoder, images, state, noise, steps=steps, width=width, constants=constants,
                batchnorm=batchnorm,
            )  # fmt: skip
            return chain(images, state, noise, constants)
        self.refresh()
        with products(self.execution.products):
            return short_run(
                decoder, images, state, kernel=self.kernel, constants=constants, steps=steps,
                sigma=self.sigma, prior=self.prior, noise=noise.normals(steps, width),
                batchnorm=batchnorm, dtype=self.execution.dtype,
            )  # fmt: skip

    def static_chain(
        self,
        decoder: nn.Module,
        images: Tensor,
        state: State,
        noise: ImageNoise,
        *,
        steps: int,
        width: int,
        constants: tuple[float, ...],
        batchnorm: Literal["batch", "running"],
    ) -> StaticChain:
        """The chain on fixed buffers for these shapes, made the first time."""
        shapes = tuple((name, tuple(value.shape)) for name, value in sorted(state.items()))
        key = (tuple(images.shape), shapes, width, noise.first, steps, batchnorm)
        return self.graphs.get(
            key,
            lambda: StaticChain(
                decoder, images, state, noise, kernel=self.kernel, constants=constants,
                steps=steps, width=width, sigma=self.sigma, prior=self.prior, batchnorm=batchnorm,
                dtype=self.execution.dtype, graphs=self.graphs, refresh=self.refresh,
            ),
        )  # fmt: skip

    def current_decoder(self) -> nn.Module:
        """The decoder in this precision, always the same module; ``refresh`` has its weights."""
        if self.execution.dtype is None:
            return self.decoder
        if self._copy is None:
            self._copy = low_precision_copy(self.decoder, self.execution.dtype)
        return self._copy

    @torch.no_grad()
    def refresh(self) -> None:
        """Give a copy in low precision the weights that the decoder has now."""
        if self._copy is None:
            return
        for held, present in zip(
            self._copy.state_dict().values(), self.decoder.state_dict().values(), strict=True
        ):
            held.copy_(present)


def in_rows(decoder: nn.Module, images: Tensor) -> tuple[nn.Module, Tensor]:
    """The decoder without its last putting in order, and the images put in its order once.

    Energies are sums over pixels and do not care. Other decoders are returned as they are.
    """
    if not (isinstance(decoder, nn.Sequential) and isinstance(decoder[-1], RowsToImage)):
        return decoder, images
    rows = ImageToRows()(images).view(len(images), -1, images.shape[1])  # [n, pixels, channels]
    return nn.Sequential(*list(decoder)[:-1], nn.Unflatten(0, (-1, rows.shape[1]))), rows
