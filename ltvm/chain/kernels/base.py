"""The contract of a kernel, one step of a chain on codes.

init(codes) -> state;  step(state, potential, noise, constants) -> state;  state["codes"]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

State = dict[str, Tensor]  # "codes" [n, d], and what else a kernel needs, first axis n
# codes [n, d] -> U(z; x) [n], gradient [n, d]
Potential = Callable[[Tensor], tuple[Tensor, Tensor]]
# Scalars: numbers, or float32 [k] on the device where a graph reads them from memory
Constants = tuple[float, ...] | Tensor


class Kernel(ABC):
    """A transition of codes given an energy U(z; x) and its gradient.

    Everything that changes from iteration to iteration comes in through ``constants``, which are
    scalars on the device where a chain is replayed as a CUDA graph: ``step`` must not turn them,
    or any tensor, into Python numbers, nor draw random numbers of its own.
    ``ltvm.chain.kernels.contract.check_kernel`` checks a kernel against this contract.
    """

    kept: ClassVar[tuple[str, ...]] = ()  # names in the state, besides codes, kept between visits

    @abstractmethod
    def constants(self, iteration: int) -> tuple[float, ...]:
        """The scalars that ``step`` is given at an outer iteration, counted from 0."""

    @abstractmethod
    def step(
        self,
        state: State,
        potential: Potential,
        noise: Tensor | None,
        constants: Constants,
    ) -> State:
        """One step for all codes; ``noise`` is standard normal [n, ``noise_width``] or None.

        It leaves the given state as it is and returns a new one. That may hold more than
        ``init`` gave, such as the gradient for the next step: a chain hands it from step to step
        and drops it at its end, since the decoder changes before the next.
        """

    def init(self, codes: Tensor) -> State:
        """The state of chains that begin at ``codes`` [n, d]."""
        return {"codes": codes}

    def noise_width(self, d: int, constants: tuple[float, ...]) -> int:  # noqa: ARG002
        """Standard normal numbers that a step takes per code in R^d; 0: ``noise`` is None."""
        return d

    def without_noise(self, constants: tuple[float, ...]) -> tuple[float, ...] | None:  # noqa: ARG002
        """Constants with which ``step`` takes no noise and goes downhill: the last steps of
        inference. None: there are none, and inference ends as the chain does.
        """
        return None

    def passes(self, steps: int) -> int:
        """Gradient evaluations, each a pass through the decoder, of a chain of ``steps`` steps."""
        return steps

    def gradient_step(self, iteration: int) -> float | None:  # noqa: ARG002
        """eta of the step z <- z - eta grad U that a step is, or is as long as; None: not known.

        Where eta times the largest curvature of U is above 2, steps run away, or are rejected by a
        Metropolis test. Of a kernel with several gradients to a step it is that of one of them.
        """
        return None

    def variance_ratio(self, iteration: int, curvature: float) -> float | None:  # noqa: ARG002
        """The variance of long chains over the posterior's, in a direction where U is a parabola.

        ``curvature`` is that of U. 1 where they sample the posterior; None: not known, no noise, or
        they run away (or nowhere, by a Metropolis test).
        """
        return None

    def temperature(self, iteration: int) -> float | None:  # noqa: ARG002
        """At which the chain samples exp(-U / temperature) for small steps; None: not known."""
        return None
