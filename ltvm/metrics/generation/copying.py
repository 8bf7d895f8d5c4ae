"""Data-copying: whether samples are nearer to training images than unseen images are.

    d(x) = distance of x to its nearest training image, on features
    U / nm = P(d(sample) > d(unseen)), ties half      1/2 for fresh images, 0 for copies
    Z_U = (U / nm - 1/2) / sqrt((n + m + 1) / 12nm)   about N(0, 1) for fresh images

    C_T = mean of Z_U over cells, weighted by their unseen images

Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative
models", AISTATS 2020. Over all of feature space the share is an average: samples that are half
copies and half unlike any image are at 1/2, too. Therefore C_T, and the share in the cell where it
is lowest: cells are k-means' on training features, and count with 20 samples and 20 unseen images
or more (their code asks it of samples alone). Copies that are spread over all cells, among poor
samples, stay hidden. Distances in a cell go to all training images (their code looks within it).

Nothing of this shows repeated codes where codes decode poorly. Therefore the share of images that
are decoded from training codes stands beside it: what a sampler that repeats codes would have.

Beside it, too, the Frechet distance of the same samples to the unseen images. Its floor is that of
training images, so it does not tell copies from fresh images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet, ImageSet, evenly
from ltvm.errors import InputError
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Measurement
from ltvm.metrics.columns import Column
from ltvm.metrics.features.base import Extractor
from ltvm.metrics.features.moments import frechet_distance, moments_of
from ltvm.metrics.generation.feature_metric import (
    FeatureMetric,
    Features,
    extractor_key,
    singular_warning,
)
from ltvm.metrics.generation.frechet import distance_name
from ltvm.metrics.generation.manifold import distances_between

ROWS = 500  # distances to all training images are computed for so many rows at once
COPIES = 0.1  # a share below which a row is warned of: fresh images have 0.5
LEAST = 20  # samples, and unseen images, of a cell that counts


class Copying(FeatureMetric):
    """Prior samples against training images and ``unseen_images`` test images (null: all).

    Of either, distances to the training images are those of at most ``largest``: all pairs are
    compared. In a trial of a tuning the validation split is what is unseen. Unseen images are the
    same at every seed, so an interval over seeds says nothing of another choice of them. ``cells``
    is the number of k-means' cells; the values over cells are absent where none has enough images.
    """

    key: ClassVar[str] = "copying"

    def __init__(
        self,
        extractor: Extractor,
        samples: int | None = None,
        unseen_images: int | None = None,
        largest: int = 10_000,
        cells: int = 10,
    ) -> None:
        super().__init__(extractor, samples)
        self.require_count("unseen_images", unseen_images, 2)
        self.require_count("largest", largest, 2)
        self.require_count("cells", cells, 1)
        self.unseen_images, self.largest, self.cells = unseen_images, largest, cells
        self.share_name = f"farther_than_unseen_{extractor.feature_name}"
        self.z_name = f"{self.share_name}_z"
        self.ct_name, self.lowest_name = (f"{self.share_name}_{end}" for end in ("ct", "lowest"))
        self.repeated_name = f"{self.share_name}_decoded"
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
            self.repeated_name: Column(
                title=f"data-copying, decoded training codes, {features}",
                definition=(
                    "The share of as many images decoded from the codes that inference gave for "
                    "training images: what a sampler has that repeats codes. Where it is far above "
                    "0, codes decode poorly and the share does not show repeated codes."
                ),
                family="generation",
                role="diagnostic",
            ),
            self.ct_name: Column(
                title=f"data-copying, C_T, {features}",
                definition=(
                    "The mean of that z-score over cells of feature space (k-means of training "
                    f"images, at most {self.cells} cells), weighted by their unseen images."
                ),
                family="generation",
                role="diagnostic",
            ),
            self.lowest_name: Column(
                title=f"data-copying, lowest cell, {features}",
                definition=(
                    "The share in the cell where it is lowest: near 0 where samples of one kind "
                    "are copies, whatever the others are; of ten cells of fresh images the lowest "
                    "is somewhat below 0.5."
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

    def check_alone(self, real: ImageSet) -> NoReturn:
        raise InputError(
            f"evaluation.metrics.copying: no unseen images beside {real.name}; allowed: a data set "
            "by its name, runs with a test split, external rows"
        )

    def compare(self, generated: Features, real: ImageSet, context: Context) -> NoReturn:  # noqa: ARG002
        self.check_alone(real)

    @torch.no_grad()
    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        values = super().__call__(method, data, context)
        few = min(self.number(data), self.largest)
        repeated = self.of_training_codes(method, data, few)
        compared, about = self.compared(repeated, data, context)
        about |= {"codes": "training images', inferred, at even distances"}
        about["inference_precision"] = method.inference_precision
        return values | {self.repeated_name: Measurement(compared.far.share(), about)}

    def against(
        self, data: DataSet, generated: Features, context: Context
    ) -> dict[str, Measurement]:
        compared, about = self.compared(generated, data, context)
        unseen = self.unseen(data)
        held = self.of_data(unseen, context)
        n = min(generated.n, len(data.train))
        some = compared.training[evenly(len(data.train), n)].float()
        share = compared.far.share()
        return {
            self.share_name: Measurement(share, about | copies_warning(share)),
            self.z_name: Measurement(compared.far.z(), about),
            **self.over_cells(compared, about),
            self.distance_name: self.distance(generated, generated.n, held, unseen),
            f"{self.distance_name}_floor": self.distance([some], len(some), held, unseen),
        }

    def unseen(self, data: DataSet) -> ImageSet:
        """The test images that samples are held against."""
        n = len(data.test) if self.unseen_images is None else self.unseen_images
        return data.test.subset(min(n, len(data.test)))

    def compared(
        self, generated: Features, data: DataSet, context: Context
    ) -> tuple[Compared, dict[str, Any]]:
        """Images against a data set's, and what a number of theirs says about itself."""
        unseen = self.unseen(data)
        training = self.of_data(data.train, context).matrix().to(context.device).double()
        samples, fresh = (
            features.matrix()[evenly(features.n, min(features.n, self.largest))].to(training)
            for features in (generated, self.of_data(unseen, context))
        )
        about = self.provenance(len(samples), len(fresh), unseen)
        about |= {"n_train": len(training), "training": data.train.fingerprint}
        key = ("nearest", data.train.fingerprint, unseen.fingerprint, self.largest)
        key += extractor_key(self.extractor)
        far = context.cached(key, lambda: to_nearest(fresh, training))
        return Compared(samples, fresh, training, Far(to_nearest(samples, training), far)), about

    def over_cells(self, compared: Compared, about: dict[str, Any]) -> dict[str, Measurement]:
        """C_T and the lowest cell, or nothing where no cell has enough images of both kinds."""
        n = len(compared.training)
        few = compared.training[evenly(n, min(n, self.largest))]
        centres = centres_of(few, min(self.cells, len(few)))
        found = compared.in_cells(centres)
        if not found:
            return {}
        about = about | {
            "cells": len(centres),
            "cells_counted": len(found),
            "samples_in_them": sum(len(cell.samples) for cell in found),
        }
        weights = [len(cell.unseen) for cell in found]
        ct = sum(w * cell.z() for w, cell in zip(weights, found, strict=True)) / sum(weights)
        lowest = min(cell.share() for cell in found)
        return {
            self.ct_name: Measurement(ct, about),
            self.lowest_name: Measurement(lowest, about),
        }

    def distance(
        self, images: Iterable[Tensor], n: int, held: Features, unseen: ImageSet
    ) -> Measurement:
        """The Frechet distance of ``n`` images' features to those of the unseen images."""
        dimension = self.extractor.dimension
        value = frechet_distance(moments_of(images, dimension), moments_of(held, dimension))
        warned = singular_warning(n, held.n, dimension)
        return Measurement(value, self.provenance(n, held.n, unseen) | warned)


@dataclass(frozen=True)
class Far:
    """How far samples [n] and unseen images [m] are from their nearest training image."""

    samples: Tensor
    unseen: Tensor

    def share(self) -> float:
        """Of pairs in which the sample is the farther one, ties half: Mann-Whitney's U / nm."""
        return share_above(self.samples, self.unseen)

    def z(self) -> float:
        """That share less 1/2, over its standard deviation where both are draws of one law."""
        n, m = len(self.samples), len(self.unseen)
        return (self.share() - 0.5) / math.sqrt((n + m + 1) / (12 * n * m))


@dataclass(frozen=True)
class Compared:
    """Features of samples [n, d], unseen [m, d] and training images [t, d], float64, and ``far``:
    how far the first two are from the third.
    """

    samples: Tensor
    unseen: Tensor
    training: Tensor
    far: Far

    def in_cells(self, centres: Tensor) -> list[Far]:
        """The distances of every cell, that of its centre in [cells, d], with enough images."""
        of_samples, of_unseen = (
            distances_between(points, centres).argmin(1) for points in (self.samples, self.unseen)
        )
        parts = [
            Far(self.far.samples[of_samples == cell], self.far.unseen[of_unseen == cell])
            for cell in range(len(centres))
        ]
        return [part for part in parts if min(len(part.samples), len(part.unseen)) >= LEAST]


def centres_of(training: Tensor, cells: int) -> Tensor:
    """The centres of k-means' cells on features [n, d]: [cells, d], the same at every call."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "openmp"):  # several threads would add up in any order
        found = KMeans(cells, n_init=4, random_state=0).fit(training.cpu().numpy())
    return torch.from_numpy(found.cluster_centers_).to(training)


def copies_warning(share: float) -> dict[str, str]:
    """A ``warning`` for the provenance of a share that copies alone have, else nothing."""
    if share >= COPIES:
        return {}
    text = f"near copies: nearer to training images than unseen images by {1 - COPIES:.0%} of pairs"
    return {"warning": text}


def to_nearest(points: Tensor, others: Tensor) -> Tensor:
    """The distance of every point to its nearest other: [n, d] and [m, d] -> [n]."""
    return torch.cat([distances_between(rows, others).amin(1) for rows in points.split(ROWS)])


def share_above(first: Tensor, second: Tensor) -> float:
    """P(a > b) + P(a = b) / 2 over all pairs of a of [n] and b of [m]: Mann-Whitney's U / nm."""
    ordered = second.sort().values
    below = torch.searchsorted(ordered, first).double()
    not_above = torch.searchsorted(ordered, first, right=True).double()
    return ((below + not_above) / 2).mean().item() / len(second)
