"""Data-copying: whether samples are nearer to training images than unseen images are.

    d(x) = distance of x to its nearest training image, on features
    U / nm = P(d(sample) > d(unseen)), ties half      1/2 for fresh images, 0 for copies
    Z_U = (U / nm - 1/2) / sqrt((n + m + 1) / 12nm)   about N(0, 1) for fresh images

Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative
models", AISTATS 2020: their statistic over all of feature space. It is an average: samples that are
half copies and half unlike any image are at 1/2, too; their C_T, over cells, is not computed here.

Beside it the Frechet distance of the same samples to the unseen images. Its floor is that of
training images, so it does not tell copies from fresh images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet, ImageSet, evenly
from ltvm.errors import InputError
from ltvm.metrics.base import Context, Measurement
from ltvm.metrics.columns import Column
from ltvm.metrics.features.base import Extractor
from ltvm.metrics.features.moments import frechet_distance, moments_of
from ltvm.metrics.generation.feature_metric import FeatureMetric, Features, singular_warning
from ltvm.metrics.generation.frechet import distance_name
from ltvm.metrics.generation.manifold import distances_between

ROWS = 500  # distances to all training images are computed for so many rows at once


class Copying(FeatureMetric):
    """Prior samples against training images and ``unseen_images`` test images (null: all).

    Of either, distances to the training images are those of at most ``largest``: all pairs are
    compared. In a trial of a tuning the validation split is what is unseen. Unseen images are the
    same at every seed, so an interval over seeds says nothing of another choice of them.
    """

    key: ClassVar[str] = "copying"

    def __init__(
        self,
        extractor: Extractor,
        samples: int | None = None,
        unseen_images: int | None = None,
        largest: int = 10_000,
    ) -> None:
        super().__init__(extractor, samples)
        self.require_count("unseen_images", unseen_images, 2)
        self.require_count("largest", largest, 2)
        self.unseen_images, self.largest = unseen_images, largest
        self.share_name = f"farther_than_unseen_{extractor.feature_name}"
        self.z_name = f"{self.share_name}_z"
        self.distance_name = f"{distance_name(extractor)}_to_unseen"

    def columns(self) -> dict[str, Column]:
        features, title = self.extractor.title, self.extractor.distance_title
        few = "all" if self.unseen_images is None else f"at most {self.unseen_images}"
        return {
            self.share_name: Column(
                title=f"data-copying (copies 0, fresh 0.5), {features}",
                definition=(
                    f"Share of pairs of a prior sample and one of {few} unseen images in which the "
                    "sample is the farther one from its nearest training image, ties half, on "
                    f"{features} (Meehan et al., 2020): 0.5 for fresh images, 0 for copies of "
                    "training images, 1 for what is unlike any; an average over all samples."
                ),
                family="generation",
                headline=True,
            ),
            self.z_name: Column(
                title=f"data-copying, Z, {features}",
                definition=(
                    "The same as a z-score, about normal for fresh images: far below zero for "
                    "copies, far above for samples that are worse than unseen images."
                ),
                family="generation",
                role="diagnostic",
            ),
            self.distance_name: Column(
                title=f"{title}, to unseen images",
                definition=f"Frechet distance on {features} of samples to {few} unseen images.",
                family="generation",
                direction="lower",
                headline=True,
            ),
            f"{self.distance_name}_floor": Column(
                title=f"{title}, of training to unseen images",
                definition=(
                    f"Frechet distance on {features} of as many training images as prior samples, "
                    f"or all, to {few} unseen images: what copies have."
                ),
                family="generation",
                role="floor",
                of=self.distance_name,
            ),
        }

    def compare(
        self,
        generated: Features,  # noqa: ARG002
        real: ImageSet,
        context: Context,  # noqa: ARG002
    ) -> dict[str, Measurement]:
        raise InputError(
            f"evaluation.metrics.copying: no unseen images beside {real.name}; allowed: a data set "
            "by its name, runs with a test split, external rows"
        )

    def against(
        self, data: DataSet, generated: Features, context: Context
    ) -> dict[str, Measurement]:
        n = len(data.test) if self.unseen_images is None else self.unseen_images
        unseen = data.test.subset(min(n, len(data.test)))
        seen, held = (self.of_data(images, context) for images in (data.train, unseen))
        training = seen.matrix()
        some = training[evenly(seen.n, min(generated.n, seen.n))]
        on_device = training.to(context.device).double()
        sampled, fresh = (self.to_training(one, on_device) for one in (generated, held))
        share, z = share_above(sampled, fresh), z_score(sampled, fresh)
        about = self.provenance(len(sampled), len(fresh), unseen)
        about |= {"n_train": seen.n, "training": data.train.fingerprint}
        return {
            self.share_name: Measurement(share, about),
            self.z_name: Measurement(z, about),
            self.distance_name: self.distance(generated, generated.n, held, unseen),
            f"{self.distance_name}_floor": self.distance([some], len(some), held, unseen),
        }

    def to_training(self, features: Features, training: Tensor) -> Tensor:
        """How far at most ``largest`` images, at even distances, are from their nearest [n]."""
        chosen = features.matrix()[evenly(features.n, min(features.n, self.largest))]
        return to_nearest(chosen.to(training.device).double(), training)

    def distance(
        self, images: Iterable[Tensor], n: int, held: Features, unseen: ImageSet
    ) -> Measurement:
        """The Frechet distance of ``n`` images' features to those of the unseen images."""
        dimension = self.extractor.dimension
        value = frechet_distance(moments_of(images, dimension), moments_of(held, dimension))
        warned = singular_warning(n, held.n, dimension)
        return Measurement(value, self.provenance(n, held.n, unseen) | warned)


def to_nearest(points: Tensor, others: Tensor) -> Tensor:
    """The distance of every point to its nearest other: [n, d] and [m, d] -> [n]."""
    return torch.cat([distances_between(rows, others).amin(1) for rows in points.split(ROWS)])


def share_above(first: Tensor, second: Tensor) -> float:
    """P(a > b) + P(a = b) / 2 over all pairs of a of [n] and b of [m]: Mann-Whitney's U / nm."""
    ordered = second.sort().values
    below = torch.searchsorted(ordered, first).double()
    not_above = torch.searchsorted(ordered, first, right=True).double()
    return ((below + not_above) / 2).mean().item() / len(second)


def z_score(first: Tensor, second: Tensor) -> float:
    """That share less 1/2, over its standard deviation where both are draws of one law."""
    n, m = len(first), len(second)
    return (share_above(first, second) - 0.5) / math.sqrt((n + m + 1) / (12 * n * m))
