"""``ltvm import``: records from another machine beside those that are here."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add, places

EXAMPLES = """\
examples:
  ltvm import ot-mnist5k.tar.gz                       # of `ltvm export` on another machine
  ltvm import /mnt/other/results --results results    # a results directory, without checksums
  ltvm import ot-mnist5k.tar.gz && ltvm report ot-mnist5k"""


def add(add_command: Add) -> None:
    text = (
        "Add exported records to a results directory. Checksums are verified first, and nothing "
        "is overwritten: where the same run has another content, that is named and the exit code "
        "is 1."
    )
    command = add_command("import", text, places(), machine())
    command.add_argument("source", metavar="FILE|DIR", help="what `ltvm export` has made")


def run(options: argparse.Namespace) -> int:
    from ltvm.runs.housekeeping.merge import import_records

    merged = import_records(Path(options.source), Path(options.results))
    counts: dict[str, dict[str, int]] = {"runs": {}, "evaluations": {}, "ablations": {}}
    for (what, how), number in merged.counts.items():
        counts.setdefault(what, {})[how] = number
    told(options, {**counts, "conflicts": merged.conflicts, "changed": merged.ablations,
                   "checked": merged.checked})  # fmt: skip
    for what, ways in counts.items():
        if ways:
            print(f"{what}: " + ", ".join(f"{n} {how}" for how, n in ways.items()))
    if not merged.checked:
        print("no checksums there: taken as it is", file=sys.stderr)
    for text in merged.conflicts:
        print(f"conflict: {text}", file=sys.stderr)
    if merged.ablations:
        place = shlex.join(["--results", str(options.results)])
        print(f"next: ltvm report {shlex.join(merged.ablations)} {place}")
    return 1 if merged.conflicts else 0
