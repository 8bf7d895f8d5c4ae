"""One step of unadjusted Langevin dynamics, the chain of short-run inference.

    z <- z - eta * grad_z U(z; x) + tau * noise

An, Xie and Li (CVPR 2021), Section 3; Nijkamp et al. (ECCV 2020).
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from ltvm.chain.kernels.base import Constants, Kernel, Potential, State
from ltvm.errors import require


class Langevin(Kernel):
    """What a step size s means; ``constants(iteration)`` gives (eta, tau).

    - ``paper``: eta = s / reference_batch and tau = r_t * s, where r_t starts at 0.1 and
      falls by 0.01 every 5 outer iterations, not below 0. The paper's public script divides
      the energy by its batch; here that is the paper's, 2,000, whatever batch a protocol has.
    - ``langevin``: eta = s^2 / 2 and tau = s, the textbook discretisation, whose stationary
      distribution tends to the posterior as s tends to 0.

    ``temperature`` replaces tau by sqrt(2 eta temperature), whatever the kind: chains of one eta
    that differ in temperature alone. ``noise = False`` sets tau to 0 (gradient descent).
    """

    def __init__(
        self,
        kind: Literal["paper", "langevin"] = "paper",
        size: float = 0.3,
        noise: bool = True,
        reference_batch: int = 2000,
        temperature: float | None = None,
    ) -> None:
        require(kind in ("paper", "langevin"), "method.kernel.kind", kind, "paper, langevin")
        require(size > 0, "method.kernel.size", size, "above 0")
        require(reference_batch >= 1, "method.kernel.reference_batch", reference_batch, "1 or more")
        require(
            temperature is None or temperature > 0,
            "method.kernel.temperature", temperature, "above 0, null: as the kind has it",
        )  # fmt: skip
        self.kind, self.size, self.noise, self.heat = kind, size, noise, temperature
        self.reference_batch = reference_batch

    def constants(self, iteration: int) -> tuple[float, float]:
        """(eta, tau)"""
        if self.kind == "langevin":
            eta, tau = self.size**2 / 2, self.size
        else:
            ratio = max(0.0, 0.1 - 0.01 * (iteration // 5))
            eta, tau = self.size / self.reference_batch, ratio * self.size
        if self.heat is not None:
            tau = math.sqrt(2 * eta * self.heat)
        return eta, tau if self.noise else 0.0

    def step(
        self, state: State, potential: Potential, noise: Tensor | None, constants: Constants
    ) -> State:
        eta, tau = constants
        _, gradient = potential(state["codes"])
        codes = state["codes"] - eta * gradient
        if noise is not None:
            codes += tau * noise
        return {"codes": codes}

    def noise_width(self, d: int, constants: tuple[float, ...]) -> int:
        _, tau = constants
        return d if tau > 0 else 0

    def without_noise(self, constants: tuple[float, ...]) -> tuple[float, ...]:
        return constants[0], 0.0

    def gradient_step(self, iteration: int) -> float:
        return self.constants(iteration)[0]

    def variance_ratio(self, iteration: int, curvature: float) -> float | None:
        """The temperature, and what the length of the step adds: T / (1 - eta curvature / 2)."""
        eta, tau = self.constants(iteration)
        left = 1 - eta * curvature / 2
        return tau**2 / (2 * eta) / left if left > 0 and tau > 0 else None

    def temperature(self, iteration: int) -> float | None:
        """tau^2 / (2 eta): 1 for ``langevin``; for ``paper`` 3 on MNIST and 30 on colour images."""
        eta, tau = self.constants(iteration)
        return tau**2 / (2 * eta) if tau > 0 else None
