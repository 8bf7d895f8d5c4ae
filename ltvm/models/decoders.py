"""The decoders g(z) of An, Xie and Li (CVPR 2021), Table 1, one per image family.

Every decoder maps codes [n, d] to images [n, channels, size, size] in [-1, 1] (Tanh). Any other
``nn.Module`` that does so can take their place (``ltvm.models.networks`` builds and checks it).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn

from ltvm.errors import require
from ltvm.models.batchnorm import Norm, norm_layer, row_norm_layer
from ltvm.models.doubling import DoublingConv
from ltvm.models.pixel_rows import PatchTransposedConv, RowsToImage


class MnistDecoder(nn.Sequential):
    """d -> 1024 -> 7x7x128 -> 14x14x64 -> 28x28, BN and ReLU between, Tanh at the end.

    ``widths`` are the units of the stem and the channels after it. The table prints 28x28x3 for
    the last row; MNIST has one channel.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        norm: Norm = "batch",
        stem_norm: bool = True,
        *,
        widths: Sequence[int] = (1024, 128, 64),
    ) -> None:
        require(len(widths) == 3, "decoder.widths", list(widths), "three numbers")
        units, wide, narrow = widths
        stem = [norm_layer(norm, units, spatial=False), nn.ReLU(inplace=True)] if stem_norm else []
        super().__init__(
            nn.Linear(latent_dim, units),
            *stem,
            nn.Linear(units, 7 * 7 * wide),
            norm_layer(norm, 7 * 7 * wide, spatial=False),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (7 * 7, wide)),
            nn.Flatten(0, 1),  # rows of pixels, as in ltvm.models.pixel_rows
            PatchTransposedConv(wide, narrow, 2),
            row_norm_layer(norm, narrow, pixels=14 * 14),
            nn.ReLU(inplace=True),
            PatchTransposedConv(narrow, channels, 2),
            nn.Tanh(),
            RowsToImage(7, channels),
        )


class ConvDecoder(nn.Sequential):
    """d -> a linear stem, then kernel-5 transposed convolutions, each doubling the size.

    ``widths`` are channels from the stem of ``stem_size`` x ``stem_size`` pixels on: for SVHN
    2x2x512 -> 4x4x256 -> 8x8x128 -> 16x16x64 -> 32x32, for CelebA 4x4x1024 -> ... -> 64x64.
    The table's first row shows neither BN nor activation on the stem; two linear maps in a
    row would be one, and a public training script has BN and ReLU there: ``stem_norm``.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        norm: Norm = "batch",
        stem_norm: bool = True,
        *,
        widths: Sequence[int],
        stem_size: int,
    ) -> None:
        stem = (
            [norm_layer(norm, widths[0], spatial=True), nn.ReLU(inplace=True)] if stem_norm else []
        )
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, widths[0] * stem_size**2, bias=not stem_norm),
            nn.Unflatten(1, (widths[0], stem_size, stem_size)),
            *stem,
        ]
        for wide, narrow in itertools.pairwise(widths):
            layers += [
                DoublingConv(wide, narrow),
                norm_layer(norm, narrow, spatial=True),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers, DoublingConv(widths[-1], channels), nn.Tanh())
