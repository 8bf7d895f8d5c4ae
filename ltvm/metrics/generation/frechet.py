"""Frechet distance between generated images and the training images.

The value is named for its extractor (``fd_digits``, ``fid_inception2048``): distances on
different features do not compare. Moments are streamed: memory does not grow with n.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Measurement
from ltvm.metrics.features.moments import Moments, frechet_distance, moments_of
from ltvm.metrics.generation.feature_metric import FeatureMetric, Features, singular_warning


def distance_name(feature_name: str) -> str:
    """``fd_digits``, ``fid_inception2048``: only Inception's is a FID."""
    return ("fd_" if feature_name == "digits" else "fid_") + feature_name


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
        self,
        extractor: str = "digits",
        samples: int | None = None,
        curve_samples: int = 1000,
        **options: Any,
    ) -> None:
        super().__init__(extractor, samples, options)
        self.require_count("curve_samples", curve_samples, 2)
        self.curve_samples = curve_samples
        self.value_name = distance_name(self.feature_name)
        self.lower_is_better = {self.value_name: True}

    def distance(self, generated: Features, real: ImageSet, context: Context) -> float:
        moments = moments_of(generated, self.extractor(context).dimension)
        return frechet_distance(moments, reference(self, real, context))

    def curve(self, method: Method, data: DataSet, context: Context) -> dict[str, float]:
        """The distance of a smaller sample, for learning curves."""
        n = min(self.curve_samples, len(data.train))
        generated = self.of_method(method, data, context, n, final=False)
        return {f"{self.value_name}_curve": self.distance(generated, data.train, context)}

    def compare(
        self, generated: Features, real: ImageSet, context: Context
    ) -> dict[str, Measurement]:
        dimension = self.extractor(context).dimension
        provenance = self.provenance(generated.n, len(real), real, context)
        provenance |= singular_warning(generated.n, len(real), dimension)
        value = self.distance(generated, real, context)
        return {self.value_name: Measurement(value, provenance)}

    @torch.no_grad()
    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        return super().__call__(method, data, context) | self.floor(data, context)

    def floor(self, data: DataSet, context: Context) -> dict[str, Measurement]:
        """The distance of the test images to the training images."""
        n = len(data.test)
        provenance = self.provenance(n, len(data.train), data.train, context)
        provenance |= {"split": "test against train", "images": data.test.fingerprint}
        provenance |= singular_warning(n, len(data.train), provenance["dimension"])
        value = self.distance(self.of_images(data.test, context), data.train, context)
        return {f"{self.value_name}_floor": Measurement(value, provenance)}


def reference(metric: FeatureMetric, real: ImageSet, context: Context) -> Moments:
    """Moments of the real images' features, cached by all that they depend on."""
    extractor = metric.extractor(context)
    key = (
        "moments",
        real.fingerprint,
        real.split,
        len(real),
        extractor.name,
        extractor.checksum,
        extractor.dimension,
        extractor.resize,
        metric.batch(context),
        str(context.device),
    )
    return context.cached(
        key, lambda: moments_of(metric.of_images(real, context), extractor.dimension)
    )
