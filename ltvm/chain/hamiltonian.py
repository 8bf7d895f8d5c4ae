"""A Hamiltonian transition with a Metropolis correction (Neal, "MCMC using Hamiltonian dynamics",
Handbook of Markov Chain Monte Carlo, 2011, Section 5.3.2).

Momentum p ~ N(0, I) is drawn afresh; leapfrog steps of size e go along the Hamiltonian

    H(z, p) = E(z) + |p|^2 / 2,      p <- p - e/2 grad E(z);  z <- z + e p;  p <- p - e/2 grad E(z)

and where they end is accepted with probability min(1, exp(H before - H after)), which leaves
exp(-E) exactly as it is. The kernel ``ltvm.chain.kernels.hamiltonian`` and annealed importance
sampling (``ltvm.metrics.likelihood.annealing``) both make this transition.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# What is known of a target at m codes: "codes" [m, d]; "terms" float64 [m, k], whose sum over k
# is E(z) up to a constant; "gradient" [m, d] of E; and what else the target needs, first axis m.
Point = dict[str, Tensor]
Target = Callable[[Tensor], Point]  # codes [m, d] -> the point there


def transition(
    target: Target, point: Point, size: float | Tensor, leapfrog: int, draws: Tensor
) -> tuple[Point, Tensor]:
    """One transition from ``point``: where the codes are then, and acceptance probabilities [m].

    ``size`` is a number, or one for each code [m, 1]; ``draws`` [m, d + 1] are standard normal:
    the momentum, and the uniform of the Metropolis test by its distribution function. Calls
    ``target`` ``leapfrog`` times.
    """
    momentum, log_uniform = draws[:, :-1], torch.special.log_ndtr(draws[:, -1].double())
    start, moved = hamiltonian(point, momentum), point
    momentum = momentum - size / 2 * moved["gradient"]
    for step in range(leapfrog):
        moved = target(moved["codes"] + size * momentum)
        half = 1 if step < leapfrog - 1 else 0.5  # two half steps between are one
        momentum = momentum - half * size * moved["gradient"]
    log_ratio = start - hamiltonian(moved, momentum)
    # A trajectory that left the numbers has a ratio of NaN, and is rejected.
    accept = log_uniform < log_ratio
    probability = log_ratio.exp().clamp(max=1).nan_to_num(0.0)
    return {
        name: torch.where(accept if old.ndim == 1 else accept[:, None], moved[name], old)
        for name, old in point.items()
    }, probability


def hamiltonian(point: Point, momentum: Tensor) -> Tensor:
    """H up to a constant, [m], float64."""
    total = momentum.double().square().sum(1) / 2
    for term in point["terms"].unbind(1):
        total = total + term
    return total
