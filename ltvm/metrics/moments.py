"""Frechet distance between Gaussians fitted to features, from streamed float64 moments.

    d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^(1/2) S2 S1^(1/2))^(1/2))

(Heusel et al., NeurIPS 2017, equation 6; the symmetric form has real eigenvalues, where a
general matrix square root of S1 S2 may return imaginary parts.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


class Moments:
    """Mean and covariance of features, accumulated in float64; memory does not grow with n."""

    def __init__(self, dimension: int) -> None:
        self.n = 0
        self._sum = torch.zeros(dimension, dtype=torch.float64)
        self._products = torch.zeros(dimension, dimension, dtype=torch.float64)
        self._origin: Tensor | None = None

    def add(self, features: Tensor) -> Moments:
        """Add features [m, dimension]."""
        features = features.detach().double().cpu()
        if self._origin is None:
            self._origin = features.mean(0)  # shifted data: no cancellation for large means
        features = features - self._origin
        self.n += len(features)
        self._sum += features.sum(0)
        self._products += features.T @ features
        return self

    @property
    def mean(self) -> Tensor:
        """[dimension]"""
        assert self._origin is not None, "no features were added"
        return self._origin + self._sum / self.n

    @property
    def covariance(self) -> Tensor:
        """Unbiased, [dimension, dimension], as numpy.cov and the FID reference compute it."""
        centre = self._sum / self.n
        return (self._products - self.n * torch.outer(centre, centre)) / (self.n - 1)


def moments_of(
    batches: Iterable[Tensor], extractor: Callable[[Tensor], Tensor], dimension: int
) -> Moments:
    """Moments of the features of uint8 image batches [m, c, h, w]."""
    moments = Moments(dimension)
    for batch in batches:
        moments.add(extractor(batch))
    return moments


def frechet_distance(first: Moments, second: Moments) -> float:
    """The squared Frechet distance (what is called FID), at least 0.

    Raises ``ValueError`` if the moments are not finite.
    """
    for moments in (first, second):
        if not (moments.mean.isfinite().all() and moments.covariance.isfinite().all()):
            raise ValueError("features are not finite")
    root = symmetric_root(first.covariance)
    cross = torch.linalg.eigvalsh(root @ second.covariance @ root).clamp_min(0).sqrt().sum()
    traces = first.covariance.trace() + second.covariance.trace()
    shift = (first.mean - second.mean).square().sum()
    return max(0.0, (shift + traces - 2 * cross).item())


def symmetric_root(matrix: Tensor) -> Tensor:
    """The positive square root of a symmetric positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
