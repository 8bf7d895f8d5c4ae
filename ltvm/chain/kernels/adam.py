"""Langevin dynamics preconditioned as Adam is, per code and dimension.

With g = grad_z U(z; x), t counted from 1 for every code, squares and roots by element:

    m <- b1 m + (1 - b1) g;   v <- b2 v + (1 - b2) g^2                    (Kingma and Ba, 2015)
    G = 1 / (sqrt(v / (1 - b2^t)) + epsilon)
    z <- z - s^2/2 G m / (1 - b1^t) + s sqrt(G) noise

With b1 = 0 this is preconditioned SGLD (Li, Chen, Carlson and Carin, AAAI 2016, Algorithm 1)
with Adam's bias correction and without its term Gamma, the divergence of G. Without Gamma the
chain is BIASED: its stationary law is not the posterior even for small s, the more so the faster
G changes with z (b2 far from 1); a first moment (b1 > 0) adds a bias of its own. It is an
optimiser that spreads, not a sampler, and its temperature is not known.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.chain.kernels.base import Constants, Kernel, Potential, State
from ltvm.errors import require


class AdamLangevin(Kernel):
    """``size`` is s and ``betas`` are (b1, b2). Moments and t are kept between visits."""

    kept = ("first", "second", "taken")

    def __init__(
        self,
        size: float = 0.2,
        betas: tuple[float, float] = (0.0, 0.99),
        epsilon: float = 1e-5,
        noise: bool = True,
    ) -> None:
        require(size > 0, "method.kernel.size", size, "above 0")
        require(
            len(betas) == 2 and all(0 <= beta < 1 for beta in betas),
            "method.kernel.betas",
            list(betas),
            "two numbers in [0, 1)",
        )
        require(epsilon > 0, "method.kernel.epsilon", epsilon, "above 0")
        self.size, self.epsilon, self.noise = size, epsilon, noise
        self.first_beta, self.second_beta = betas

    def constants(self, iteration: int) -> tuple[float, float]:  # noqa: ARG002
        """(s^2 / 2, s), the second 0 without noise"""
        return self.size**2 / 2, self.size if self.noise else 0.0

    def init(self, codes: Tensor) -> State:
        return {
            "codes": codes,
            "first": torch.zeros_like(codes),  # m [n, d]
            "second": torch.zeros_like(codes),  # v [n, d]
            "taken": torch.zeros_like(codes[:, :1]),  # t [n, 1]
        }

    def step(
        self, state: State, potential: Potential, noise: Tensor | None, constants: Constants
    ) -> State:
        eta, tau = constants
        b1, b2 = self.first_beta, self.second_beta
        _, gradient = potential(state["codes"])
        taken = state["taken"] + 1
        first = b1 * state["first"] + (1 - b1) * gradient
        second = b2 * state["second"] + (1 - b2) * gradient.square()
        scale = 1 / ((second / (1 - b2**taken)).sqrt() + self.epsilon)
        codes = state["codes"] - eta * scale * first / (1 - b1**taken)
        if noise is not None:
            codes += tau * scale.sqrt() * noise
        return {"codes": codes, "first": first, "second": second, "taken": taken}

    def noise_width(self, d: int, constants: tuple[float, ...]) -> int:
        _, tau = constants
        return d if tau > 0 else 0

    def without_noise(self, constants: tuple[float, ...]) -> tuple[float, ...]:
        return constants[0], 0.0
