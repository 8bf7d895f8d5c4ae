"""``ltvm status``: how many runs there are, by data, method and status."""

from __future__ import annotations

import argparse
from pathlib import Path

from ltvm.cli.options import Add, places


def add(add_command: Add) -> None:
    add_command("status", "Count runs by data, method and status.", places())


def run(options: argparse.Namespace) -> int:
    import pandas as pd

    from ltvm.runs.store import Store

    runs = Store(Path(options.results)).runs()
    if not runs:
        print(f"no runs in {options.results}")
        return 0
    rows = [(run.directory.parts[-4], run.directory.parts[-3], run.status()) for run in runs]
    frame = pd.DataFrame(rows, columns=["data", "method", "status"])
    counts = frame.value_counts().unstack("status", fill_value=0).reset_index()
    print(counts.to_string(index=False))
    return 0
