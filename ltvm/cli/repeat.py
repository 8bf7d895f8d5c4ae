"""``ltvm repeat``: train the run of a record again, and hold the values against each other."""

from __future__ import annotations

import argparse
import math
import random
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add, places, trusting
from ltvm.errors import require

if TYPE_CHECKING:
    from ltvm.runs.afterwards.repeat import Compared
    from ltvm.runs.files.store import Run

EXAMPLES = """\
examples:
  ltvm repeat results/runs/mnist5k/vae/IDENTITY/seed=0
  ltvm repeat --draw --results results/reference    # one of its runs, drawn at random
  ltvm repeat --draw 17 --results results/reference # the one that 17 draws"""


def add(add_command: Add) -> None:
    text = (
        "Train a recorded run again and compare the values. Says which are the same, which are as "
        "another seed's would be, and which differ. Exit code 1 if one differs."
    )
    command = add_command("repeat", text, places(), machine(), trusting())
    flag = command.add_argument
    flag("run", metavar="RUN", nargs="?", help="the folder of a run that is done")
    flag(
        "--draw", nargs="?", type=int, const=-1, metavar="NUMBER",
        help="one of the runs of --results, drawn at random, or by a number",
    )  # fmt: skip
    flag("--into", metavar="DIR", help="keep the repetition there (default: a temporary directory)")
    flag("--device", default="auto", help="where to train (%(default)s)")


def run(options: argparse.Namespace) -> int:
    from ltvm.runs.afterwards.repeat import compared, repeat

    chosen = choose(options)
    with ExitStack() as stack:
        into = options.into or stack.enter_context(tempfile.TemporaryDirectory(prefix="ltvm-"))
        values = compared(*repeat(chosen, Path(into), options.device))
    differing = [value.metric for value in values if value.verdict == "differs"]
    if not told(options, list(map(as_answer, values))):
        show(values)
    return 1 if differing else 0


def choose(options: argparse.Namespace) -> Path:
    """The folder of the run; says which it is, what made it, and what that took."""
    from ltvm.runs.afterwards.repeat import drawn

    both = options.run is not None and options.draw is not None
    require(not both, "repeat", options.run, "a run, or --draw")
    require(options.run is not None or options.draw is not None, "repeat", "nothing",
            "a run, or --draw")  # fmt: skip
    if options.draw is None:
        return Path(options.run)
    key = random.SystemRandom().randrange(10**6) if options.draw < 0 else options.draw
    found = drawn(Path(options.results), key)
    print(f"drawn by {key}: {found.directory}")
    tell(found)
    return found.directory


def tell(found: Run) -> None:
    record = found.record() or {}
    seconds = sum(float(value) for value in (record.get("seconds") or {}).values())
    print(f"{record.get('command')}\n{record.get('device')}, {record.get('execution')}, commit "
          f"{str(record.get('commit'))[:12]}: {seconds:.0f} s there", flush=True)  # fmt: skip


def as_answer(value: Compared) -> dict[str, Any]:
    """With null for what JSON does not have, NaN."""
    found = {**vars(value), "verdict": value.verdict}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in found.items()}


def show(values: list[Compared]) -> None:
    from ltvm.runs.afterwards.repeat import LEVEL

    wide = max(len(value.metric) for value in values)
    print(f"{'':<{wide}} {'recorded':>12} {'repeated':>12}  {LEVEL:.0%} interval of a further seed")
    for value in values:
        interval = "-" if math.isnan(value.low) else f"{value.low:.6g} to {value.high:.6g}"
        repeated = "-" if value.absent else f"{value.repeated:.6g}"
        print(f"{value.metric:<{wide}} {value.recorded:>12.6g} {repeated:>12}  "
              f"{interval:<28} {value.verdict}")  # fmt: skip
    counts = Counter(value.verdict for value in values)
    print("; ".join(f"{number} {verdict}" for verdict, number in counts.items()))
    for why, number in Counter(value.absent for value in values if value.absent).items():
        print(f"{number} absent: {why}")
