"""The prior p(z) of codes: N(0, I) by default, or one of your own.

Whatever needs the prior asks the prior: chains and energies for ``energy``, samples and the targets
of the correction for ``sample``. Who needs N(0, I) and nothing else asks ``is_standard_normal``.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from ltvm.runtime.randomness import Draws


class Prior(nn.Module):
    """A distribution of codes in R^d; its density may be known up to a constant only.

    Subclasses implement ``sample`` and ``energy``. Parameters of their own, if any, are learned
    together with the decoder, by ``loss`` (see ``ltvm.methods.Method.update_prior``).
    """

    is_standard_normal: ClassVar[bool] = False
    samples_exactly: ClassVar[bool] = (
        False  # False: draws are approximate, as those of a short chain
    )
    updates: int = 1  # Adam steps on its parameters, each with draws of its own, per visited batch

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    @abstractmethod
    def sample(self, n: int, draws: Draws) -> Tensor:
        """``n`` codes, float32 [n, d] without a graph, where ``draws`` lives.

        All randomness comes from ``draws.normal(n, d)``, row i for code i, so that a code may
        depend on its own row alone: then no image affects another.
        """

    @abstractmethod
    def energy(self, codes: Tensor) -> Tensor:
        """-log p(z) up to a constant: [n, d] -> [n], differentiable in codes and parameters."""

    def loss(self, codes: Tensor, draws: Draws) -> Tensor:
        """What its parameters are learned by, given inferred codes [n, d] without a graph: a mean.

        The gradient is that of -log p(z), mean_i U(z_i) - E_p(z) U(z), with as many draws of the
        prior for the expectation (Pang et al., NeurIPS 2020, equation 8). A normalised energy has
        an expected gradient of 0 there, so that this is right for a density that is known, too;
        one that knows its own leaves the draws out.
        """
        own = self.sample(len(codes), draws)
        return self.energy(codes).mean() - self.energy(own).mean()

    @property
    def own_rate(self) -> float | None:
        """The learning rate of Adam on its parameters; None: the decoder's."""
        return None

    def precise_energy(self, codes: Tensor) -> Tensor:
        """``energy`` in float64 as far as it can be had: [n, d] -> [n]."""
        return self.energy(codes).double()


class StandardNormal(Prior):
    """N(0, I)."""

    is_standard_normal = True
    samples_exactly = True

    def sample(self, n: int, draws: Draws) -> Tensor:
        return draws.normal(n, self.latent_dim)

    def energy(self, codes: Tensor) -> Tensor:
        """|z|^2 / 2"""
        return codes.square().sum(1) / 2

    def precise_energy(self, codes: Tensor) -> Tensor:
        return self.energy(codes.double())
