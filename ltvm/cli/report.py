"""``ltvm report``: reports from the records, without training."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ltvm.cli.each import each
from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add, places, shown
from ltvm.errors import InputError


def add(add_command: Add) -> None:
    text = "Rebuild reports from the records, without training."
    command = add_command("report", text, places(), shown(), machine())
    command.add_argument("names", nargs="*", metavar="NAME", help="reports (default: all)")
    command.add_argument("--reports", default=os.environ.get("LTVM_REPORTS", "reports"))


def run(options: argparse.Namespace) -> int:
    from ltvm.api import make_report

    results = Path(options.results)
    names = options.names or sorted(p.stem for p in (results / "ablations").glob("*.json"))
    if not names:
        raise InputError(f"report: no records in {results}; run `ltvm ablate` first")

    def make(name: str) -> Path:
        folder = make_report(name, results, options.reports, options.allow_mixed, options.interval)
        print(folder / "README.md")
        return folder

    each(names, make, lambda made: told(options, {"reports": list(made.values())}))
    return 0
