"""``ltvm paper-tables``: the tables of a paper on the method, from the records there are."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ltvm.cli.machine import machine, told
from ltvm.cli.options import OVERRIDES, Add, places

CHOOSES = ("protocol", "evaluation", "decoder", "prior")
EXAMPLES = """\
examples:
  ltvm paper-tables                              # reports/paper: each as .md, .tex, .csv
  ltvm paper-tables protocol=medium --out tables # every ablation at another protocol"""


def add(add_command: Add) -> None:
    text = (
        "Write the tables of a paper on the method. They are made from the records, with "
        "published figures beside them; cells that were not run are shown as missing, with the "
        "command that makes them. Trains nothing. Overrides hold for every ablation."
    )
    command = add_command("paper-tables", text, places(), machine())
    command.add_argument("overrides", **OVERRIDES)
    reports = os.environ.get("LTVM_REPORTS", "reports")
    command.add_argument("--out", default=str(Path(reports) / "paper"), help="folder (%(default)s)")


def run(options: argparse.Namespace) -> int:
    from ltvm.api import paper_tables

    page = paper_tables(options.results, options.out, options.overrides)
    if not told(options, {"page": page}):
        print(page)
    return 0
