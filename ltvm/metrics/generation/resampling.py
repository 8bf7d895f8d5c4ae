"""What the size of the sample does to a Frechet distance: its bias, and its error.

Bias: with n samples, E[FD] is close to FD_infinity + c / n (Chong and Forsyth, "Effectively
unbiased FID and Inception Score and where to find them", CVPR 2020, section 4). The line is
fitted by least squares to distances of random subsets of the sample, and read off at 1/n = 0.

Error: the standard deviation of the distance over draws of the sample, at a fixed model. By a
jackknife over disjoint groups: leave each of G groups out in turn,

    error^2 = (G - 1) / G * sum_g (FD_g - mean FD)^2

(Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 11.5, with groups for
points). Not the bootstrap: its duplicates lower the effective n, so that its replicates have
another bias than the distance that the error belongs to. Not a comparison of two halves: that has
one degree of freedom, and is at half of n. Bias and error need the moments of the groups alone,
which add up. The jackknife is right where the model is far from the data; where the distance is
little more than its bias (a good model, few samples) it is too large, by up to 1.5 times.

Both take the samples for independent draws. A folder with fixed numbers of every class is none:
subsets vary more than the whole does, the error comes out too large and the extrapolation too low.
The real images are held fixed in both: what their finite number adds stays in the value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.errors import require
from ltvm.metrics.base import Context, Measurement
from ltvm.metrics.columns import Column
from ltvm.metrics.features.base import Extractor
from ltvm.metrics.features.moments import Moments, distance_from
from ltvm.metrics.generation.feature_metric import FeatureMetric, Features, singular_warning
from ltvm.metrics.generation.frechet import distance_name, reference

SMALLEST = 0.3  # of n: the smallest subset of the fit, or
PER_FEATURE = 3  # images for each feature, if that is more: below, the law in 1/n bends
LEAST = 8  # images: there must be groups of them
LARGEST = 0.7  # of n: but never above


class FrechetResampling(FeatureMetric):
    """FD-infinity and the resampling error of the Frechet distance of ``samples`` prior samples.

    - ``<name>_infinity``: the distance extrapolated to infinitely many samples (it may be
      negative where the true one is near 0; clearly so, it has a ``warning``);
    - ``<name>_error``: the standard error of ``<name>`` over draws of the sample.

    The samples are those of :class:`FrechetDistance`, split at random (seeded) into ``groups``;
    ``draws`` random unions of groups make every size of the fit.
    """

    key: ClassVar[str] = "resampling"

    def __init__(
        self,
        extractor: Extractor,
        samples: int | None = None,
        groups: int = 20,
        draws: int = 4,
    ) -> None:
        super().__init__(extractor, samples)
        self.require_count("samples", samples, LEAST)
        self.require_count("groups", groups, 4)
        self.require_count("draws", draws, 1)
        self.groups, self.draws = groups, draws
        self.of = distance_name(extractor)
        self.infinity_name, self.error_name = f"{self.of}_infinity", f"{self.of}_error"

    def columns(self) -> dict[str, Column]:
        features = self.extractor.title
        return {
            self.infinity_name: Column(
                title=f"FD-infinity, {features}",
                definition=(
                    f"Frechet distance on {features} between prior samples and the training "
                    "images, extrapolated to infinitely many samples."
                ),
                family="generation",
                direction="lower",
            ),
            self.error_name: Column(
                title=f"resampling error of FD, {features}",
                definition=(
                    f"Standard error of the Frechet distance on {features} over draws of the "
                    "samples, by a jackknife over disjoint groups."
                ),
                family="generation",
                role="error",
                of=self.of,
            ),
        }

    def check(self, data: DataSet, context: Context) -> None:
        super().check(data, context)
        require(
            self.number(data) >= LEAST, "evaluation.metrics.resampling.samples",
            self.number(data), f"{LEAST} or more",
        )  # fmt: skip

    def compare(
        self, generated: Features, real: ImageSet, context: Context
    ) -> dict[str, Measurement]:
        dimension = self.extractor.dimension
        distance = distance_from(reference(self, real, context))
        groups = grouped(generated, dimension, self.groups, context.stream("groups"))
        sizes, distances = subset_distances(
            groups, distance, self.draws, context.stream("group draws")
        )
        infinity, error = at_infinity(sizes, distances), jackknife_error(groups, distance)
        provenance = {
            **self.provenance(generated.n, len(real), real),
            "groups": len(groups),
        }
        smallest = int(sizes.min())
        return {
            self.infinity_name: Measurement(
                infinity,
                {
                    **provenance,
                    "smallest_subset": smallest,
                    "draws": self.draws,
                    **extrapolation_warning(infinity, error, smallest, dimension),
                    **singular_warning(smallest, len(real), dimension),
                },
            ),
            self.error_name: Measurement(
                error,
                {**provenance, **singular_warning(least_left(groups), len(real), dimension)},
            ),
        }


def grouped(
    features: Features, dimension: int, groups: int, generator: torch.Generator
) -> list[Moments]:
    """Moments of ``groups`` random disjoint groups of sizes that differ by one at most.

    Fewer groups where there are fewer than two images for each.
    """
    groups = max(2, min(groups, features.n // 2))
    member = torch.randperm(features.n, generator=generator) % groups
    parts: list[Moments] = []
    start = 0
    for batch in features:
        if not parts:
            origin = batch.double().cpu().mean(0)
            parts = [Moments(dimension, origin) for _ in range(groups)]
        of_batch = member[start : start + len(batch)].to(batch.device)
        for g, part in enumerate(parts):
            part.add(batch[of_batch == g])
        start += len(batch)
    return parts


def subset_distances(
    groups: list[Moments],
    distance: Callable[[Moments], float],
    draws: int,
    generator: torch.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and distances of random unions of groups, from the smallest of the fit to all."""
    sizes, distances = [], []
    dimension, n = len(groups[0].mean), sum(group.n for group in groups)
    share = min(LARGEST, max(SMALLEST, PER_FEATURE * dimension / n))
    least = max(1, math.ceil(share * len(groups)))
    for count in range(least, len(groups) + 1):
        for _ in range(draws if count < len(groups) else 1):
            chosen = torch.randperm(len(groups), generator=generator)[:count]
            union = Moments.joined([groups[g] for g in chosen.tolist()])
            sizes.append(union.n)
            distances.append(distance(union))
    return np.array(sizes), np.array(distances)


def at_infinity(sizes: np.ndarray, distances: np.ndarray) -> float:
    """The least-squares line of distance over 1 / n, at 1 / n = 0."""
    _, intercept = np.polyfit(1 / sizes, distances, 1)
    return float(intercept)


def extrapolation_warning(
    infinity: float, error: float, smallest: int, dimension: int
) -> dict[str, str]:
    """A ``warning`` where the extrapolation is not to be trusted, else nothing."""
    if smallest < PER_FEATURE * dimension:
        text = f"subsets of {smallest} images for {dimension} features: extrapolated too low"
    elif infinity < -2 * error:
        text = "below zero by more than its error: the samples are no independent draws"
    else:
        return {}
    return {"warning": text}


def least_left(groups: list[Moments]) -> int:
    """How many images are left without the largest group."""
    return sum(group.n for group in groups) - max(group.n for group in groups)


def jackknife_error(groups: list[Moments], distance: Callable[[Moments], float]) -> float:
    """The standard error of the distance of all groups together."""
    left_out = np.array(
        [distance(Moments.joined(groups[:g] + groups[g + 1 :])) for g in range(len(groups))]
    )
    return float(np.sqrt((len(groups) - 1) * left_out.var()))
