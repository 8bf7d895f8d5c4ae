"""Images in memory: one uint8 tensor per split, on the compute device.

No DataLoader and no workers: the sets of this suite fit in memory (CelebA's 60,000 images
at 64x64 are 0.7 GB), and an index into a tensor is the fastest loader there is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from ltvm.errors import InputError, require
from ltvm.runtime.randomness import stream


@dataclass(frozen=True)
class ImageSet:
    """One split of a data set.

    ``images`` is uint8 [n, channels, size, size]; ``labels`` is int64 [n], or None.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.images.shape)
        if self.images.dtype != torch.uint8 or len(shape) != 4 or shape[2] != shape[3]:
            raise InputError(
                f"data={self.name}: images are {self.images.dtype} {shape}; "
                "allowed: uint8 [n, channels, size, size]"
            )
        require(shape[0] >= 2, f"data={self.name}: {self.split} images", shape[0], "2 or more")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return tuple(self.images.shape[1:])

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    @property
    def size(self) -> int:
        """Height and width in pixels."""
        return self.images.shape[2]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shape, pixels and labels: what was trained on, whatever its name."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(self.images.cpu().contiguous().numpy().tobytes())
        if self.labels is not None:
            digest.update(self.labels.cpu().numpy().tobytes())
        return digest.hexdigest()

    def scaled(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Return the chosen images as float32 in [-1, 1]."""
        return to_float(self.images[index])

    def to(self, device: torch.device) -> ImageSet:
        if self.images.device == device:
            return self
        labels = None if self.labels is None else self.labels.to(device)
        there = replace(self, images=self.images.to(device), labels=labels)
        there.__dict__["fingerprint"] = self.fingerprint  # the same pixels: not read back
        return there

    def subset(self, n: int | None) -> ImageSet:
        """Return ``n`` images drawn once with a fixed seed (None: all of them)."""
        if n is None:
            return self
        require(
            type(n) is int and 2 <= n <= len(self),
            f"protocol.{self.split}_images",
            n,
            f"2 to {len(self)} ({self.name})",
        )
        chosen = torch.randperm(len(self), generator=stream(0, "subset"))[:n].sort().values
        chosen = chosen.to(self.images.device)
        labels = None if self.labels is None else self.labels[chosen]
        return replace(self, images=self.images[chosen], labels=labels)


@dataclass(frozen=True)
class DataSet:
    """A training and a test split of the same images."""

    train: ImageSet
    test: ImageSet
    _copies: dict[torch.device, DataSet] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )

    def to(self, device: torch.device) -> DataSet:
        """The same images there; the last copy is kept: a process makes one for all runs."""
        if self.train.images.device == self.test.images.device == device:
            return self
        if device not in self._copies:
            self._copies.clear()
            self._copies[device] = DataSet(self.train.to(device), self.test.to(device))
        return self._copies[device]

    def limited(self, train: int | None, test: int | None) -> DataSet:
        return DataSet(self.train.subset(train), self.test.subset(test))


def to_float(images: Tensor) -> Tensor:
    """uint8 in 0..255 -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Floats in [-1, 1] -> uint8, clamped and rounded: real and generated images alike.

    A plain cast would truncate, and wrap values outside the range.
    """
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def evenly(of: int, n: int) -> Tensor:
    """``n`` indices at even distances from 0 to ``of`` - 1, all of them if ``n`` is ``of``."""
    return torch.linspace(0, of - 1, n, dtype=torch.float64).round().long()
