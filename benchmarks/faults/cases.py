"""What every part of the faults bench is made of: cases, and the command line in a fork.

A process of its own costs seconds of imports. So the parent imports everything once, and each
command is a fork of it, with its own folder, output and exit code, which can be killed like any.
Figures are made, but not drawn, which would take most of the time.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NoReturn


@dataclass(frozen=True)
class Case:
    """Something to survive. ``name`` is "kind: what"; a table has a row for every kind.

    ``run`` gets an empty folder and returns None if what should hold held, otherwise what went
    wrong in a line. One case may stand for so many ``times`` of the same.
    """

    name: str
    run: Callable[[Path], str | None]
    times: int = 1

    @property
    def kind(self) -> str:
        return self.name.split(":")[0]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal that killed it), what it said."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines of stderr that say what is wrong."""
        return [line for line in self.err.splitlines() if line.startswith("ltvm:")]


@dataclass
class Started:
    """A command that runs in a fork of this process."""

    pid: int
    said: Path  # .out and .err beside it
    code: int | None = field(default=None)

    def kill(self, signum: int = signal.SIGKILL) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self) -> Ended:
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        out, err = (self.said.with_suffix(end).read_text(errors="replace") for end in SAID)
        return Ended(self.code, out, err)


SAID = (".out", ".err")
_started = 0


def start(
    folder: Path,
    arguments: Sequence[str],
    before: Callable[[], object] = lambda: None,
    results: Path | None = None,
) -> Started:
    """Begin ``ltvm ARGUMENTS`` in ``folder``, its results and reports below it.

    ``before`` is called in the new process first: what is to go wrong there. The cache of features
    is ``folder``'s parent's, so that the cases of one bench share it.
    """
    global _started
    preload()
    _started += 1
    said = folder / f".said{_started}"
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _become(folder, list(arguments), said, before, results or folder / "results")
    return Started(pid, said)


def ltvm(folder: Path, *arguments: str, before: Callable[[], object] = lambda: None) -> Ended:
    """``ltvm ARGUMENTS`` in ``folder``, from its beginning to its end."""
    return start(folder, arguments, before).wait()


@cache
def preload() -> None:
    """Import, and compose once, what commands need; one thread, since a fork has no others."""
    import torch

    torch.set_num_threads(1)
    for name in (
        "ltvm.cli.main", "ltvm.report.page.write", "ltvm.runs.launching.sweep",
        "ltvm.runs.afterwards.evaluate_again",
        "pyarrow.parquet", "jinja2", "tabulate", "matplotlib.backends.backend_agg", "ot",
        "networkx", "sklearn.cluster", "sklearn.linear_model", "sklearn.neighbors",
    ):  # fmt: skip
        importlib.import_module(name)
    from ltvm.config import resolve
    from ltvm.runs.execution.execute import check_input

    check_input(resolve(["protocol=smoke", "method=vae", "device=cpu"]))


def _become(
    folder: Path,
    arguments: list[str],
    said: Path,
    before: Callable[[], object],
    results: Path,
) -> NoReturn:
    """The rest of a fork's life: one command."""
    code = 1
    try:
        for number, end in zip((1, 2), SAID, strict=True):
            target = os.open(said.with_suffix(end), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(target, number)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        os.chdir(folder)
        os.environ["LTVM_RESULTS"] = str(results)
        os.environ["LTVM_REPORTS"] = str(folder / "reports")
        os.environ.setdefault("LTVM_CACHE_DIR", str(folder.parent / "cache"))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _draw_nothing()
        before()
        from ltvm.cli.main import main

        code = main(arguments)
    except SystemExit as error:  # argparse
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _draw_nothing() -> None:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

    Figure.savefig = lambda *_, **__: None  # type: ignore[assignment,method-assign]
    Figure.tight_layout = lambda *_, **__: None  # type: ignore[assignment,method-assign]
    Figure.get_tightbbox = lambda *_, **__: Bbox.unit()  # type: ignore[method-assign]
