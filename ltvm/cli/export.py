"""``ltvm export``: an ablation's records elsewhere, as a directory or as one file."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add, places

EXAMPLES = """\
examples:
  ltvm export ot-mnist5k --to ot-mnist5k.tar.gz           # one file, for `ltvm import` elsewhere
  ltvm export ot-mnist5k --to ot-mnist5k.tar.gz --weights # with what `ltvm evaluate` needs
  ltvm export ot-mnist5k --to results/reference --pictures first  # small files, to commit"""


def add(add_command: Add) -> None:
    text = "Copy an ablation's records to a directory or an archive."
    command = add_command("export", text, places(), machine())
    command.add_argument("name", metavar="NAME", help="of a report, as `ltvm report` has it")
    command.add_argument(
        "--to",
        required=True,
        metavar="DIR|FILE.tar.gz",
        help="another results directory, or a file",
    )
    command.add_argument("--weights", action="store_true", help="final weights and codes, too")
    command.add_argument(
        "--pictures",
        choices=("all", "first", "none"),
        default="all",
        help="of every run, of each cell's first seed alone, or of none (%(default)s)",
    )
    command.add_argument(
        "--reports",
        default=os.environ.get("LTVM_REPORTS", "reports"),
        help="where the report is that goes into a file (%(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    from ltvm.runs.files.store import check_writable
    from ltvm.runs.housekeeping.export import export, export_file, is_file_name

    results, target = Path(options.results), Path(options.to)
    packed = is_file_name(target)
    check_writable("--to", target.parent if packed else target)
    if not packed:
        manifest = export(options.name, results, target, options.weights, options.pictures)
        if not told(options, {"manifest": manifest}):
            print(manifest)
        return 0
    report = Path(options.reports) / options.name
    export_file(options.name, results, target, options.weights, report, options.pictures)
    size = target.stat().st_size
    if not told(options, {"file": target, "bytes": size}):
        print(f"{target}: {size / 1e6:.1f} MB")
    if not report.is_dir():
        print(
            f"without a report: no {report}; `ltvm report {options.name}` makes it", file=sys.stderr
        )
    return 0
