"""Faults to survive, each tried on runs of seconds: what held and what did not.

    python -m benchmarks.faults                         # all, some minutes
    python -m benchmarks.faults --short                 # a few of each kind
    python -m benchmarks.faults --only kills,races --out results/bench

Exit code 1 if anything did not hold; each such case is named with what went wrong.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

from benchmarks.common import publish
from benchmarks.faults.cases import Case, preload
from ltvm.runs.environment import commit

PARTS = ("kills", "races", "damage", "disk", "arguments", "hostile")


@dataclass(frozen=True)
class Tried:
    """One case, and what did not hold of it (None: everything did)."""

    part: str
    kind: str
    name: str
    times: int
    wrong: str | None
    seconds: float
    commit: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a few of each kind, in seconds")
    parser.add_argument("--only", default=",".join(PARTS), help="of %(default)s")
    parser.add_argument(
        "--out",
        type=Path,
        help="write faults.md and faults.json there, of parts not tried as before",
    )
    options = parser.parse_args()
    parts = options.only.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown:
        parser.error(f"--only {','.join(sorted(unknown))}: allowed: {', '.join(PARTS)}")
    sys.argv[:1] = ["-m", "benchmarks.faults"]  # as it is told in what is published
    preload()
    earlier = [] if options.out is None else cases_in(options.out / "faults.json", parts)
    tried = [one for name in parts for one in try_part(name, options.short)]
    tried = sorted([*earlier, *tried], key=lambda one: PARTS.index(one.part))
    publish(
        "faults",
        "Faults to survive",
        {"How often each was tried, and how often all held that should:": rows_of(tried)},
        options.out,
        "cpu",
        cases=[asdict(one) for one in tried],
    )
    wrong = [one for one in tried if one.wrong is not None]
    for one in wrong:
        print(f"{one.part}: {one.name}: {one.wrong}", file=sys.stderr)
    return 1 if wrong else 0


def part_named(name: str) -> ModuleType | None:
    """The module of a part, or None where it is not there."""
    full = f"benchmarks.faults.{name}"
    return importlib.import_module(full) if importlib.util.find_spec(full) else None


def try_part(name: str, short: bool) -> list[Tried]:
    module = part_named(name)
    if module is None:
        return []
    cases: Sequence[Case] = module.short() if short else module.cases()
    return [try_case(name, case) for case in cases]


def try_case(part: str, case: Case) -> Tried:
    """Run one case in an empty folder of its own; what it raises did not hold."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ltvm-faults-", ignore_cleanup_errors=True) as above:
        folder = Path(above) / "case"
        folder.mkdir()
        try:
            wrong = case.run(folder)
        except Exception as error:
            wrong = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    seconds = round(time.perf_counter() - started, 2)
    print(f"{part}: {case.name}: {wrong or 'held'} ({seconds:.1f} s)", file=sys.stderr, flush=True)
    return Tried(part, case.kind, case.name, case.times, wrong, seconds, str(commit()))


def cases_in(file: Path, but: Sequence[str]) -> list[Tried]:
    """The cases that an earlier command wrote, but for those of some parts."""
    if not file.is_file():
        return []
    found = [Tried(**case) for case in json.loads(file.read_text())["cases"]]
    return [case for case in found if case.part not in but]


def rows_of(tried: Sequence[Tried]) -> list[dict[str, str]]:
    """A row per part and kind: how often it was tried, and how many held."""
    rows = []
    for part, kind in dict.fromkeys((one.part, one.kind) for one in tried):
        own = [one for one in tried if (one.part, one.kind) == (part, kind)]
        held = sum(one.times for one in own if one.wrong is None)
        rows.append({
            "fault": kind, "tried": f"{sum(one.times for one in own):,}", "held": f"{held:,}",
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main())
