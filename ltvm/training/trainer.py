"""The reusable trainer: iterations, clock, history, checkpoint, resume."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ltvm.errors import InputError, UnreadableError
from ltvm.methods.base import Method
from ltvm.runtime.clock import PHASES
from ltvm.runtime.files import writing


def no_curve(method: Method) -> dict[str, float]:  # noqa: ARG001
    """Measure nothing between iterations."""
    return {}


@dataclass
class Trainer:
    """Trains any method for a number of outer iterations.

    After every iteration a row joins ``history`` and, if ``checkpoint_file`` is set, the whole
    state is written there, so that ``resume`` followed by ``fit`` gives what an uninterrupted
    ``fit`` gives (bit for bit on a CPU). ``curve`` measures the method after every ``every``
    iterations and after the last one.

    >>> Trainer(method, iterations=6).fit()          # doctest: +SKIP
    """

    method: Method
    iterations: int
    checkpoint_file: Path | None = None
    curve: Callable[[Method], dict[str, float]] = no_curve
    every: int = 1
    after_iteration: Callable[[], None] = lambda: None
    before_saving: Callable[[], None] = lambda: None  # raises where it must not write any more
    made_with: dict[str, str] = field(default_factory=dict)
    executions: list[str] = field(default_factory=list)  # of the chain, where resuming changed it
    commits: list[str] = field(default_factory=list)  # of the code, one for each resumption
    history: list[dict[str, Any]] = field(default_factory=list)

    def fit(self) -> list[dict[str, Any]]:
        """Train until ``iterations`` are done; returns the history, one dict per iteration.

        Raises :class:`ltvm.errors.DivergedError` as the method does.
        """
        method, clock = self.method, self.method.problem.clock
        while method.iteration < self.iterations:
            scalars = {name: float(value) for name, value in method.fit_iteration().items()}
            row: dict[str, Any] = {
                "iteration": method.iteration,
                "passes": method.passes,
                "decoder_updates": method.decoder_updates,
                "flops": method.flops,
                **scalars,
            }
            if method.iteration % self.every == 0 or method.iteration == self.iterations:
                method.problem.progress(1.0, "evaluation")
                with clock.phase("evaluation"):
                    row |= self.curve(method)
            row |= {f"{phase}_seconds": clock.seconds.get(phase, 0.0) for phase in PHASES}
            self.history.append(row)
            self.save()
            self.after_iteration()
        return self.history

    def save(self) -> None:
        if self.checkpoint_file is None:
            return
        self.before_saving()
        state = {
            "made_with": self.made_with,
            "executions": self.executions,
            "commits": self.commits,
            "method": self.method.state_dict(),
            "history": self.history,
            "seconds": dict(self.method.problem.clock.seconds),
        }
        with writing(self.checkpoint_file) as file:
            torch.save(state, file)

    def resume(self) -> bool:
        """Load the checkpoint; returns whether there is one.

        What merely computes the same in another order (``executions``, ``commits``) may have
        changed since: it is then listed after what was. Raises :class:`ltvm.errors.InputError` if
        the checkpoint cannot be read, or was made with another ``made_with``: other images, for
        one, would give numbers that no single configuration stands for.
        """
        if self.checkpoint_file is None or not self.checkpoint_file.is_file():
            return False
        state = read_checkpoint(self.checkpoint_file, self.method.problem.device)
        refuse_other(self.checkpoint_file, state["made_with"], self.made_with)
        self.method.load_state_dict(state["method"])
        self.history = state["history"]
        self.executions = list(dict.fromkeys([*state["executions"], *self.executions]))
        self.commits = list(dict.fromkeys([*state["commits"], *self.commits]))
        self.method.problem.clock.seconds.update(state["seconds"])
        return True


def refuse_other(path: Path, was: dict[str, str], now: dict[str, str]) -> None:
    """Raise :class:`ltvm.errors.InputError`, naming each difference, unless both are the same."""
    differences = [
        f"{key} was {was.get(key)}, is {now.get(key)}"
        for key in {**was, **now}
        if was.get(key) != now.get(key)
    ]
    if differences:
        raise InputError(
            f"{path} cannot be resumed: {'; '.join(differences)}; allowed: as it was, or "
            "--restart, which discards it"
        )


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Load a checkpoint; raises :class:`ltvm.errors.UnreadableError` if it cannot be read."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
        raise UnreadableError(path, f"cannot be read ({why})", "--restart discards it") from error
    return state
