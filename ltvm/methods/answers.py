"""What a method answers, held against its contract where it is asked.

A method of anybody's may answer anything: what is wrong is said here, in a line with its name, and
not by an error from deep within what would have been done with it.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from ltvm.errors import DivergedError, require


class Asked(Protocol):
    """What is asked of a method (see ``ltvm.methods.base.Method``)."""

    codes: Tensor

    def infer(self, images: Tensor, generator: torch.Generator) -> Tensor: ...
    def sample(self, n: int, generator: torch.Generator) -> Tensor: ...


def inferred(
    method: Asked, images: Tensor, generator: torch.Generator, finite: bool = True, **options: Any
) -> Tensor:
    """Codes [n, d] of images [n, c, h, w], by the method's ``infer``, without a graph.

    Raises :class:`ltvm.errors.InputError` for another shape, and :class:`DivergedError` for codes
    that are not ``finite``, unless the caller looks himself.
    """
    infer: Any = method.infer  # of some methods with options of their own
    codes = infer(images, generator, **options)
    name = f"{type(method).__name__}.infer"
    require_codes(name, codes, (len(images), method.codes.shape[1]))
    if finite and not codes.isfinite().all():
        raise DivergedError(f"{name}: codes that are not finite")
    return codes.detach()


def sampled(method: Asked, n: int, generator: torch.Generator) -> Tensor:
    """``n`` images [n, c, h, w], by the method's ``sample``; raises as ``inferred``."""
    images = method.sample(n, generator)
    name = f"{type(method).__name__}.sample"
    is_tensor = isinstance(images, Tensor) and images.is_floating_point()
    sound = is_tensor and images.dim() == 4 and len(images) == n
    require(sound, f"{name}: shape of {n} images", shape_of(images), f"{n} x channels x h x w")
    if not images.isfinite().all():
        raise DivergedError(f"{name}: samples that are not finite")
    return images


def require_codes(name: str, codes: object, shape: tuple[int, int]) -> None:
    """Raise :class:`ltvm.errors.InputError` for what are no codes of this shape."""
    sound = isinstance(codes, Tensor) and codes.is_floating_point() and codes.shape == shape
    allowed = f"{shape[0]}x{shape[1]}, a code for each image"
    require(sound, f"{name}: shape of codes", shape_of(codes), allowed)


def shape_of(value: object) -> str:
    """``6x30``; of what is no tensor of floats, what it is."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    kind = "" if value.is_floating_point() else f" of {value.dtype}".replace("torch.", "")
    return ("x".join(map(str, value.shape)) or "a number") + kind
