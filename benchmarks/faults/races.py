"""Three starters of the same ablation at the same time, again and again.

Every run is executed once, by one of them; who leaves runs to others ends with 3 and says so in a
line, who finds everything done with 0; the report that stays is whole.
"""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

from benchmarks.faults.cases import Case, Ended, start
from benchmarks.faults.sweep import COMMAND, diary, done_twice, is_one_line, same_as, template

SEED = 2026
STARTERS = 3
APART = 0.3  # seconds, at most, between two starts
LEFT = re.compile(r"holds? \d+ of the runs; ")


def cases() -> list[Case]:
    return [race_case(f"three starters: race {number}", number) for number in range(100)]


def short() -> list[Case]:
    return cases()[:1]


def race_case(name: str, number: int) -> Case:
    def run(folder: Path) -> str | None:
        reference, draw = template(*COMMAND), random.Random(SEED + number)
        starters = []
        for _ in range(STARTERS):
            starters.append(start(folder, COMMAND, diary(folder)))
            time.sleep(draw.uniform(0, APART) * draw.randrange(2))
        ended = [starter.wait() for starter in starters]
        return (
            next(filter(None, map(wrong_of, ended)), None)
            or (None if any(e.code == 0 for e in ended) else "nobody ended with 0")
            or done_twice(folder)
            or same_as(reference, folder)
        )

    return Case(name, run)


def wrong_of(ended: Ended) -> str | None:
    """What is wrong with how one starter ended."""
    wrong = is_one_line(ended, [0, 3])
    if wrong is not None:
        return wrong
    said = len(LEFT.findall(ended.err))
    if said > 1 or (said == 0 and ended.code == 3):  # those that it left may have ended meanwhile
        return f"exit code {ended.code}, and {said} lines that runs are left: {ended.err[-300:]}"
    return None
