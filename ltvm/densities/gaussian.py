"""A Gaussian with the codes' mean and full covariance."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.linalg import cholesky, solve_triangular

from ltvm.densities.base import Density, as_double, fitted_codes
from ltvm.errors import require
from ltvm.runtime.randomness import normal

RIDGE = 1e-6  # added to the covariance, in units of the mean variance: it may be singular


class Gaussian(Density):
    """N(m, S): mean and covariance of the codes by maximum likelihood (divided by n).

    ``mean`` [d] and ``factor`` [d, d], lower triangular with S = factor factor^T, in float64.
    A draw is m + factor e with e from N(0, I): of codes that are nearly N(0, I), it is nearly the
    prior's draw by the same generator.
    """

    mean: Tensor
    factor: Tensor

    @classmethod
    def of(cls, mean: Tensor, factor: Tensor) -> Gaussian:
        """One that is known: float64 [d] and [d, d]."""
        density = cls()
        density.mean, density.factor, density.found = mean, factor, {}
        return density

    def check(self, n: int, d: int) -> None:  # noqa: ARG002
        require(n >= 2, "sampler: codes", n, "2 or more")

    def fit(self, codes: Tensor, generator: torch.Generator) -> None:  # noqa: ARG002
        codes = fitted_codes(codes)
        n, d = codes.shape
        self.mean = codes.mean(0)
        centred = codes - self.mean
        covariance = centred.T @ centred / n
        ridge = RIDGE * covariance.diagonal().mean() * torch.eye(d, dtype=codes.dtype)
        self.factor = cholesky(covariance + ridge)
        singular = f"{n} codes in {d} dimensions: singular covariance"
        self.found = {"warning": singular} if n <= d else {}

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return self.coloured(normal((n, len(self.mean)), generator).double()).float()

    def log_density(self, codes: Tensor) -> Tensor:
        white = self.whitened(as_double(codes))
        return -(white.square().sum(1) + len(self.mean) * math.log(2 * math.pi)) / 2 - self.log_size

    def whitened(self, codes: Tensor) -> Tensor:
        """factor^-1 (z - m): codes of mean 0 and covariance I, float64 [n, d]."""
        white: Tensor = solve_triangular(self.factor, (codes - self.mean).T, upper=False).T
        return white

    def coloured(self, white: Tensor) -> Tensor:
        """The inverse of ``whitened``."""
        return self.mean + white @ self.factor.T

    @property
    def log_size(self) -> Tensor:
        """log det(factor), by which whitening shrinks a volume."""
        return self.factor.diagonal().log().sum()
