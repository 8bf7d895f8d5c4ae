"""Optimal transport between codes and prior draws: one file per solver, one contract.

solver(codes, targets, warm_start, generator) -> Coupling
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ltvm.errors import InputError, did_you_mean, require
from ltvm.runtime.construct import target_of
from ltvm.transport.auto import Auto
from ltvm.transport.blocks import Blocks
from ltvm.transport.bsp import Bsp
from ltvm.transport.controls import Identity, Noise, Random
from ltvm.transport.coupling import Coupling, Solver
from ltvm.transport.exact import Exact
from ltvm.transport.gaussian import Gaussian
from ltvm.transport.onepass import OnePass
from ltvm.transport.scores import lower_bound
from ltvm.transport.semidual import Semidual
from ltvm.transport.shortlist import Shortlist

SOLVERS: dict[str, Callable[..., Solver]] = {
    "auto": Auto,
    "exact": Exact,
    "shortlist": Shortlist,
    "onepass": OnePass,
    "blocks": Blocks,
    "semidual": Semidual,
    "bsp": Bsp,
    "gaussian": Gaussian,
    "random": Random,
    "noise": Noise,
    "none": Identity,
}


def build_solver(name: str, **options: Any) -> Solver:
    """Build a solver by name, or by the import path of its class (``my_module.MySolver``).

    ``options`` are its constructor's (see its file). Raises :class:`ltvm.errors.InputError` for
    an unknown name or option.
    """
    known = f"{', '.join(SOLVERS)}, or the import path of a class"
    near = did_you_mean(name, SOLVERS)
    require(name in SOLVERS or "." in name, "method.solver", name, f"{known}{near}")
    make = SOLVERS.get(name) or target_of("method.solver", {"_target_": name})
    try:
        return make(**options)
    except TypeError as error:
        raise InputError(f"method.solver_options={options}: {error}") from error


__all__ = ["SOLVERS", "Coupling", "Solver", "build_solver", "lower_bound"]
