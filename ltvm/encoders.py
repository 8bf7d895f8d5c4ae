"""The VAE's encoders: each mirrors a decoder of Table 1, layer by layer and reversed.

An encoder maps images [n, channels, size, size] in [-1, 1] to the mean and log-variance of
q(z | x), [n, 2 * latent_dim]; the last axis splits into the two halves.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltvm.decoders import Norm, norm_layer, xavier_


class PatchConv(nn.Conv2d):
    """A convolution whose kernel equals its stride, as one matrix product on a CPU.

    The mirror of ``ltvm.decoders.PatchTransposedConv``, with the parameters of ``nn.Conv2d``.
    """

    def __init__(self, channels_in: int, channels_out: int, patch: int) -> None:
        super().__init__(channels_in, channels_out, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        n, channels, height, width = x.shape
        patch = self.kernel_size[0]
        rows, columns = height // patch, width // patch
        patches = x.permute(0, 2, 3, 1).reshape(n, rows, patch, columns, patch * channels)
        patches = patches.transpose(2, 3).reshape(n * rows * columns, patch * patch * channels)
        weight = self.weight.permute(0, 2, 3, 1).reshape(self.out_channels, -1)
        pixels = F.linear(patches, weight, self.bias)
        return pixels.view(n, rows, columns, self.out_channels).permute(0, 3, 1, 2)


class MnistEncoder(nn.Sequential):
    """28x28 -> 14x14x64 -> 7x7x128 -> 1024 -> 2d, mirroring ``MnistDecoder``."""

    def __init__(self, latent_dim: int, channels: int, norm: Norm) -> None:
        super().__init__(
            PatchConv(channels, 64, 2),
            norm_layer(norm, 64, spatial=True),
            nn.ReLU(),
            PatchConv(64, 128, 2),
            norm_layer(norm, 128, spatial=True),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(7 * 7 * 128, 1024),
            norm_layer(norm, 1024, spatial=False),
            nn.ReLU(),
            nn.Linear(1024, 2 * latent_dim),
        )


class ConvEncoder(nn.Sequential):
    """Four kernel-5 stride-2 convolutions, then a linear map, mirroring ``ConvDecoder``."""

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        norm: Norm,
        *,
        widths: tuple[int, ...],
        stem_size: int,
    ) -> None:
        layers: list[nn.Module] = []
        for narrow, wide in itertools.pairwise((channels, *widths)):
            layers += [nn.Conv2d(narrow, wide, 5, stride=2, padding=2)]
            layers += [norm_layer(norm, wide, spatial=True), nn.ReLU()]
        flat = widths[-1] * stem_size**2
        super().__init__(*layers, nn.Flatten(), nn.Linear(flat, 2 * latent_dim))


ENCODERS: dict[str, Callable[[int, int, Norm], nn.Module]] = {
    "mnist": MnistEncoder,
    "svhn": partial(ConvEncoder, widths=(64, 128, 256, 512), stem_size=2),
    "celeba": partial(ConvEncoder, widths=(128, 256, 512, 1024), stem_size=4),
}


def build_encoder(
    architecture: str,
    latent_dim: int,
    channels: int,
    *,
    norm: Norm = "batch",
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Build the encoder that mirrors ``build_decoder`` with the same arguments."""
    encoder = ENCODERS[architecture](latent_dim, channels, norm)
    xavier_(encoder, generator)
    return encoder
