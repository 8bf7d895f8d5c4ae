"""Bad arguments: each is answered in one line, with exit code 2, before anything is written.

The line names the key and the value and says what is allowed, with the nearest valid name where
there is one. Most run in this process, some as processes of their own.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from benchmarks.faults.bad import ABLATIONS, CHOICES, COMMANDS, KEYS, KINDS, VALUES, Bad
from benchmarks.faults.cases import Case, Ended, preload

SECONDS = 10.0  # of a processor in which a bad argument is answered, the first imports aside
LONGEST = 1000  # characters of an answer

# As processes of their own: what a user sees, start-up included.
WHOLE = (CHOICES[0], KEYS[1], VALUES[11], ABLATIONS[7], COMMANDS[1], COMMANDS[8])


def cases() -> list[Case]:
    """Every bad argument in this process, and a sample as processes of their own."""
    inside = [case_of(kind, bad) for kind, rows in KINDS.items() for bad in rows]
    return [*inside, *(case_of("as processes", bad, whole=True) for bad in WHOLE)]


def short() -> list[Case]:
    """Every fifth, of every kind, in this process."""
    return [case_of(kind, bad) for kind, rows in KINDS.items() for bad in rows[1::5]]


def case_of(kind: str, bad: Bad, whole: bool = False) -> Case:
    line, *words = bad

    def run(folder: Path) -> str | None:
        (folder / "file").write_text("")
        (folder / "empty").mkdir()
        command = shlex.split(line)
        preload()
        started = time.process_time()
        ended = in_a_process(folder, command) if whole else in_this_process(folder, command)
        seconds = time.process_time() - started
        return wrong_with(ended, words, folder) or (
            f"took {seconds:.1f} s" if seconds > SECONDS and not whole else None
        )

    shown = line if len(line) <= 80 else f"{line[:77]}..."
    return Case(f"{kind}: ltvm {shown!r}", run)


def wrong_with(ended: Ended, words: list[str], folder: Path) -> str | None:
    """What of an answer to a bad argument is not as it should be."""
    lines = ended.err.splitlines()
    left = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    if ended.code != 2:
        return f"exit code {ended.code}: {' / '.join(lines)[:300]}"
    if len(lines) != 1 or not lines[0].startswith("ltvm: error: ") or len(lines[0]) > LONGEST:
        return f"not one line: {' / '.join(lines)[:300]}"
    if ended.out:
        return f"said on stdout: {ended.out[:100]!r}"
    if left != ["file"]:
        return f"left {', '.join(sorted(left))[:200]}"
    missing = [word for word in words if word not in lines[0]]
    return f"without {missing[0]!r}: {lines[0][:300]}" if missing else None


def in_a_process(folder: Path, command: list[str]) -> Ended:
    own = {"LTVM_RESULTS": str(folder / "results"), "LTVM_REPORTS": str(folder / "reports")}
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "ltvm", *command],
        cwd=folder, env={**os.environ, **own, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


class AcceptedError(Exception):
    """A bad argument was not refused: a run would have begun."""


def accepted(*_: object, **__: object) -> None:
    raise AcceptedError("accepted: a run would begin")


@contextmanager
def surroundings(folder: Path) -> Iterator[None]:
    """The folder as the current one, nothing trained, and what a command changes put back."""
    own = {"LTVM_RESULTS": str(folder / "results"), "LTVM_REPORTS": str(folder / "reports")}
    path = list(sys.path)
    with (
        chdir(folder),
        patch.dict(os.environ, own),
        patch("ltvm.runs.launching.launch.launch", accepted),
        patch("ltvm.runs.launching.sweep.launch", accepted),
    ):
        os.environ.pop("LTVM_CONFIG_DIRS", None)
        try:
            yield
        finally:
            sys.path[:] = path


def in_this_process(folder: Path, command: list[str]) -> Ended:
    """``ltvm`` as ``main``, which takes milliseconds where a process takes seconds."""
    from ltvm.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with surroundings(folder), redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(command)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
    return Ended(code, out.getvalue(), re.sub(r"^\n", "", err.getvalue()))
