"""A trained method that samples from a density of codes in place of its own prior."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from ltvm.densities.base import Density
from ltvm.methods.base import Method


def sampled_from(method: Method, density: Density) -> Method:
    """The same method, but that ``sample`` decodes draws of a fitted density.

    It shares all else with ``method``, which is left as it is.
    """
    other = copy.copy(method)

    def sample(n: int, generator: torch.Generator) -> Tensor:
        return other.decode(density.sample(n, generator).to(method.problem.device))

    vars(other)["sample"] = sample  # goes before that of the class
    return other
