"""How far a run is, in a file beside its record: for whoever watches the store from elsewhere."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field

from ltvm.runs.environment import now
from ltvm.runs.files.locks import Hold
from ltvm.runs.files.store import Run
from ltvm.runtime.files import write_json

EVERY = 2.0  # seconds between two writes


@dataclass
class Running:
    """A run that this process holds; says in ``running.json`` how far it is, until it ends.

    The file has ``iteration`` (done so far) of ``iterations``, ``iterations_here`` (by this
    process), ``doing``, ``done`` (the fraction of the whole), ``seconds`` since it began or went
    on, ``seconds_left`` (None where nothing is known yet) and ``updated``.
    """

    run: Run
    hold: Hold
    iterations: int
    began: float = field(default_factory=time.monotonic)
    began_at: float | None = None  # the fraction that was done when it went on
    began_iteration: int = 0
    written: float = -EVERY

    def update(self, iteration: int, done: float, doing: str) -> None:
        """Not written more often than every ``EVERY`` seconds."""
        moment = time.monotonic()
        if self.began_at is None:
            self.began_at, self.began_iteration = done, iteration
        if moment - self.written < EVERY:
            return
        self.written, spent = moment, moment - self.began
        gained = done - self.began_at
        content = {
            "iteration": iteration,
            "iterations": self.iterations,
            "iterations_here": iteration - self.began_iteration,
            "doing": doing,
            "done": round(done, 4),
            "seconds": round(spent, 1),
            "seconds_left": round(spent * (1 - done) / gained, 1) if gained > 0 else None,
            "updated": now(),
        }
        with contextlib.suppress(OSError):  # a full disk ends a run where its numbers are written
            if self.run.directory.is_dir():  # what has vanished is not begun again with this
                write_json(self.run.progress_file, content)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            self.run.progress_file.unlink(missing_ok=True)
