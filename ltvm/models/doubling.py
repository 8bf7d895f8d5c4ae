"""Transposed convolutions that double an image's side, as the products that suit their shape.

Kernel 5, stride 2, as in the paper's decoders for colour images. Where they begin and end a decoder
the usual algorithms are far from the rate of products on a CPU: on 2 x 2 pixels most of a kernel
falls outside, and a kernel for 3 channels fills no vector. So

- on few pixels the layer is one product with the matrix that it is (``dense``), which has fewer
  multiplications there (4 h w <= 25 for each pair of channels). A chain makes that matrix once and
  keeps it; in a learning step making it costs what it saves, so there it is not made;
- to few channels it is a convolution to all four phases of the output at once, which are
  then put in order (``phases``): output pixels of one parity see 3 x 3 inputs at most.

Parameters and results are those of ``nn.ConvTranspose2d``, to rounding, and so is the count of
operations. ``make bench`` measures what this brings (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNEL, STRIDE, PADDING = 5, 2, 2
FEW_CHANNELS = 4


class DoublingConv(nn.ConvTranspose2d):
    """Images [n, channels_in, h, w] -> [n, channels_out, 2 h, 2 w]."""

    rearranged: Tensor | None  # its weights, while ``ltvm.models.weights.frozen`` keeps them

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            channels_in, channels_out, KERNEL, stride=STRIDE, padding=PADDING, output_padding=1
        )
        self.by_products, self.keeps = True, False
        self.rearranged = None

    def keep(self, yes: bool) -> None:
        """Whether the rearranged weights stay from call to call: only while no weight changes."""
        self.keeps, self.rearranged = yes, None

    def forward(self, images: Tensor, output_size: list[int] | None = None) -> Tensor:
        pixels = images.shape[2] * images.shape[3]
        if not self.by_products or images.device.type != "cpu" or output_size is not None:
            return super().forward(images, output_size)
        if self.keeps and STRIDE**2 * pixels <= KERNEL**2:
            return self._dense(images)
        if self.out_channels <= FEW_CHANNELS:
            return self._phases(images)
        return super().forward(images)

    def _weights(self, rearrange: Callable[[], Tensor]) -> Tensor:
        if not self.keeps:
            return rearrange()
        if self.rearranged is None:
            self.rearranged = rearrange()
        return self.rearranged

    def _dense(self, images: Tensor) -> Tensor:
        h, w = images.shape[2:]
        assert self.bias is not None
        matrix = self._weights(lambda: dense(self.weight, h, w))
        rows = images.permute(0, 2, 3, 1).flatten(1)  # [n, h w channels_in]
        bias = self.bias.repeat_interleave(STRIDE**2 * h * w)
        return torch.addmm(bias, rows, matrix).view(-1, self.out_channels, STRIDE * h, STRIDE * w)

    def _phases(self, images: Tensor) -> Tensor:
        assert self.bias is not None
        kernels = self._weights(lambda: phases(self.weight))
        bias = self.bias.repeat_interleave(STRIDE**2)
        return F.pixel_shuffle(F.conv2d(images, kernels, bias, padding=1), STRIDE)


def dense(weight: Tensor, h: int, w: int) -> Tensor:
    """The layer on h x w pixels as a matrix [h w channels_in, channels_out 2 h 2 w].

    ``weight`` is [channels_in, channels_out, 5, 5]. Input pixel i reaches outputs 2 i - 2 + k.
    """
    rows = []
    for i in range(h):
        for j in range(w):
            (top, bottom), up = _reach(i, h)
            (left, right), across = _reach(j, w)
            rows.append(F.pad(weight[:, :, top:bottom, left:right], (*across, *up)))
    return torch.stack(rows).flatten(2).flatten(0, 1)


def _reach(i: int, side: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Which taps of pixel i fall within the output, and how many outputs lie before and after."""
    start = STRIDE * i - PADDING
    first, last = max(0, -start), min(KERNEL, STRIDE * side - start)
    return (first, last), (start + first, STRIDE * side - start - last)


def phases(weight: Tensor) -> Tensor:
    """Kernels [4 channels_out, channels_in, 3, 3] of a convolution with padding 1.

    Output pixel 2 i + a takes tap k of input i + (a + 2 - k) / 2 for the k of a's parity:
    taps 4, 2, 0 of inputs i - 1, i, i + 1 for a = 0, and 3, 1 of inputs i, i + 1 for a = 1.
    """
    made = []
    for a in range(STRIDE):
        for b in range(STRIDE):
            taps = weight.flip(2, 3)[:, :, a::STRIDE, b::STRIDE]
            made.append(F.pad(taps, (b, 0, a, 0)))
    joined = torch.stack(made)  # [4, channels_in, channels_out, 3, 3]
    return joined.permute(2, 0, 1, 3, 4).flatten(0, 1)
