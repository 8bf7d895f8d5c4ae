"""The contract of a density of codes: codes -> fit -> sample, log_density.

Fitted to the codes of training images when training is over, it takes the place of the prior when
images are sampled (ex-post density estimation: Ghosh, Sajjadi, Vergari, Black and Schölkopf,
"From variational to deterministic autoencoders", ICLR 2020, section 4). Nothing is trained again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from ltvm.errors import DivergedError


class Density(ABC):
    """A distribution of codes in R^d.

    All of it lives on the CPU, so that it is the same whatever the device of the codes. ``found``
    is what a fit found rather than was given (the number of iterations, say), as JSON has it; its
    key ``warning`` is a sentence that a reader of the numbers must know.
    """

    found: dict[str, Any]

    def check(self, n: int, d: int) -> None:  # noqa: B027
        """Raise :class:`ltvm.errors.InputError` if it cannot be fitted to n codes in R^d."""

    @abstractmethod
    def fit(self, codes: Tensor, generator: torch.Generator) -> None:
        """Fit to codes [n, d], forgetting any earlier fit.

        All randomness comes from ``generator`` (on the CPU): the same codes and generator give the
        same density. Raises :class:`ltvm.errors.DivergedError` for codes that have none.
        """

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` independent draws, float32 [n, d]; they depend on the fit and ``generator``."""

    def log_density(self, codes: Tensor) -> Tensor:
        """log p(z) in nats, normalised: [n, d] -> float64 [n]; ``NotImplementedError``: unknown."""
        raise NotImplementedError(f"{type(self).__name__}: its density is not known")


def as_double(codes: Tensor) -> Tensor:
    """Codes [n, d] in float64 on the CPU, where densities live."""
    return codes.detach().to("cpu", torch.float64)


def fitted_codes(codes: Tensor) -> Tensor:
    """The codes of a fit, float64 on the CPU.

    Raises :class:`ltvm.errors.DivergedError` if one is not finite, or all of them are the same.
    """
    codes = as_double(codes)
    if not codes.isfinite().all():
        raise DivergedError("codes that are not finite have no density")
    if bool((codes == codes[:1]).all()):
        raise DivergedError("all codes are the same: they have no density")
    return codes
