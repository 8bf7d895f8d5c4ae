"""Precision, recall, density and coverage of generated images, by nearest neighbours.

Balls around the images of one set reach to their k-th nearest neighbour in that set; what
falls into the balls of the other is counted. Precision and recall: Kynkaanniemi et al.,
"Improved precision and recall metric", NeurIPS 2019; density and coverage: Naeem et al.,
"Reliable fidelity and diversity metrics", ICML 2020. They depend on n and k, which provenance
states. No finite sample of a perfect generator need reach 1, and density may exceed it.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet, ImageSet, evenly
from ltvm.errors import require
from ltvm.metrics.base import Context, Measurement
from ltvm.metrics.columns import Column
from ltvm.metrics.features.base import Extractor
from ltvm.metrics.generation.feature_metric import FeatureMetric, Features

ROWS = 1_000  # distances are computed for so many rows at once
KINDS = {  # balls reach to the k-th nearest neighbour in their own set
    "precision": "Share of prior samples in a ball (k = {k}) of a training image",
    "recall": "Share of training images in a ball (k = {k}) of a prior sample",
    "density": "Number of balls (k = {k}) of training images that a prior sample is in, over k",
    "coverage": "Share of training images with a prior sample in their ball (k = {k})",
}


class Manifold(FeatureMetric):
    """Prior samples and as many training images, at even distances among them.

    ``samples`` as for every metric on features, but at most ``largest`` of each: the distances
    of all pairs are computed. ``neighbours`` is k.
    """

    key: ClassVar[str] = "manifold"

    def __init__(
        self,
        extractor: Extractor,
        samples: int | None = None,
        neighbours: int = 5,
        largest: int = 10_000,
    ) -> None:
        super().__init__(extractor, samples)
        self.require_count("neighbours", neighbours, 1)
        self.require_count("largest", largest, 2)
        self.neighbours, self.largest = neighbours, largest
        self.names = {kind: f"{kind}_{extractor.feature_name}" for kind in KINDS}

    def columns(self) -> dict[str, Column]:
        features, k = self.extractor.title, self.neighbours
        return {
            self.names[kind]: Column(
                title=f"{kind}, {features}",
                definition=f"{words.format(k=k)}, on {features}.",
                family="generation",
                direction="higher",
            )
            for kind, words in KINDS.items()
        }

    def check(self, data: DataSet, context: Context) -> None:
        super().check(data, context)
        self.require_neighbours(min(self.number(data), len(data.train), self.largest))

    def require_neighbours(self, n: int) -> None:
        require(
            self.neighbours < n, "evaluation.metrics.manifold.neighbours", self.neighbours,
            f"below the {n} images",
        )  # fmt: skip

    def compare(
        self, generated: Features, real: ImageSet, context: Context
    ) -> dict[str, Measurement]:
        n = min(generated.n, len(real), self.largest)
        self.require_neighbours(n)
        chosen, chosen_real = (
            features.matrix()[evenly(features.n, n)].to(context.device).double()
            for features in (generated, self.of_data(real, context))
        )
        values = manifold_values(chosen_real, chosen, self.neighbours)
        provenance = {
            **self.provenance(n, n, real),
            "neighbours": self.neighbours,
        }
        return {self.names[kind]: Measurement(v, provenance) for kind, v in values.items()}


def manifold_values(real: Tensor, generated: Tensor, k: int) -> dict[str, float]:
    """Precision, recall, density and coverage of features [n, d] and [m, d], float64.

    k is below n and m. A point on the edge of a ball is in it.
    """
    real_radii, generated_radii = radii(real, k), radii(generated, k)
    balls_hit = torch.zeros(len(generated), dtype=torch.int64, device=real.device)
    recalled = covered = 0
    for rows, reach in zip(real.split(ROWS), real_radii.split(ROWS), strict=True):
        distances = distances_between(rows, generated)  # [rows, m]
        within = distances <= reach[:, None]
        balls_hit += within.sum(0)
        covered += int(within.any(1).sum())
        recalled += int((distances <= generated_radii).any(1).sum())
    return {
        "precision": (balls_hit > 0).double().mean().item(),
        "recall": recalled / len(real),
        "density": balls_hit.double().mean().item() / k,
        "coverage": covered / len(real),
    }


def distances_between(first: Tensor, second: Tensor) -> Tensor:
    """[n, d] and [m, d] -> [n, m]; not by products, which round equal points apart."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def radii(points: Tensor, k: int) -> Tensor:
    """The distance of every point to its k-th nearest other point: [n, d] -> [n]."""
    return torch.cat(
        [
            distances_between(rows, points).kthvalue(k + 1, dim=1).values  # itself is the first
            for rows in points.split(ROWS)
        ]
    )
