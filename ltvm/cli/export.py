"""``ltvm export``: an ablation's records without weights, elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from ltvm.cli.options import Add, places


def add(add_command: Add) -> None:
    text = "Copy an ablation's records, without weights, elsewhere."
    command = add_command("export", text, places())
    command.add_argument("name", metavar="NAME")
    command.add_argument("--to", required=True, metavar="DIR", help="another results directory")


def run(options: argparse.Namespace) -> int:
    from ltvm.runs.export import export

    print(export(options.name, Path(options.results), Path(options.to)))
    return 0
