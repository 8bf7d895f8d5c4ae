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

VALIDATION = "validation"  # the split of training images that are kept from training


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
        return self.chosen(torch.randperm(len(self), generator=stream(0, "subset"))[:n])

    def chosen(self, index: Tensor) -> ImageSet:
        """The images of these indices [n], in their own order."""
        index = index.sort().values.to(self.images.device)
        labels = None if self.labels is None else self.labels[index]
        return replace(self, images=self.images[index], labels=labels)


@dataclass(frozen=True)
class DataSet:
    """A training and a test split of the same images; or a validation split in its place."""

    train: ImageSet
    test: ImageSet
    _copies: dict[torch.device, DataSet] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )

    @property
    def fingerprints(self) -> dict[str, str]:
        """Of either split, as records state them."""
        return {"train": self.train.fingerprint, "test": self.test.fingerprint}

    def to(self, device: torch.device) -> DataSet:
        """The same images there; the last copy is kept: a process makes one for all runs."""
        if self.train.images.device == self.test.images.device == device:
            return self
        if device not in self._copies:
            self._copies.clear()
            self._copies[device] = DataSet(self.train.to(device), self.test.to(device))
        return self._copies[device]

    def held_out(self, n: int) -> DataSet:
        """``n`` training images in the place of the test images, and the others to train on.

        They are the last of one random order, whatever the seed; the test images are not in it.
        """
        most = len(self.train) - 2
        allowed = f"2 to {most} ({self.train.name})"
        require(type(n) is int and 2 <= n <= most, "validation_images", n, allowed)
        order = torch.randperm(len(self.train), generator=stream(0, VALIDATION))
        validation = replace(self.train.chosen(order[-n:]), split=VALIDATION)
        return DataSet(self.train.chosen(order[:-n]), validation)

    @property
    def compared(self) -> ImageSet:
        """What samples are compared with: the training images, or the validation split."""
        return self.test if self.test.split == VALIDATION else self.train

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
