"""The contract of a metric: (method, data, context) -> values with their provenance.

Each metric is one class; it declares what every one of its values is (``columns``), so that no
report needs a table of names.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.errors import DivergedError, InputError
from ltvm.methods.base import Method
from ltvm.metrics.columns import Column
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
    of its samples, for the other metrics of one evaluation; None keeps nothing. ``sampler`` says
    what density the method's samples come from in place of its own prior; None: its own.
    """

    seed: int
    device: torch.device
    cache: dict[Any, Any] = field(default_factory=dict)
    scratch: dict[Any, Any] | None = None
    sampler: dict[str, Any] | None = None

    def stream(self, purpose: str, *axes: int) -> torch.Generator:
        """A generator for this seed and purpose (see ``ltvm.runtime.randomness``)."""
        return stream(self.seed, f"evaluation {purpose}", *axes)

    def cached(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return the cached value of ``key``, making it the first time."""
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]


@dataclass(frozen=True)
class Made:
    """Images of a method that is not here: samples, and reconstructions of all test images.

    The latter in the order of those; None: there are none.
    """

    samples: ImageSet
    reconstructions: ImageSet | None = None


class Metric(ABC):
    """Evaluates a trained method, and follows it through training if it has a ``curve``.

    A constructor parameter named ``extractor`` is given the evaluation's feature extractor; the
    others are keys of its YAML. ``of_samples`` says whether what the method samples has a part in
    its values: where it has none, evaluations with another sampler leave the metric out.
    """

    of_samples: ClassVar[bool] = True

    @abstractmethod
    def columns(self) -> dict[str, Column]:
        """What each value is, of every name that a call may give."""

    @abstractmethod
    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        """The values; none where the metric does not apply to this method.

        Raises :class:`ltvm.errors.DivergedError` for a method that cannot be measured any more.
        """

    def of_made(self, made: Made, data: DataSet, context: Context) -> dict[str, Measurement]:  # noqa: ARG002
        """The values that images alone decide; none where the metric asks more of a method.

        Raises :class:`ltvm.errors.InputError` for images that it cannot take.
        """
        return {}

    def check(self, data: DataSet, context: Context) -> None:  # noqa: B027
        """Raise :class:`ltvm.errors.InputError` for what a run would stumble over at its end."""

    def curve(self, method: Method, data: DataSet, context: Context) -> dict[str, float]:  # noqa: ARG002
        """Values after an iteration of training, for the history: cheap ones, or none."""
        return {}

    def curve_columns(self) -> dict[str, Column]:
        """What each value of ``curve`` is."""
        return {}


def record_values(
    columns: Mapping[str, Column],
    measurements: Mapping[str, Measurement],
    shared: Mapping[str, Any],
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Measurements as they stand in a record: ``values`` and ``columns``, by name.

    A value is ``{"value": ..., **shared, **provenance}``: what its metric says of it goes before
    what is ``shared`` by all; a ``warning`` of either stands. Raises
    :class:`ltvm.errors.InputError` for a value that its metric declares no column for,
    :class:`ltvm.errors.DivergedError` for one that is not finite.
    """
    values: dict[str, dict[str, Any]] = {}
    for name, measurement in measurements.items():
        if name not in columns:
            raise InputError(
                f"metric value {name}: no column; allowed: the names that its metric declares "
                f"({', '.join(columns)})"
            )
        if not math.isfinite(measurement.value):
            raise DivergedError(f"metric {name} is {measurement.value}")
        values[name] = {"value": measurement.value, **shared, **measurement.provenance}
        texts = [of["warning"] for of in (shared, measurement.provenance) if of.get("warning")]
        if texts:
            values[name]["warning"] = "; ".join(texts)
    return values, {name: columns[name].as_dict() for name in values}
