"""Inference from several starts, of which the code of least energy U(z; x) is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ltvm.errors import DivergedError
from ltvm.methods.answers import inferred
from ltvm.methods.base import Method


@dataclass(frozen=True)
class Restarts:
    """Codes [restarts, n, d] of n images and their energies [restarts, n]."""

    codes: Tensor
    energies: Tensor
    method: str  # its name, for messages

    def best(self, among: int | None = None) -> Tensor:
        """Which of the first ``among`` restarts (None: all) has the least energy: int64 [n].

        Raises :class:`ltvm.errors.DivergedError` as ``least_energy`` does.
        """
        return least_energy(self.energies[:among], self.method)

    @staticmethod
    def joined(parts: Sequence[Restarts]) -> Restarts:
        """All restarts of ``parts``, which are of the same images."""
        return Restarts(
            torch.cat([part.codes for part in parts]),
            torch.cat([part.energies for part in parts]),
            parts[0].method,
        )


def infer_restarts(
    method: Method, images: Tensor, restarts: int, draws: torch.Generator, **options: Any
) -> Restarts:
    """Infer images [n, c, h, w] in [-1, 1] from ``restarts`` starts, all in one large batch.

    Restart r of fewer is restart r of more, for methods whose draws belong to an image's place in
    the batch (see ``ltvm.runtime.randomness.image_normals``). ``options`` are those of the method's
    ``infer``.
    """
    n = len(images)
    repeated = images.repeat(restarts, 1, 1, 1)  # [restarts * n, c, h, w]
    codes = inferred(method, repeated, draws, finite=False, **options)  # of some: the others stand
    energies = method.energy(repeated, codes).view(restarts, n)
    return Restarts(codes.view(restarts, n, -1), energies, type(method).__name__)


def least_energy(energies: Tensor, method: str) -> Tensor:
    """Which restart has the least energy: [restarts, n] -> int64 [n].

    A chain that left the numbers is never chosen; raises :class:`ltvm.errors.DivergedError` if
    all chains of an image did. ``method`` is its name, for that message.
    """
    finite = energies.isfinite()
    lost = int((~finite.any(0)).sum())
    if lost:
        raise DivergedError(f"{method}: codes of {lost} images have no finite energy")
    return energies.where(finite, torch.inf).argmin(0)
