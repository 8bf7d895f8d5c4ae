"""A latent-space energy-based prior, LEBM (Pang et al., NeurIPS 2020): short-run chains for both.

Every visit infers codes by K Langevin steps on the posterior from N(0, I) (equation 6), updates the
decoder on them, and the prior against its own short-run chains, from N(0, I) as well (equations 7
and 8: ``ltvm.models.energy_prior``). With f = 0 it is SRI.
"""

from __future__ import annotations

from torch import Tensor

from ltvm.chain.kernels.base import State
from ltvm.methods.budget import Price
from ltvm.methods.short_run import ShortRun
from ltvm.runtime.randomness import ImageDraws


class LatentEnergyBased(ShortRun):
    """SRI whose chains start from N(0, I), whatever the prior is."""

    @property
    def start_price(self) -> Price:
        return Price()

    def first_state(self, images: Tensor, key: int, numbers: Tensor) -> State:
        draws = ImageDraws(key, numbers).normal(len(images), self.problem.latent_dim)
        return self.kernel.init(draws)
