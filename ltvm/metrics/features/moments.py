"""Frechet distance between Gaussians fitted to features, from streamed float64 moments.

    d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^(1/2) S2 S1^(1/2))^(1/2))

(Heusel et al., NeurIPS 2017, equation 6; the symmetric form has real eigenvalues, where a
general matrix square root of S1 S2 may return imaginary parts.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor


class Moments:
    """Mean and covariance of features, accumulated in float64; memory does not grow with n.

    ``origin`` [dimension] is subtracted from features before they are added up, so that a large
    mean cancels nothing; None: the mean of the first batch. Only moments about one origin can
    be ``joined``.
    """

    def __init__(self, dimension: int, origin: Tensor | None = None) -> None:
        self.n = 0
        self._sum = torch.zeros(dimension, dtype=torch.float64)
        self._products = torch.zeros(dimension, dimension, dtype=torch.float64)
        self._origin = origin

    def add(self, features: Tensor) -> Moments:
        """Add features [m, dimension]."""
        features = features.detach().double().cpu()
        if self._origin is None:
            self._origin = features.mean(0)
        features = features - self._origin
        self.n += len(features)
        self._sum += features.sum(0)
        self._products += features.T @ features
        return self

    @staticmethod
    def joined(parts: Sequence[Moments]) -> Moments:
        """The moments of all features of ``parts``, which must share their origin."""
        origin = parts[0]._origin
        assert all(part._origin is origin for part in parts), "moments about several origins"
        result = Moments(len(parts[0]._sum), origin)
        result.n = sum(part.n for part in parts)
        result._sum = torch.stack([part._sum for part in parts]).sum(0)
        for part in parts:
            result._products += part._products
        return result

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


def moments_of(features: Iterable[Tensor], dimension: int) -> Moments:
    """Moments of batches of features [m, dimension]."""
    moments = Moments(dimension)
    for batch in features:
        moments.add(batch)
    return moments


def frechet_distance(first: Moments, second: Moments) -> float:
    """The squared Frechet distance (what is called FID), at least 0.

    Raises ``ValueError`` if the moments are not finite.
    """
    return distance_from(first)(second)


def distance_from(first: Moments) -> Callable[[Moments], float]:
    """``frechet_distance`` with its first argument given: the root is taken once for many."""
    require_finite(first)
    mean, covariance = first.mean, first.covariance
    root = symmetric_root(covariance)

    def distance(second: Moments) -> float:
        require_finite(second)
        other = second.covariance
        cross = torch.linalg.eigvalsh(root @ other @ root).clamp_min(0).sqrt().sum()
        shift = (mean - second.mean).square().sum()
        return max(0.0, (shift + (covariance.trace() + other.trace()) - 2 * cross).item())

    return distance


def require_finite(moments: Moments) -> None:
    if not (moments.mean.isfinite().all() and moments.covariance.isfinite().all()):
        raise ValueError("features are not finite")


def symmetric_root(matrix: Tensor) -> Tensor:
    """The positive square root of a symmetric positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
