"""Frechet distance between generated images and the training images.

The value is named for its extractor (``fd_digits``, ``fid_inception2048``): distances on
different features do not compare. Generated images are clamped, scaled and rounded to uint8
exactly as the real ones are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet, to_uint8
from ltvm.errors import require
from ltvm.methods.base import EVALUATION_BATCH, Method
from ltvm.metrics.base import Context, Measurement
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.features.inception import InceptionFeatures
from ltvm.metrics.moments import Moments, frechet_distance, moments_of


class Extractor(Protocol):
    """uint8 images [n, c, h, w] -> float64 features [n, dimension]."""

    name: str
    dimension: int
    checksum: str
    resize: str

    def __call__(self, images: Tensor) -> Tensor: ...


EXTRACTORS: dict[str, Callable[..., Extractor]] = {
    "digits": DigitFeatures,
    "inception": InceptionFeatures,
}


class FrechetDistance:
    """``samples`` prior samples against the training images.

    ``samples: null`` takes as many as there are training images, as the literature does. A
    learning curve uses ``curve_samples`` (at most that many): its values compare with each
    other only. ``<name>_floor`` is the distance of the test images to the training images:
    what a perfect generator would get from a sample of that size.
    """

    def __init__(
        self,
        extractor: str = "digits",
        samples: int | None = None,
        curve_samples: int = 1000,
        **options: Any,
    ) -> None:
        require(
            extractor in EXTRACTORS, "evaluation.metrics.frechet.extractor", extractor,
            ", ".join(EXTRACTORS),
        )  # fmt: skip
        if samples is not None:
            require(samples >= 2, "evaluation.metrics.frechet.samples", samples, "2 or more")
        self.kind, self.options = extractor, options
        self.samples, self.curve_samples = samples, curve_samples
        prefix = "fd" if extractor == "digits" else "fid"
        dimension = "" if extractor == "digits" else str(options.get("dimension", 2048))
        self.value_name = f"{prefix}_{extractor}{dimension}"
        self.lower_is_better = {self.value_name: True}

    def check(self, data: DataSet, context: Context) -> None:
        """Raise :class:`ltvm.errors.InputError` for what a run would stumble over at its end.

        That is: more samples than real images, absent or wrong weights, a wrong image shape.
        """
        self.extractor(context)(data.train.images[:2])
        if self.samples is not None:
            require(
                self.samples <= len(data.train),
                "evaluation.metrics.frechet.samples",
                self.samples,
                f"at most the {len(data.train)} training images of {data.train.name}",
            )

    def extractor(self, context: Context) -> Extractor:
        key = ("extractor", self.kind, str(context.device), *sorted(self.options.items()))
        return context.cached(
            key, lambda: EXTRACTORS[self.kind](device=context.device, **self.options)
        )

    def reference(self, data: DataSet, context: Context) -> Moments:
        """Moments of the training images' features."""
        extractor = self.extractor(context)
        key = (
            "moments",
            data.train.fingerprint,
            data.train.split,
            len(data.train),
            extractor.name,
            extractor.checksum,
            extractor.dimension,
            extractor.resize,
            EVALUATION_BATCH,
            str(context.device),
        )
        return context.cached(
            key,
            lambda: moments_of(
                data.train.images.split(EVALUATION_BATCH), extractor, extractor.dimension
            ),
        )

    def distance(self, method: Method, data: DataSet, context: Context, n: int) -> float:
        """The distance of ``n`` prior samples to the training images."""
        extractor = self.extractor(context)

        def generated() -> Iterator[Tensor]:
            draws = context.stream("samples")
            for start in range(0, n, EVALUATION_BATCH):
                yield to_uint8(method.sample(min(EVALUATION_BATCH, n - start), draws))

        moments = moments_of(generated(), extractor, extractor.dimension)
        return frechet_distance(moments, self.reference(data, context))

    def curve(self, method: Method, data: DataSet, context: Context) -> dict[str, float]:
        """The distance of a smaller sample, for learning curves."""
        n = min(self.curve_samples, len(data.train))
        return {f"{self.value_name}_curve": self.distance(method, data, context, n)}

    @torch.no_grad()
    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        self.check(data, context)
        n = len(data.train) if self.samples is None else self.samples
        extractor = self.extractor(context)
        provenance = {
            "extractor": extractor.name,
            "checksum": extractor.checksum,
            "dimension": extractor.dimension,
            "n": n,
            "n_real": len(data.train),
            "split": "train",
            "resize": extractor.resize,
            "batch": EVALUATION_BATCH,
            "data": data.train.fingerprint,
        }
        floor_provenance = {**provenance, "n": len(data.test), "split": "test against train"}

        def floor() -> float:
            batches = data.test.images.split(EVALUATION_BATCH)
            moments = moments_of(batches, extractor, extractor.dimension)
            return frechet_distance(moments, self.reference(data, context))

        return {
            self.value_name: Measurement(self.distance(method, data, context, n), provenance),
            f"{self.value_name}_floor": Measurement(floor(), floor_provenance),
        }
