"""beta-VAE (Higgins, Matthey, Pal, Burgess, Glorot, Botvinick, Mohamed and Lerchner, ICLR 2017).

Their equation 4, as a loss, with this suite's likelihood:

    loss = |x - g(z)|^2 / (2 sigma^2) + beta KL(q(z | x) || N(0, I)),   z ~ q(z | x)

beta = 1 is ``vae``. Divided by beta it is the loss of a VAE whose sigma is sigma sqrt(beta): to
choose beta is to choose sigma, in training. The default is the paper's 4 (2D shapes, there under a
Bernoulli likelihood); at sigma = 0.3 it trains as a VAE at sigma = 0.6 does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ltvm.errors import require
from ltvm.methods.problem import Problem
from ltvm.methods.vae import VariationalAutoEncoder


class BetaVAE(VariationalAutoEncoder):
    """A VAE whose divergence counts ``beta`` times."""

    loss_name = "loss"  # a bound at beta = 1 only

    def __init__(self, problem: Problem, *, encoder: Mapping[str, Any] | None, beta: float) -> None:
        require(beta >= 0, "method.beta", beta, "0 or more")
        self.beta = beta
        super().__init__(problem, encoder=encoder)

    def divergence(self, mean: Tensor, log_variance: Tensor, codes: Tensor) -> Tensor:
        return self.beta * super().divergence(mean, log_variance, codes)
