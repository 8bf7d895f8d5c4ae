"""What runs in other processes do, seen in the store: one thread of the process that launched them.

Whatever engine they run on, they leave the same files; so one way of looking serves all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from ltvm.errors import UnreadableError
from ltvm.runs.ablations.ablation import PlannedRun
from ltvm.runs.ablations.forecast import Work, in_words
from ltvm.runs.execution.progress import Reporter

EVERY = 1.0  # seconds between two looks; a hundred runs or more are looked at less often
ENDED = ("done", "diverged", "failed")


class Watch:
    """Reports the iterations and ends of ``runs`` while it is entered, if they are ``shown`` so."""

    def __init__(self, runs: Sequence[PlannedRun], reporter: Reporter, shown: bool) -> None:
        self.reporter, self.shown = reporter, shown
        self.began = time.monotonic()
        self.left = {planned: mark(planned) for planned in runs}
        self.trained = {planned for planned in runs if planned.is_trained}
        self.iterations: dict[PlannedRun, int] = {}
        self.ended = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, name="watch of runs", daemon=True)

    def __enter__(self) -> Watch:
        if self.shown:
            self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.shown:
            self.stop.set()
            self.thread.join()
            self.look()

    def watch(self) -> None:
        while not self.stop.wait(max(EVERY, 0.01 * len(self.left))):
            self.look()

    def look(self) -> None:
        for planned, before in list(self.left.items()):
            now = mark(planned)
            if now != before and now[-1] in ENDED:
                self.end(planned, now[-1])
                continue
            progress = planned.run.progress()
            if progress is not None and progress["iteration"] != self.iterations.get(planned):
                self.iterations[planned] = progress["iteration"]
                left = progress["seconds_left"]
                self.reporter.line(
                    f"iteration {progress['iteration']} of {progress['iterations']}"
                    + (f", {in_words(left)} left" if left is not None else ""),
                    planned.label,
                )

    def end(self, planned: PlannedRun, status: str) -> None:
        del self.left[planned]
        self.ended += 1
        # Runs go side by side: each takes its share of the time.
        share = (time.monotonic() - self.began) / self.ended
        work = Work(planned.kind, planned not in self.trained)
        self.reporter.finish_run(status, planned.label, work, share)


def mark(planned: PlannedRun) -> tuple[Any, ...]:
    """What changes when a run begins or ends; its status is last."""
    try:
        contents = [planned.run.record() or {}, planned.run.evaluation(planned.evaluation) or {}]
    except UnreadableError:
        return ("unreadable",)
    return (*(content.get("started") for content in contents), planned.status)
