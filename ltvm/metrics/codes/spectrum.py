"""The spectrum of a covariance, and what sampling alone does to it."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def covariance_eigenvalues(codes: Tensor) -> Tensor:
    """Eigenvalues [d] of the unbiased covariance of codes [n, d], ascending, float64."""
    centred = codes.double() - codes.double().mean(0)
    return torch.linalg.eigvalsh(centred.T @ centred / (len(codes) - 1)).clamp_min(0)


def effective_rank(eigenvalues: Tensor) -> float:
    """exp of the entropy of the normalised eigenvalues, 1 to d (Roy and Vetterli, EUSIPCO 2007)."""
    shares = eigenvalues / eigenvalues.sum()
    return math.exp(-torch.special.xlogy(shares, shares).sum().item())


def marchenko_pastur_range(n: int, d: int) -> tuple[float, float]:
    """Where the eigenvalues of the covariance of ``n`` draws from N(0, I_d) lie as n, d grow.

    (1 -+ sqrt(d / n))^2 (Marchenko and Pastur, 1967); the lower edge is 0 where d >= n, since
    the covariance is singular then. At finite n the extreme ones leave the range by O(n^(-2/3)).
    """
    ratio = math.sqrt(d / n)
    return max(0.0, 1 - ratio) ** 2, (1 + ratio) ** 2
