"""Whether samples are copies of training images: where unseen images are, they should be as well.

    d(x) = distance of x to its nearest training image, on features
    P(d(sample) > d(unseen)), ties half      1/2 for fresh real images, 0 for copies

Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative
models", AISTATS 2020: the Mann-Whitney statistic of section 3.1, over all of feature space. Beside
it the Frechet distance of the same samples to the unseen images, which copies do not lower.
"""

from __future__ import annotations

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

    In a trial of a tuning the validation split is what is unseen.
    """

    key: ClassVar[str] = "copying"

    def __init__(
        self, extractor: Extractor, samples: int | None = None, unseen_images: int | None = None
    ) -> None:
        super().__init__(extractor, samples)
        self.require_count("unseen_images", unseen_images, 2)
        self.unseen_images = unseen_images
        self.share_name = f"farther_than_unseen_{extractor.feature_name}"
        self.distance_name = f"{distance_name(extractor)}_to_unseen"

    def columns(self) -> dict[str, Column]:
        features, title = self.extractor.title, self.extractor.distance_title
        few = "all" if self.unseen_images is None else f"at most {self.unseen_images}"
        return {
            self.share_name: Column(
                title=f"P(farther than unseen), {features}",
                definition=(
                    f"Share of pairs of a prior sample and one of {few} unseen images in which the "
                    "sample is the farther one from its nearest training image, ties half, on "
                    f"{features}: 0.5 for fresh real images, 0 for copies of training images, 1 "
                    "for what is unlike any."
                ),
                family="generation",
                headline=True,
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
                    f"Frechet distance on {features} of as many training images as prior samples "
                    f"to {few} unseen images."
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
            f"evaluation.metrics.copying: no unseen images beside {real.name}; allowed: runs, "
            "external rows, and the name of a data set"
        )

    def against(
        self, data: DataSet, generated: Features, context: Context
    ) -> dict[str, Measurement]:
        n = len(data.test) if self.unseen_images is None else self.unseen_images
        unseen = data.test.subset(min(n, len(data.test)))
        seen, held = (self.of_data(images, context) for images in (data.train, unseen))
        some = seen.matrix()[evenly(seen.n, min(generated.n, seen.n))]
        provenance = self.provenance(generated.n, held.n, unseen)
        beside = {"n_train": seen.n, "training": data.train.fingerprint}
        share = share_above(*self.to_training([generated, held], seen, context))
        warned = provenance | singular_warning(generated.n, held.n, self.extractor.dimension)
        return {
            self.share_name: Measurement(share, provenance | beside),
            self.distance_name: Measurement(self.distance(generated, held), warned),
            f"{self.distance_name}_floor": Measurement(self.distance([some], held), warned),
        }

    def to_training(
        self, several: list[Features], seen: Features, context: Context
    ) -> list[Tensor]:
        """For each of several sets, distances of its images to their nearest training images."""
        training = seen.matrix().to(context.device).double()
        return [
            to_nearest(features.matrix().to(context.device).double(), training)
            for features in several
        ]

    def distance(self, first: Iterable[Tensor], second: Iterable[Tensor]) -> float:
        """The Frechet distance of two sets of features."""
        dimension = self.extractor.dimension
        return frechet_distance(moments_of(first, dimension), moments_of(second, dimension))


def to_nearest(points: Tensor, others: Tensor) -> Tensor:
    """The distance of every point to its nearest other: [n, d] and [m, d] -> [n]."""
    return torch.cat([distances_between(rows, others).amin(1) for rows in points.split(ROWS)])


def share_above(first: Tensor, second: Tensor) -> float:
    """P(a > b) + P(a = b) / 2 over all pairs of a of [n] and b of [m]: Mann-Whitney's U / nm."""
    ordered = second.sort().values
    below = torch.searchsorted(ordered, first).double()
    not_above = torch.searchsorted(ordered, first, right=True).double()
    return ((below + not_above) / 2).mean().item() / len(second)
