"""The decoders g(z) of An, Xie and Li (CVPR 2021), Table 1, one per image family.

Every decoder maps codes [n, d] to images [n, channels, size, size] in [-1, 1] (Tanh).
Weights are Xavier normal, biases zero.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, get_args

import torch
from torch import nn

from ltvm.errors import require
from ltvm.models.batchnorm import Norm, norm_layer, row_norm_layer
from ltvm.models.pixel_rows import PatchTransposedConv, RowsToImage
from ltvm.models.weights import xavier_


class MnistDecoder(nn.Sequential):
    """d -> 1024 -> 7x7x128 -> 14x14x64 -> 28x28, BN and ReLU between, Tanh at the end.

    The table prints 28x28x3 for the last row; MNIST has one channel.
    """

    def __init__(self, latent_dim: int, channels: int, norm: Norm, stem_norm: bool) -> None:
        stem = [norm_layer(norm, 1024, spatial=False), nn.ReLU(inplace=True)] if stem_norm else []
        super().__init__(
            nn.Linear(latent_dim, 1024),
            *stem,
            nn.Linear(1024, 7 * 7 * 128),
            norm_layer(norm, 7 * 7 * 128, spatial=False),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (7 * 7, 128)),
            nn.Flatten(0, 1),  # rows of pixels, as in ltvm.models.pixel_rows
            PatchTransposedConv(128, 64, 2),
            row_norm_layer(norm, 64, pixels=14 * 14),
            nn.ReLU(inplace=True),
            PatchTransposedConv(64, channels, 2),
            nn.Tanh(),
            RowsToImage(7, channels),
        )


class ConvDecoder(nn.Sequential):
    """d -> a linear stem, then four kernel-5 transposed convolutions, each doubling the size.

    The table's first row shows neither BN nor activation on the stem; two linear maps in a
    row would be one, and a public training script has BN and ReLU there: ``stem_norm``.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        norm: Norm,
        stem_norm: bool,
        *,
        widths: tuple[int, ...],
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
                _doubling(wide, narrow),
                norm_layer(norm, narrow, spatial=True),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers, _doubling(widths[-1], channels), nn.Tanh())


def _doubling(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels_in, channels_out, 5, stride=2, padding=2, output_padding=1)


class Architecture(NamedTuple):
    """A decoder of Table 1: its image size in pixels and how to build it."""

    size: int
    build: Callable[[int, int, Norm, bool], nn.Module]


ARCHITECTURES = {
    "mnist": Architecture(28, MnistDecoder),
    # 2x2x512 -> 4x4x256 -> 8x8x128 -> 16x16x64 -> 32x32
    "svhn": Architecture(32, partial(ConvDecoder, widths=(512, 256, 128, 64), stem_size=2)),
    # 4x4x1024 -> 8x8x512 -> 16x16x256 -> 32x32x128 -> 64x64
    "celeba": Architecture(64, partial(ConvDecoder, widths=(1024, 512, 256, 128), stem_size=4)),
}


def build_decoder(
    architecture: str,
    latent_dim: int,
    channels: int,
    *,
    norm: Norm = "batch",
    stem_norm: bool = True,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Build a decoder g: codes [n, latent_dim] -> images [n, channels, size, size] in [-1, 1].

    Raises :class:`ltvm.errors.InputError` for an unknown architecture or norm, or a latent
    dimension or channel count below 1. ``generator`` (on the CPU) draws the initial weights.
    """
    require(
        architecture in ARCHITECTURES,
        "decoder.architecture",
        architecture,
        ", ".join(ARCHITECTURES),
    )
    require(norm in get_args(Norm), "decoder.norm", norm, ", ".join(get_args(Norm)))
    require(latent_dim >= 1, "model.latent_dim", latent_dim, "1 or more")
    require(channels >= 1, "channels", channels, "1 or more")
    decoder = ARCHITECTURES[architecture].build(latent_dim, channels, norm, stem_norm)
    xavier_(decoder, generator)
    return decoder
