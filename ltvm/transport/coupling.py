"""What every transport solver returns, and the costs by which couplings are compared.

Transport problem (An, Xie and Li, CVPR 2021, step 2): codes z_1..z_n, targets p_1..p_n drawn
from the prior; find the permutation pi that minimises mean_i |z_i - p_pi(i)|^2. All costs in
this package are means over codes of squared distances.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ltvm.errors import InputError, require


@dataclass(frozen=True)
class Coupling:
    """An assignment of codes to targets.

    ``assignment`` is int64 [n], code i going to target ``assignment[i]``, and always a
    permutation; it is None for a map that is not one (``gaussian``, ``none``). ``mapped`` is
    T(z), float32 [n, d]. ``lower_bound`` is a certified lower bound on the optimal mean
    cost, or None. ``state`` is what a later call may take as ``warm_start``.
    """

    mapped: Tensor
    cost: float
    assignment: Tensor | None = None
    lower_bound: float | None = None
    state: dict[str, Tensor] = field(default_factory=dict)

    @property
    def gap(self) -> float | None:
        """(cost - lower_bound) / lower_bound; None where there is no bound above 0."""
        if self.lower_bound is None or self.lower_bound <= 0:
            return None
        return (self.cost - self.lower_bound) / self.lower_bound


class Solver(Protocol):
    """``(codes [n, d], targets [n, d], warm_start, generator) -> Coupling``.

    ``warm_start`` is the state of an earlier coupling to the same targets, or empty;
    ``generator`` feeds every random choice, so that a coupling can be repeated.
    """

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling: ...


def check_counts(least: int = 1, **options: int) -> None:
    """Raise :class:`InputError` for a solver's option that is no whole number from ``least``."""
    for key, value in options.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        allowed = f"a whole number, {least} or more"
        require(whole and value >= least, f"method.solver_options.{key}", value, allowed)


def check_numbers(**options: float) -> None:
    """Raise :class:`InputError` for a solver's option that is no number, 0 or more."""
    for key, value in options.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        allowed = "a number, 0 or more"
        require(number and value >= 0, f"method.solver_options.{key}", value, allowed)


def checked(coupling: object, solver: Solver) -> Coupling:
    """What ``solver`` returned; raises :class:`ltvm.errors.InputError` for no :class:`Coupling`."""
    if not isinstance(coupling, Coupling):
        returned = f"{type(solver).__name__}.__call__: returns a {type(coupling).__name__}"
        raise InputError(f"{returned}; allowed: a Coupling")
    return coupling


def check_points(codes: Tensor, targets: Tensor) -> None:
    """Raise :class:`ltvm.errors.InputError` unless both are finite [n, d] of the same shape."""
    require(
        codes.ndim == 2 and codes.shape == targets.shape,
        "transport: codes and targets",
        f"{tuple(codes.shape)} and {tuple(targets.shape)}",
        "two tensors of the same shape [n, d]",
    )
    for name, points in (("codes", codes), ("targets", targets)):
        wrong = len(points) - int(points.isfinite().all(dim=1).sum())
        require(wrong == 0, f"transport: {name}", f"{wrong} rows not finite", "finite numbers")


def squared_distances(codes: Tensor, targets: Tensor) -> Tensor:
    """|z_i - p_j|^2 for all pairs: [n, d] and [m, d] -> [n, m] in the inputs' dtype."""
    products = codes @ targets.T
    return (
        codes.square().sum(1)[:, None] - 2 * products + targets.square().sum(1)[None]
    ).clamp_min_(0)


def mean_cost(codes: Tensor, mapped: Tensor) -> float:
    """mean_i |z_i - T(z_i)|^2, summed in float64."""
    return (codes.double() - mapped.double()).square().sum(1).mean().item()


def permutation_coupling(
    codes: Tensor,
    targets: Tensor,
    assignment: Tensor,
    lower_bound: float | None = None,
    state: dict[str, Tensor] | None = None,
) -> Coupling:
    """A coupling from a permutation; its cost is computed here, not taken from the solver.

    Raises ``ValueError`` if ``assignment`` is not a permutation: a solver that drops or
    repeats a target is wrong, and nothing downstream would notice.
    """
    n = len(codes)
    if not torch.equal(assignment.sort().values, torch.arange(n, device=assignment.device)):
        raise ValueError("the solver's assignment is not a permutation")
    mapped = targets[assignment]
    kept = {"assignment": assignment} if state is None else state
    return Coupling(mapped, mean_cost(codes, mapped), assignment, lower_bound, kept)
