"""Underdamped (kinetic) Langevin dynamics: codes z with a velocity v, kept between visits.

    dz = v dt,    dv = -grad_z U(z; x) dt - friction v dt + sqrt(2 friction temperature) dW

One step of size h is the middle scheme (Zhang, Liu, Yan, Tuckerman and Liu, Journal of Physical
Chemistry A 2019; OpenMM's ``LangevinMiddleIntegrator``), with c = exp(-friction h):

    v <- v - h grad U(z);  z <- z + h/2 v;  v <- c v + sqrt(temperature (1 - c^2)) noise;
    z <- z + h/2 v

It visits the codes of BAOAB (Leimkuhler and Matthews, Applied Mathematics Research eXpress 2013)
at one gradient a step: its velocities are BAOAB's, half a kick behind. Codes have the right mean
and covariance in a Gaussian posterior at any stable h, and errors of order h^2 elsewhere.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltvm.chain.kernels.base import Constants, Kernel, Potential, State
from ltvm.errors import require


class Underdamped(Kernel):
    """``size`` is h, stable below 2 over the square root of the largest curvature of U.

    Small ``friction`` keeps its way, large friction tends to Langevin steps of size
    h sqrt(temperature). Velocities begin at 0.
    """

    kept = ("velocity",)

    def __init__(self, size: float = 0.05, friction: float = 2.0, temperature: float = 1.0) -> None:
        require(size > 0, "method.kernel.size", size, "above 0")
        require(friction > 0, "method.kernel.friction", friction, "above 0")
        require(temperature > 0, "method.kernel.temperature", temperature, "above 0")
        self.size, self.friction, self.heat = size, friction, temperature

    def constants(self, iteration: int) -> tuple[float, float, float]:  # noqa: ARG002
        """(h, c, sqrt(temperature (1 - c^2)))"""
        decay = math.exp(-self.friction * self.size)
        return self.size, decay, math.sqrt(self.heat * (1 - decay**2))

    def init(self, codes: Tensor) -> State:
        return {"codes": codes, "velocity": torch.zeros_like(codes)}

    def step(
        self, state: State, potential: Potential, noise: Tensor | None, constants: Constants
    ) -> State:
        size, decay, spread = constants
        _, gradient = potential(state["codes"])
        velocity = state["velocity"] - size * gradient
        codes = state["codes"] + size / 2 * velocity
        velocity = decay * velocity
        if noise is not None:
            velocity += spread * noise
        return {"codes": codes + size / 2 * velocity, "velocity": velocity}

    def noise_width(self, d: int, constants: tuple[float, ...]) -> int:
        return d if constants[2] > 0 else 0

    def without_noise(self, constants: tuple[float, ...]) -> tuple[float, ...]:
        size, decay, _ = constants
        return size, decay, 0.0

    def gradient_step(self, iteration: int) -> float:  # noqa: ARG002
        """Of the same limit: size^2 times the largest curvature is below 4."""
        return self.size**2 / 2

    def variance_ratio(self, iteration: int, curvature: float) -> float | None:
        """The temperature alone: in a Gaussian the variance of codes is right at a stable step."""
        return self.heat if self.gradient_step(iteration) * curvature < 2 else None

    def temperature(self, iteration: int) -> float:  # noqa: ARG002
        return self.heat
