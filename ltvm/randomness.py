"""Randomness by named axis: every draw comes from a stream named for its purpose.

No global generator is used anywhere, so a draw depends on the seed and on what it is for
("noise", iteration 3, sweep 1), never on what was drawn before it. That is why a resumed
run equals an uninterrupted one, and why all methods of an ablation share initial weights,
data order and prior draws for the same seed.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def stream(
    seed: int, purpose: str, *axes: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a fresh generator for this seed, purpose and position.

    >>> a = torch.rand(3, generator=stream(0, "noise", 2))
    >>> bool((a == torch.rand(3, generator=stream(0, "noise", 2))).all())
    True
    """
    name = "/".join([str(seed), purpose, *map(str, axes)])
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
    return torch.Generator(device=device).manual_seed(key)


def normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal draws in float32 on the generator's device."""
    return torch.randn(shape, generator=generator, device=generator.device)


def shuffled_batches(n: int, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Split a random order of 0..n-1 into batches of ``size``, on the generator's device.

    A last batch of fewer than half of ``size`` is joined to the one before it: batch
    statistics over a handful of images would be noise (over one image, an error).
    """
    order = torch.randperm(n, generator=generator, device=generator.device)
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) * 2 < size:
        batches[-2:] = [torch.cat(batches[-2:])]
    return tuple(batches)
