"""The contract of a metric: (method, data, context) -> values with their provenance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet
from ltvm.errors import DivergedError
from ltvm.methods.base import Method
from ltvm.runtime.randomness import stream


@dataclass(frozen=True)
class Measurement:
    """One number and what it is: ``provenance`` names n, split, extractor, units and so on."""

    value: float
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a metric may draw on besides the method and the data.

    ``seed`` seeds the metric's own draws (``stream``); they are the same for every method.
    ``cache`` holds what does not depend on the method, such as features of the data; its keys
    carry the data's fingerprint. ``scratch`` holds what depends on the method, such as features
    of its samples, for the other metrics of one evaluation; None keeps nothing.
    """

    seed: int
    device: torch.device
    cache: dict[Any, Any] = field(default_factory=dict)
    scratch: dict[Any, Any] | None = None

    def stream(self, purpose: str, *axes: int) -> torch.Generator:
        return stream(self.seed, f"evaluation {purpose}", *axes)

    def cached(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return the cached value of ``key``, making it the first time."""
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]


def least_energy(energies: Tensor, method: Method) -> Tensor:
    """Which restart has the least energy U(z; x): [restarts, n] -> int64 [n].

    A chain that left the numbers is never chosen; raises :class:`ltvm.errors.DivergedError` if
    all chains of an image did.
    """
    finite = energies.isfinite()
    lost = int((~finite.any(0)).sum())
    if lost:
        name = type(method).__name__
        raise DivergedError(f"{name}: codes of {lost} images have no finite energy")
    return energies.where(finite, torch.inf).argmin(0)


class Metric(Protocol):
    """Evaluate a trained method; names of the values must be the metric's own.

    ``lower_is_better`` says which names have a best value and which way (absent: neither).
    """

    lower_is_better: dict[str, bool]

    def __call__(
        self, method: Method, data: DataSet, context: Context
    ) -> dict[str, Measurement]: ...
