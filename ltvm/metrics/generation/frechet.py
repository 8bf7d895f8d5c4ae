"""Frechet distance between generated images and the training images.

The value is named for its extractor (``fd_digits``, ``fid_inception2048``): distances on
different features do not compare. Moments are streamed: memory does not grow with n.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Measurement
from ltvm.metrics.columns import Column
from ltvm.metrics.features.base import Extractor
from ltvm.metrics.features.moments import Moments, frechet_distance, moments_of
from ltvm.metrics.generation.feature_metric import (
    FeatureMetric,
    Features,
    extractor_key,
    singular_warning,
)


def distance_name(extractor: Extractor) -> str:
    """``fd_digits``, ``fid_inception2048``: only Inception's is a FID."""
    return f"{extractor.distance}_{extractor.feature_name}"


class FrechetDistance(FeatureMetric):
    """``samples`` prior samples against the training images.

    ``samples: null`` takes as many as there are training images, as the literature does. A
    learning curve uses ``curve_samples`` (at most that many): its values compare with each
    other only. ``<name>_floor`` is the distance of the test images to the training images:
    what a perfect generator would get from a sample of that size.

    With no more images than features the covariance is singular: the distance is computed,
    and its provenance has a ``warning``.
    """

    key: ClassVar[str] = "frechet"

    def __init__(
        self, extractor: Extractor, samples: int | None = None, curve_samples: int = 1000
    ) -> None:
        super().__init__(extractor, samples)
        self.require_count("curve_samples", curve_samples, 2)
        self.curve_samples = curve_samples
        self.value_name = distance_name(extractor)

    def columns(self) -> dict[str, Column]:
        title, features = self.extractor.distance_title, self.extractor.title
        return {
            self.value_name: Column(
                title=title,
                definition=(
                    f"Frechet distance on {features} between prior samples and the training images."
                ),
                family="generation",
                direction="lower",
                headline=True,
            ),
            f"{self.value_name}_floor": Column(
                title=f"{title} of the test images",
                definition=(
                    f"Frechet distance on {features} between the test and the training images."
                ),
                family="generation",
                role="floor",
                of=self.value_name,
            ),
        }

    def curve_columns(self) -> dict[str, Column]:
        column = self.columns()[self.value_name]
        return {
            f"{self.value_name}_curve": replace(
                column,
                title=f"{column.title}, on a small sample",
                definition=(
                    f"Frechet distance on {self.extractor.title} between at most "
                    f"{self.curve_samples} prior samples and the training images, after an "
                    "iteration of training."
                ),
            )
        }

    def distance(self, generated: Features, real: ImageSet, context: Context) -> float:
        """The Frechet distance, at least 0."""
        moments = moments_of(generated, self.extractor.dimension)
        return frechet_distance(moments, reference(self, real, context))

    def curve(self, method: Method, data: DataSet, context: Context) -> dict[str, float]:
        """The distance of a smaller sample, for learning curves."""
        n = min(self.curve_samples, len(data.train))
        generated = self.of_method(method, data, context, n, final=False)
        return {f"{self.value_name}_curve": self.distance(generated, data.train, context)}

    def compare(
        self, generated: Features, real: ImageSet, context: Context
    ) -> dict[str, Measurement]:
        provenance = self.provenance(generated.n, len(real), real)
        provenance |= singular_warning(generated.n, len(real), self.extractor.dimension)
        value = self.distance(generated, real, context)
        return {self.value_name: Measurement(value, provenance)}

    @torch.no_grad()
    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        return super().__call__(method, data, context) | self.floor(data, context)

    def floor(self, data: DataSet, context: Context) -> dict[str, Measurement]:
        """The distance of the test images to the training images."""
        n = len(data.test)
        provenance = self.provenance(n, len(data.train), data.train)
        provenance |= {"split": "test against train", "images": data.test.fingerprint}
        provenance |= singular_warning(n, len(data.train), provenance["dimension"])
        value = self.distance(self.of_data(data.test, context), data.train, context)
        return {f"{self.value_name}_floor": Measurement(value, provenance)}


def reference(metric: FeatureMetric, real: ImageSet, context: Context) -> Moments:
    """Moments of the real images' features, cached by all that they depend on."""
    key = (
        "moments",
        real.fingerprint,
        real.split,
        len(real),
        *extractor_key(metric.extractor),
    )
    dimension = metric.extractor.dimension
    moments: Moments = context.cached(
        key, lambda: moments_of(metric.of_data(real, context), dimension)
    )
    return moments
