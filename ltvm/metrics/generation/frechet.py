"""Frechet distance to the training images: of prior samples, of decoded codes, and their gap.

    prior draws       -> decode -> fd            codes of training images -> decode -> fd_decoded
    prior_gap = fd - fd_decoded                  codes of unseen images   -> decode -> fd_unseen

Prior samples and decoded codes go through the same decoder, so that their gap is about what the
codes' distribution lacks of the prior's; it is what a correction of codes is to close. Both take
the same number of images: the distance falls with n even for a fixed model, by about as much in
both.

The value is named for its extractor (``fd_digits``, ``fid_inception2048``): distances on
different features do not compare. Moments are streamed: memory does not grow with n.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.methods.answers import inferred
from ltvm.methods.base import EVALUATION_BATCH, Method
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

GAP = "prior_gap"


def distance_name(extractor: Extractor) -> str:
    """``fd_digits``, ``fid_inception2048``: only Inception's is a FID."""
    return f"{extractor.distance}_{extractor.feature_name}"


class FrechetDistance(FeatureMetric):
    """Distances to the training images, with ``<name>`` for that of ``samples`` prior samples.

    - ``<name>_floor``: of the test images, what a perfect generator would get from a sample of
      that size;
    - ``<name>_decoded``: of as many images as prior samples, decoded from the codes that inference
      gave for training images (``Method.posterior_draws``), at even distances;
    - ``prior_gap``: ``<name>`` minus ``<name>_decoded``;
    - ``<name>_unseen``: of ``unseen_images`` test images (null: all) decoded from inferred codes,
      with the distance of these images themselves as its floor, ``<name>_unseen_floor``.

    ``samples: null`` takes as many as there are training images, as the literature does. Learning
    curves of ``<name>``, ``<name>_decoded`` and ``prior_gap`` use ``curve_samples`` (at most that
    many): their values compare with each other only.

    With no more images than features the covariance is singular: the distance is computed,
    and its provenance has a ``warning``.
    """

    key: ClassVar[str] = "frechet"

    def __init__(
        self,
        extractor: Extractor,
        samples: int | None = None,
        curve_samples: int = 1000,
        unseen_images: int | None = None,
    ) -> None:
        super().__init__(extractor, samples)
        self.require_count("curve_samples", curve_samples, 2)
        self.require_count("unseen_images", unseen_images, 2)
        self.curve_samples, self.unseen_images = curve_samples, unseen_images
        self.value_name = distance_name(extractor)
        self.decoded_name = f"{self.value_name}_decoded"
        self.unseen_name = f"{self.value_name}_unseen"

    def columns(self) -> dict[str, Column]:
        title = self.extractor.distance_title
        distance = f"Frechet distance on {self.extractor.title} between"
        few = "all" if self.unseen_images is None else f"at most {self.unseen_images}"
        return {
            self.value_name: Column(
                title=title,
                definition=f"{distance} prior samples and the training images.",
                family="generation",
                direction="lower",
                headline=True,
            ),
            f"{self.value_name}_floor": Column(
                title=f"{title} of the test images",
                definition=f"{distance} the test and the training images.",
                family="generation",
                role="floor",
                of=self.value_name,
            ),
            GAP: Column(
                title=f"prior gap, {title}",
                definition=(
                    f"Frechet distance on {self.extractor.title} of prior samples minus that of as "
                    "many images decoded from the codes that inference gave for training images; "
                    "both to the training images. It falls from either side: where samples get "
                    "better, and where decoded codes get worse."
                ),
                family="generation",
                headline=True,
            ),
            self.decoded_name: Column(
                title=f"{title}, decoded training codes",
                definition=(
                    f"{distance} the training images and as many images as prior samples, decoded "
                    "from the codes that inference gave for training images: those of the last "
                    "visit in training, before a correction, which makes them part prior. What "
                    "the decoder learned after a correction, it did not learn on them."
                ),
                family="generation",
            ),
            self.unseen_name: Column(
                title=f"{title}, decoded codes of unseen images",
                definition=(
                    f"{distance} the training images and {few} unseen images decoded from codes "
                    "inferred once; few images bias it upwards, so it is to be read beside its "
                    "floor."
                ),
                family="generation",
                direction="lower",
            ),
            f"{self.unseen_name}_floor": Column(
                title=f"{title} of those unseen images",
                definition=f"{distance} the same unseen images themselves and the training images.",
                family="generation",
                role="floor",
                of=self.unseen_name,
            ),
        }

    def curve_columns(self) -> dict[str, Column]:
        columns, few = self.columns(), f"at most {self.curve_samples}"
        distance = f"Frechet distance on {self.extractor.title}"
        about = {
            self.value_name: f"{distance} between {few} prior samples and the training images",
            self.decoded_name: (
                f"{distance} between {few} images decoded from the codes that inference gave for "
                "training images and the training images"
            ),
            GAP: f"{distance} of {few} prior samples minus that of as many decoded training codes",
        }
        return {
            f"{name}_curve": replace(
                columns[name],
                title=f"{columns[name].title}, along training",
                definition=f"{what}, after an iteration of training.",
                headline=True,
            )
            for name, what in about.items()
        }

    def distance(self, generated: Features, real: ImageSet, context: Context) -> float:
        """The Frechet distance, at least 0."""
        moments = moments_of(generated, self.extractor.dimension)
        return frechet_distance(moments, reference(self, real, context))

    @torch.no_grad()
    def curve(self, method: Method, data: DataSet, context: Context) -> dict[str, float]:
        """Distances of ``curve_samples`` at most and their gap, for learning curves."""
        n = min(self.curve_samples, len(data.train))
        generated = self.of_method(method, data, context, n, final=False)
        found = self.distance(generated, data.train, context)
        decoded = self.distance(self.of_training_codes(method, data, n), data.train, context)
        return {
            f"{self.value_name}_curve": found,
            f"{self.decoded_name}_curve": decoded,
            f"{GAP}_curve": found - decoded,
        }

    def compare(
        self, generated: Features, real: ImageSet, context: Context
    ) -> dict[str, Measurement]:
        return {self.value_name: self.measured(generated, real, context)}

    def measured(
        self, generated: Features, real: ImageSet, context: Context, **about: str
    ) -> Measurement:
        """The distance with its provenance, to which ``about`` adds or which it corrects."""
        provenance = self.provenance(generated.n, len(real), real) | about
        provenance |= singular_warning(generated.n, len(real), self.extractor.dimension)
        return Measurement(self.distance(generated, real, context), provenance)

    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        values = super().__call__(method, data, context)
        values |= self.floor(data, context) | self.gap(
            method, data, context, values[self.value_name]
        )
        if context.sampler is None:  # another one has no part in it
            values |= self.unseen(method, data, context)
        return values

    def floor(self, data: DataSet, context: Context) -> dict[str, Measurement]:
        """The distance of the test images to the training images."""
        tried = data.compared is data.test  # then by training images, which it has not seen
        images, real = (data.train, data.test) if tried else (data.test, data.train)
        return {f"{self.value_name}_floor": self.of_tested(images, real, context)}

    def of_tested(self, images: ImageSet, real: ImageSet, context: Context) -> Measurement:
        """The distance of test images themselves to the training images."""
        about = {"split": f"{images.split} against {real.split}", "images": images.fingerprint}
        return self.measured(self.of_data(images, context), real, context, **about)

    @torch.no_grad()
    def gap(
        self, method: Method, data: DataSet, context: Context, sampled: Measurement
    ) -> dict[str, Measurement]:
        """The distance of decoded training codes, and what ``sampled`` is above it."""
        features = self.of_training_codes(method, data, sampled.provenance["n"])
        about = {"codes": "training images', inferred, at even distances"}
        about["inference_precision"] = method.inference_precision
        decoded = self.measured(features, data.compared, context, **about)
        gap = Measurement(sampled.value - decoded.value, decoded.provenance)
        return {self.decoded_name: decoded, GAP: gap}

    def unseen(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        """The distance of unseen images decoded from inferred codes, and its floor."""
        n = len(data.test) if self.unseen_images is None else self.unseen_images
        images = data.test.subset(min(n, len(data.test)))
        codes = inferred_codes(method, images, context.stream("inference"))
        about = {"split": f"{images.split} against train", "images": images.fingerprint}
        about |= {"codes": "inferred once", "inference_precision": method.inference_precision}
        with torch.no_grad():
            features = self.of_codes(method, codes, data.train)
            decoded = self.measured(features, data.train, context, **about)
        return {
            self.unseen_name: decoded,
            f"{self.unseen_name}_floor": self.of_tested(images, data.train, context),
        }


def inferred_codes(method: Method, images: ImageSet, generator: torch.Generator) -> Tensor:
    """Codes [n, d] that the method infers, by batches: no float copy of all images is made."""
    rows = torch.arange(len(images), device=images.images.device).split(EVALUATION_BATCH)
    return torch.cat([inferred(method, images.scaled(part), generator) for part in rows])


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
