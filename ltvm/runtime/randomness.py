"""Randomness by named axis: every draw comes from a stream named for its purpose.

No global generator is used anywhere, so a draw depends on the seed and on what it is for
("noise", iteration 3, sweep 1), never on what was drawn before it. That is why a resumed
run equals an uninterrupted one, and why all methods of an ablation share initial weights,
data order and prior draws for the same seed. Generators live on the CPU whatever the device
of a run, so that a seed means the same draws everywhere.

The noise of chains goes further: ``image_normals`` is a counter-based generator, Philox 4x32-10
(Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), keyed
by stream, image and step. An image's noise is the same in any batch, order or device.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


def stream_key(seed: int, purpose: str, *axes: int) -> int:
    """A key of 63 bits for this seed, purpose and position."""
    name = "/".join([str(seed), purpose, *map(str, axes)])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def stream(seed: int, purpose: str, *axes: int) -> torch.Generator:
    """Return a fresh generator (on the CPU) for this seed, purpose and position.

    >>> a = torch.rand(3, generator=stream(0, "noise", 2))
    >>> bool((a == torch.rand(3, generator=stream(0, "noise", 2))).all())
    True
    """
    return torch.Generator().manual_seed(stream_key(seed, purpose, *axes))


def normal(
    shape: tuple[int, ...], generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """Standard normal draws in float32, made where the generator lives and moved to ``device``."""
    return torch.randn(shape, generator=generator, device=generator.device).to(device)


class Draws(Protocol):
    """Standard normal draws for n codes, the next ones at every call."""

    def normal(self, n: int, d: int) -> Tensor:
        """float32 [n, d]"""
        ...


@dataclass
class GeneratorDraws:
    """Draws of a generator, moved to a device."""

    generator: torch.Generator
    device: torch.device | str = "cpu"

    def normal(self, n: int, d: int) -> Tensor:
        return normal((n, d), self.generator, self.device)


@dataclass
class ImageDraws:
    """Draws per image (see ``image_normals``): the same for an image whatever the others are."""

    key: int | Tensor
    images: Tensor  # their numbers, int64 [n]
    step: int = 0

    def normal(self, n: int, d: int) -> Tensor:
        assert n == len(self.images), f"{n} draws for {len(self.images)} images"
        draws = image_normals(self.key, self.images, 1, d, first=self.step)[0]
        self.step += 1
        return draws


@dataclass(frozen=True)
class ImageNoise:
    """The noise of chains, per image (see ``image_normals``), drawn where it is needed.

    On a device with CUDA graphs ``key`` may be an int64 scalar there, which a graph reads anew.
    """

    key: int | Tensor
    images: Tensor  # their numbers, int64 [n]
    first: int = 0  # step

    def normals(self, steps: int, width: int) -> Tensor | None:
        """float32 [steps, n, width]; None where the width is 0."""
        if width == 0:
            return None
        return image_normals(self.key, self.images, steps, width, self.first)


@dataclass
class RowsOfDraws:
    """Draws for the codes ``rows`` of ``total``: those that they get where all are drawn."""

    draws: Draws
    total: int
    rows: slice

    def normal(self, n: int, d: int) -> Tensor:
        draws = self.draws.normal(self.total, d)[self.rows]
        assert n == len(draws), f"{n} draws for {len(draws)} codes"
        return draws


def key_from(generator: torch.Generator) -> int:
    """Draw a key for ``image_normals``."""
    return int(torch.randint(2**63 - 1, (1,), generator=generator, device=generator.device))


def image_normals(key: int | Tensor, images: Tensor, steps: int, d: int, first: int = 0) -> Tensor:
    """Standard normal draws [steps, n, d] in float32 for images given by number (int64 [n]).

    A draw depends on the key, the image's number (below 2^32), the step (counted from ``first``)
    and the dimension, and on nothing else. Made on the device of ``images``.
    """
    n, device, blocks = len(images), images.device, -(-d // 4)
    shape = (steps, n, blocks)
    counters = torch.zeros((4, *shape), dtype=torch.int64, device=device)
    counters[0] = images[:, None]
    counters[1] = torch.arange(first, first + steps, device=device)[:, None, None]
    counters[2] = torch.arange(blocks, device=device)
    words = philox(counters, key)
    # Box and Muller (1958); u in (0, 1] so that its logarithm is finite.
    radius = (-2 * ((words[:2] + 1).float() * 2.0**-32).log()).sqrt()
    angle = words[2:].float() * (2 * math.pi * 2.0**-32)
    draws = torch.cat([radius * angle.cos(), radius * angle.sin()])  # [4, steps, n, blocks]
    return draws.permute(1, 2, 3, 0).reshape(steps, n, 4 * blocks)[..., :d]


def philox(counters: Tensor, key: int | Tensor) -> Tensor:
    """Philox 4x32-10: int64 [4, ...] counters below 2^32 -> int64 [4, ...] words below 2^32.

    ``key`` has 64 bits: a number, or an int64 scalar on the device of ``counters``.
    """
    low = 0xFFFFFFFF
    keys = zip(
        round_keys(key & low, 0x9E3779B9), round_keys(key >> 32 & low, 0xBB67AE85), strict=True
    )
    a, b, c, d = counters.unbind()
    for key0, key1 in keys:
        # 64-bit products wrap as unsigned ones do; the mask undoes the sign of the shift.
        product0, product1 = a * 0xD2511F53, c * 0xCD9E8D57
        a = (product1 >> 32).bitwise_and_(low).bitwise_xor_(b).bitwise_xor_(key0)
        c = (product0 >> 32).bitwise_and_(low).bitwise_xor_(d).bitwise_xor_(key1)
        b, d = product1.bitwise_and_(low), product0.bitwise_and_(low)
    return torch.stack([a, b, c, d])


def round_keys(first: int | Tensor, step: int) -> Sequence[int | Tensor]:
    """Philox's ten keys of 32 bits, ``step`` apart; where ``first`` is, a number or a scalar."""
    if isinstance(first, int):
        return [first + i * step & 0xFFFFFFFF for i in range(10)]
    rounds = torch.arange(10, device=first.device)
    return (first + rounds * step & 0xFFFFFFFF).unbind()


def shuffled_batches(
    n: int, size: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> tuple[Tensor, ...]:
    """Split a random order of 0..n-1 into batches of ``size``, on the device.

    A last batch of fewer than half of ``size``, or of one image, is joined to the one before it:
    batch statistics over a handful of images would be noise (over one image, an error).
    """
    order = torch.randperm(n, generator=generator, device=generator.device).to(device)
    batches = list(order.split(size))
    if len(batches) > number_of_batches(n, size):
        batches[-2:] = [torch.cat(batches[-2:])]
    return tuple(batches)


def number_of_batches(n: int, size: int) -> int:
    """How many batches ``shuffled_batches`` makes."""
    whole, left = divmod(n, size)
    return max(1, whole + is_batch(left, size))


def smallest_batch(n: int, size: int) -> int:
    """Images in the smallest batch that ``shuffled_batches`` makes."""
    left = n % size
    if is_batch(left, size):
        return left
    return n if number_of_batches(n, size) == 1 else size


def is_batch(left: int, size: int) -> bool:
    """Whether so many images that are left over by batches of ``size`` are a batch themselves."""
    return left >= 2 and left * 2 >= size
