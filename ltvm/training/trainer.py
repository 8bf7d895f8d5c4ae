"""The reusable trainer: iterations, clock, history, checkpoint, resume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltvm.errors import InputError
from ltvm.methods.base import Method
from ltvm.runtime.phases import PHASES
from ltvm.training.checkpoint import newest, read_checkpoint, refuse_other, write_checkpoint


def no_curve(method: Method) -> dict[str, float]:  # noqa: ARG001
    """Measure nothing between iterations."""
    return {}


@dataclass
class Trainer:
    """Trains any method for a number of outer iterations.

    After every iteration a row joins ``history`` and, if ``checkpoint_file`` is set, the whole
    state is written there, so that ``resume`` followed by ``fit`` gives what an uninterrupted
    ``fit`` gives (bit for bit on a CPU). ``curve`` measures the method after every ``every``
    iterations and after the last one. Of several processes the first alone measures and writes,
    and the others wait.

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
        method, clock, world = self.method, self.method.problem.clock, self.method.problem.world
        while method.iteration < self.iterations:
            scalars = {name: float(value) for name, value in method.fit_iteration().items()}
            method.check_alike()
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
                    row |= world.first(lambda: self.curve(method))
            row |= {f"{phase}_seconds": clock.seconds.get(phase, 0.0) for phase in PHASES}
            self.history.append(row)
            world.first(self.save)
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
        write_checkpoint(self.checkpoint_file, state)

    def resume(self) -> bool:
        """Load the newest checkpoint, on all processes; returns whether there is one.

        What merely computes the same in another order (``executions``, ``commits``) may have
        changed since: it is then listed after what was. Raises :class:`ltvm.errors.InputError` if
        it was made with another ``made_with``: other images, for one, would give numbers that no
        single configuration stands for; and :class:`ltvm.errors.UnreadableError` if it is damaged.
        """
        problem = self.method.problem
        state = problem.world.copied(self.read(), problem.device)
        if state is None:
            return False
        try:
            self.method.load_state_dict(state["method"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
            raise InputError(
                f"{self.checkpoint_file} does not fit the configuration ({why}); --restart "
                "discards it"
            ) from error
        self.history = state["history"]
        self.executions = list(dict.fromkeys([*state["executions"], *self.executions]))
        self.commits = list(dict.fromkeys([*state["commits"], *self.commits]))
        problem.clock.seconds.update(state["seconds"])
        return True

    def read(self) -> dict[str, Any] | None:
        """The newest checkpoint, on the method's device; None where there is none."""
        file = None if self.checkpoint_file is None else newest(self.checkpoint_file)
        if file is None:
            return None
        state = read_checkpoint(file, self.method.problem.device)
        refuse_other(file, state["made_with"], self.made_with)
        return state
