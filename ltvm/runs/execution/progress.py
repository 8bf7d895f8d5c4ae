"""What is running, how far it is, and what is left.

On a terminal two bars (all runs, and this run); elsewhere one line per finished iteration, so
that a log file reads well.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from ltvm.runs.ablations.forecast import Forecast, Work
from ltvm.runtime.terminal import console, visible

UNKNOWN = Work("")
SHOWN_VARIABLE = "LTVM_RUNS_SHOWN"  # set for the workers of a process that shows all runs


class Reporter:
    """Progress over runs, each given by what it takes (see ``ltvm.runs.ablations.forecast``).

    ``labels`` say what is swept, by a run's kind and seed; ``quiet`` says nothing at all.
    Bars are there while it is entered, which may be more than once.
    """

    def __init__(
        self,
        work: Sequence[Work] = (UNKNOWN,),
        labels: Mapping[tuple[str, int], str] | None = None,
        quiet: bool = False,
    ) -> None:
        self.runs, self.finished, self.label, self.work = len(work), 0, "", UNKNOWN
        self.labels, self.quiet = labels or {}, quiet
        self.forecast = Forecast(work)
        self.console = console(stderr=True)
        self.started = self.run_started = time.monotonic()
        self.bars: Progress | None = None
        self.total_bar = self.run_bar = TaskID(0)

    def __enter__(self) -> Reporter:
        if self.console.is_terminal:
            self.bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=16),
                TextColumn("{task.fields[doing]}", markup=False),
                TextColumn("left"),
                TimeRemainingColumn(compact=True),
                console=self.console,
                transient=True,  # tables are printed between two batches of runs
            )
            self.total_bar = self.bars.add_task(
                f"{self.finished} of {self.runs} runs",
                total=self.runs,
                completed=self.finished,
                doing="",
            )
            self.run_bar = self.bars.add_task("", total=1.0, doing="starting")
            self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bars is not None:
            self.bars.stop()
            self.bars = None

    def start_run(self, label: str, work: Work = UNKNOWN) -> None:
        self.label, self.work, self.run_started = label, work, time.monotonic()
        if self.bars is not None:
            self.bars.reset(self.run_bar, description=visible(label), doing="starting")

    def update(self, done: float, doing: str) -> None:
        """``done`` is the fraction of this run."""
        if self.bars is not None:
            self.bars.update(self.run_bar, completed=done, doing=doing)
            self.bars.update(self.total_bar, completed=self.finished + done)

    def line(self, text: str, label: str | None = None) -> None:
        """A line for the log; none on a terminal, where bars move. ``label``: another process's."""
        if self.bars is None and not self.quiet:
            number = self.finished + 1 if label is None else self.finished
            position = f"[{number}/{self.runs}, {time.monotonic() - self.started:.0f} s]"
            print(f"{position} {label or self.label}: {text}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A line of its own, on any kind of output; above the bars on a terminal."""
        if self.quiet:
            return
        if self.bars is not None:
            self.bars.console.print(text, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def count(self, work: Work, seconds: float) -> None:
        """One more run is finished, which took so long."""
        self.finished += 1
        self.forecast.finished(work, seconds)

    def finish_run(
        self,
        status: str,
        label: str | None = None,
        work: Work | None = None,
        seconds: float | None = None,
    ) -> None:
        """The run that was started last has ended; or another process's, by its label and work."""
        text = f"{label or self.label}: {status}"
        own = time.monotonic() - self.run_started
        self.count(self.work if work is None else work, own if seconds is None else seconds)
        left = self.runs - self.finished
        if self.bars is not None:
            self.bars.update(
                self.total_bar,
                completed=self.finished,
                description=f"{self.finished} of {self.runs} runs",
            )
            self.say(text)
        else:
            elapsed = time.monotonic() - self.started
            position = f"[{self.finished}/{self.runs}, {elapsed:.0f} s]"
            self.say(f"{position} {text}; {left} left")
        if self.finished == 1 and left > 0:
            self.say(self.forecast.sentence())


@contextmanager
def workers_quiet(quiet: bool) -> Iterator[None]:
    """Have workers that are launched meanwhile say nothing: this process shows their runs."""
    before = os.environ.get(SHOWN_VARIABLE)
    if quiet:
        os.environ[SHOWN_VARIABLE] = "1"
    try:
        yield
    finally:
        if quiet and before is None:
            del os.environ[SHOWN_VARIABLE]


_current: Reporter | None = None


def set_reporter(reporter: Reporter | None) -> None:
    """Make ``reporter`` the one that runs in this process report to (None: none)."""
    global _current
    _current = reporter


def current_reporter() -> Reporter:
    """The process's reporter; where none was set, one of a single run.

    A launcher's worker says nothing where the process that launched it shows all runs on the same
    terminal. A batch system keeps what a job prints in a file of its own: there it speaks.
    """
    if _current is not None:
        return _current
    shown = SHOWN_VARIABLE in os.environ and "SUBMITIT_EXECUTOR" not in os.environ
    return Reporter(quiet=shown)
