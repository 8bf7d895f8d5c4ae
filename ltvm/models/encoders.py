"""The VAE's encoders: each mirrors a decoder of Table 1, layer by layer and reversed.

An encoder maps images [n, channels, size, size] in [-1, 1] to the mean and log-variance of
q(z | x), [n, 2 * latent_dim]; the last axis splits into the two halves.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn

from ltvm.errors import require
from ltvm.models.batchnorm import Norm, norm_layer, row_norm_layer
from ltvm.models.pixel_rows import ImageToRows, PatchConv


class MnistEncoder(nn.Sequential):
    """28x28 -> 14x14x64 -> 7x7x128 -> 1024 -> 2d, mirroring ``MnistDecoder``.

    ``widths`` are the channels and, last, the units before the end.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        norm: Norm = "batch",
        *,
        widths: Sequence[int] = (64, 128, 1024),
    ) -> None:
        require(len(widths) == 3, "decoder.encoder.widths", list(widths), "three numbers")
        narrow, wide, units = widths
        super().__init__(
            ImageToRows(),
            PatchConv(channels, narrow, 2),
            row_norm_layer(norm, narrow, pixels=14 * 14),
            nn.ReLU(inplace=True),
            PatchConv(narrow, wide, 2),
            row_norm_layer(norm, wide, pixels=7 * 7),
            nn.ReLU(inplace=True),
            nn.Unflatten(0, (-1, 7 * 7)),
            nn.Flatten(1),
            nn.Linear(7 * 7 * wide, units),
            norm_layer(norm, units, spatial=False),
            nn.ReLU(inplace=True),
            nn.Linear(units, 2 * latent_dim),
        )


class ConvEncoder(nn.Sequential):
    """Kernel-5 stride-2 convolutions, then a linear map, mirroring ``ConvDecoder``.

    ``widths`` are channels from the first convolution on, ``stem_size`` the pixels at the end.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        norm: Norm = "batch",
        *,
        widths: Sequence[int],
        stem_size: int,
    ) -> None:
        layers: list[nn.Module] = []
        for narrow, wide in itertools.pairwise((channels, *widths)):
            layers += [nn.Conv2d(narrow, wide, 5, stride=2, padding=2)]
            layers += [norm_layer(norm, wide, spatial=True), nn.ReLU(inplace=True)]
        flat = widths[-1] * stem_size**2
        super().__init__(*layers, nn.Flatten(), nn.Linear(flat, 2 * latent_dim))
