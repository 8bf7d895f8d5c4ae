"""Convolutions whose kernel equals their stride, as matrix products on rows of pixels.

Patches do not overlap, so a transposed convolution turns every pixel into its own block of
pixels: one row [channels] into patch * patch rows. Normalisation and activation act on rows
in any order. So a stack of such layers never moves a pixel; ``RowsToImage`` puts the finished
image in order once (``ImageToRows`` is its inverse, for encoders). Parameters and results are
those of ``nn.ConvTranspose2d`` and ``nn.Conv2d``; ``make bench`` measures what it brings.

Row order: image, then pixels of the coarsest grid, then the position in each nested patch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchTransposedConv(nn.ConvTranspose2d):
    """Rows [r, channels_in] -> rows [r * patch^2, channels_out]."""

    def __init__(self, channels_in: int, channels_out: int, patch: int) -> None:
        super().__init__(channels_in, channels_out, patch, stride=patch)

    def forward(self, rows: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: ARG002
        blocks = self.weight.permute(0, 2, 3, 1).flatten(1)  # [channels_in, patch^2 channels_out]
        assert self.bias is not None
        bias = self.bias.repeat(blocks.shape[1] // self.out_channels)
        return torch.addmm(bias, rows, blocks).view(-1, self.out_channels)


class PatchConv(nn.Conv2d):
    """Rows [r * patch^2, channels_in] -> rows [r, channels_out]."""

    def __init__(self, channels_in: int, channels_out: int, patch: int) -> None:
        super().__init__(channels_in, channels_out, patch, stride=patch)

    def forward(self, rows: Tensor) -> Tensor:
        blocks = self.weight.permute(0, 2, 3, 1).flatten(1)  # [channels_out, patch^2 channels_in]
        return F.linear(rows.view(-1, blocks.shape[1]), blocks, self.bias)


class RowGroupNorm(nn.GroupNorm):
    """Group normalisation of rows: statistics over an image's ``pixels`` and a group's channels."""

    def __init__(self, groups: int, channels: int, pixels: int) -> None:
        super().__init__(groups, channels)
        self.pixels = pixels

    def forward(self, rows: Tensor) -> Tensor:
        channels = rows.shape[1]
        images = rows.view(-1, self.pixels, channels).transpose(1, 2)
        return super().forward(images).transpose(1, 2).reshape(-1, channels)


class RowsToImage(nn.Module):
    """Rows, ``side`` x ``side`` pixels split twice by 2, -> [n, channels, 4 side, 4 side]."""

    def __init__(self, side: int, channels: int) -> None:
        super().__init__()
        self.side, self.channels = side, channels

    def forward(self, rows: Tensor) -> Tensor:
        side, channels = self.side, self.channels
        nested = rows.view(-1, side, side, 2, 2, 2, 2, channels)
        image = nested.permute(0, 7, 1, 3, 5, 2, 4, 6)
        return image.reshape(-1, channels, 4 * side, 4 * side)


class ImageToRows(nn.Module):
    """The inverse of ``RowsToImage``: [n, channels, 4 s, 4 s] -> [n * 16 s^2, channels]."""

    def forward(self, images: Tensor) -> Tensor:
        n, channels, size, _ = images.shape
        split = images.view(n, channels, size // 4, 2, 2, size // 4, 2, 2)
        return split.permute(0, 2, 5, 3, 6, 4, 7, 1).reshape(-1, channels)
