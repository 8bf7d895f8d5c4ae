"""Densities of codes, fitted once training is over: one file each, one contract (``base``)."""

from ltvm.densities.base import Density
from ltvm.densities.gaussian import Gaussian

__all__ = ["Density", "Gaussian"]
