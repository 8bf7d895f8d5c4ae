"""Hamiltonian Monte Carlo with a Metropolis correction (Neal, 2011).

The transition is ``ltvm.chain.hamiltonian``. Its stationary law is the posterior exp(-U), whatever
the step size. Momentum is drawn afresh at every step.
"""

from __future__ import annotations

from torch import Tensor

from ltvm.chain.hamiltonian import Point, transition
from ltvm.chain.kernels.base import Constants, Kernel, Potential, State
from ltvm.errors import require


class Hamiltonian(Kernel):
    """``leapfrog`` steps of ``size`` make one proposal; 1 is Metropolis-adjusted Langevin.

    Stable where ``size`` times the square root of the largest curvature of U is below 2; above
    it nearly every proposal is rejected.
    """

    def __init__(self, size: float = 0.05, leapfrog: int = 5) -> None:
        require(size > 0, "method.kernel.size", size, "above 0")
        require(leapfrog >= 1, "method.kernel.leapfrog", leapfrog, "1 or more")
        self.size, self.leapfrog = size, leapfrog

    def constants(self, iteration: int) -> tuple[float]:  # noqa: ARG002
        """(size,)"""
        return (self.size,)

    def step(
        self, state: State, potential: Potential, noise: Tensor | None, constants: Constants
    ) -> State:
        def target(codes: Tensor) -> Point:
            energy, gradient = potential(codes)
            return {"codes": codes, "terms": energy.double()[:, None], "gradient": gradient}

        assert noise is not None
        (size,) = constants
        # Energy and gradient where a proposal ended are those where the next one starts.
        point = state if "gradient" in state else target(state["codes"])
        moved, _ = transition(target, point, size, self.leapfrog, noise)
        return moved

    def noise_width(self, d: int, constants: tuple[float, ...]) -> int:  # noqa: ARG002
        """The momentum, and the number of the Metropolis test."""
        return d + 1

    def passes(self, steps: int) -> int:
        return steps * self.leapfrog + 1

    def gradient_step(self, iteration: int) -> float:  # noqa: ARG002
        """Of the same limit: size^2 times the largest curvature is below 4."""
        return self.size**2 / 2

    def variance_ratio(self, iteration: int, curvature: float) -> float | None:
        """Whatever the step, by the Metropolis test, which rejects all steps beyond the limit."""
        return 1.0 if self.gradient_step(iteration) * curvature < 2 else None

    def temperature(self, iteration: int) -> float:  # noqa: ARG002
        return 1.0
