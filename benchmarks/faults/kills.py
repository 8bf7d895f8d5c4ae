"""SIGKILL at random moments over one sweep, which the same command continues each time.

Two ways of choosing the moment: by the clock, and by the number of a file operation (a file made,
a file about to take its place, a file that has just taken it), so that writes, which take no time,
are hit too. In the end nothing is lost, nothing done twice, and the table that of an undisturbed
sweep, bit for bit.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.faults.cases import Case, ltvm, start
from benchmarks.faults.sweep import (
    ablate,
    diary,
    done_twice,
    is_one_line,
    same_as,
    template,
    temporary,
)

SEED = 2026
OPERATIONS = 40  # of files, of which the last is the latest at which a command is killed
EARLIEST, LATEST = 0.3, 1.6  # seconds after a command's start


def cases() -> list[Case]:
    return [
        sweep_case("by the clock", 60, "short_run_ot,vae", "0,1,2,3,4,5", by_clock),
        sweep_case("at a file operation", 40, "short_run_ot,vae", "0,1,2,3", by_operation),
    ]


def short() -> list[Case]:
    return [sweep_case("at a file operation", 3, "vae", "0,1", by_operation)]


Killer = Callable[[Path, list[str], random.Random], int]


def sweep_case(how: str, kills: int, methods: str, seeds: str, kill: Killer) -> Case:
    """``kills`` kills over one sweep; it must not be done before it was killed so often."""
    command = ablate(methods, seeds, "protocol.iterations=3")

    def run(folder: Path) -> str | None:
        reference, draw, killed = template(*command), random.Random(SEED), 0
        for _ in range(20 * kills):
            code = kill(folder, command, draw)
            killed += code == -signal.SIGKILL
            if code not in (-signal.SIGKILL, 0):
                return f"after {killed} kills the command ended with {code}"
            if killed == kills or code == 0:
                break
        ended = ltvm(folder, *command, before=diary(folder))
        cleaned = ltvm(folder, "gc", "--yes")
        left = temporary(folder)
        return (
            is_one_line(ended, [0])
            or done_twice(folder)
            or same_as(reference, folder)
            or (f"{left[0].relative_to(folder)} stays" if left else None)
            or is_one_line(cleaned, [0])
            or (f"done after {killed} kills already" if killed < kills else None)
        )

    return Case(f"killed {how}: {kills} times over one sweep", run, kills)


def by_clock(folder: Path, command: list[str], draw: random.Random) -> int:
    started = start(folder, command, diary(folder))
    time.sleep(draw.uniform(EARLIEST, LATEST))
    started.kill()
    return started.wait().code


def by_operation(folder: Path, command: list[str], draw: random.Random) -> int:
    last = draw.randrange(OPERATIONS)

    def before() -> None:
        diary(folder)()
        kill_at_operation(last)

    return start(folder, command, before).wait().code


def kill_at_operation(last: int) -> None:
    """Have this process killed at its operation of this number on files that are written aside."""
    opened, replaced, done = Path.open, Path.replace, [0]

    def count() -> None:
        if done[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)
        done[0] += 1

    def counted_open(self: Path, mode: str = "r", *others: Any, **options: Any) -> Any:
        file = opened(self, mode, *others, **options)
        if self.suffix == ".tmp" and "w" in mode:
            count()
        return file

    def counted_replace(self: Path, target: Any) -> Path:
        count()
        result = replaced(self, target)
        count()
        return result

    Path.open = counted_open  # type: ignore[method-assign,assignment]
    Path.replace = counted_replace  # type: ignore[method-assign]
