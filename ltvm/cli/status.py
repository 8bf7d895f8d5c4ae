"""``ltvm status``: how the runs of ablations stand, also while they run elsewhere."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add, places

if TYPE_CHECKING:
    from rich.table import Table

    from ltvm.runs.ablations.overview import Standing

EVERY = 2.0  # seconds between two looks of --watch
CELLS = 200  # of an ablation that are shown one by one
EXAMPLES = """\
examples:
  ltvm status                   # all ablations
  ltvm status ot-mnist5k --watch
  ltvm status --json | jq '.[] | select(.state == "failed")'"""


def add(add_command: Add) -> None:
    text = (
        "Show the state of all runs. With iteration, time left, and the process that is at work "
        "on them."
    )
    command = add_command("status", text, places(), machine())
    command.add_argument("names", nargs="*", metavar="NAME", help="ablations (default: all)")
    command.add_argument("--watch", action="store_true", help="look again every two seconds")


def run(options: argparse.Namespace) -> int:
    from ltvm.runs.ablations.overview import as_json, overview

    results = Path(options.results)
    found = overview(results, options.names)
    rows = found.rows
    for line in found.damaged:
        print(line, file=sys.stderr)
    if told(options, as_json(rows)):
        return 0
    if not rows:
        return count_runs(results)
    if options.watch:
        watch(results, options.names)
        return 0
    from ltvm.runtime.terminal import console

    shown = console(width=None if sys.stdout.isatty() else 160)
    for table in tables(rows):
        shown.print(table)
    return 0


def watch(results: Path, names: Sequence[str]) -> None:
    """Show the tables until all runs have ended, or Ctrl-C."""
    from rich.console import Group
    from rich.live import Live

    from ltvm.runs.ablations.overview import overview
    from ltvm.runs.files.index import Index
    from ltvm.runtime.terminal import console

    index = Index(results)
    with Live(console=console(), refresh_per_second=1) as live:
        while True:
            index.look_again()
            rows = overview(results, names, index).rows
            live.update(Group(*tables(rows)))
            if not any(row.state in ("pending", "running", "evaluating") for row in rows):
                return
            time.sleep(EVERY)


def tables(rows: Sequence[Standing]) -> list[Table]:
    """One for each ablation: cells by seeds; of very many cells those that are not done."""
    from rich.table import Table

    ablations: dict[str, dict[str, dict[int, Standing]]] = {}  # name -> identity of cell -> seed
    for row in rows:
        ablations.setdefault(row.ablation, {}).setdefault(row.identity, {})[row.seed] = row
    found = []
    for name, cells in ablations.items():
        own = [row for row in rows if row.ablation == name]
        counts = Counter(row.state for row in own)
        words = ", ".join(f"{count} {state}" for state, count in counts.items())
        table = Table(title=f"{name}: {len(own)} runs: {words}", title_justify="left")
        seeds = sorted({row.seed for row in own})
        for column in ("cell", *(f"seed {seed}" for seed in seeds)):
            table.add_column(column)
        shown, words_of = shown_cells(cells), names_of(cells)
        for cell in shown:
            by_seed = {seed: row.in_words() for seed, row in cells[cell].items()}
            table.add_row(words_of[cell], *(by_seed.get(seed, "") for seed in seeds))
        if len(shown) < len(cells):
            left = sum(is_done(own) for cell, own in cells.items() if cell not in shown)
            table.caption = (
                f"{len(shown)} of {len(cells)} cells; of the others {left} are done. "
                "All of them: --json"
            )
        found.append(table)
    return found


def names_of(cells: Mapping[str, Mapping[int, Standing]]) -> dict[str, str]:
    """The words of every cell, with its identity where others have the same."""
    words = {cell: next(iter(own.values())).cell for cell, own in cells.items()}
    count = Counter(words.values())
    return {cell: f"{text} ({cell})" if count[text] > 1 else text for cell, text in words.items()}


def shown_cells(cells: Mapping[str, Mapping[int, Standing]]) -> list[str]:
    """All, or of more than ``CELLS`` the first that are not done."""
    if len(cells) <= CELLS:
        return list(cells)
    return [cell for cell, own in cells.items() if not is_done(own)][:CELLS]


def is_done(runs: Mapping[int, Standing]) -> bool:
    return all(row.state == "done" for row in runs.values())


def count_runs(results: Path) -> int:
    """Where no ablation was begun: the single runs, by data, method and status."""
    from ltvm.runs.files.index import indexed
    from ltvm.runs.files.store import Store

    with indexed(results) as index:
        runs = Store(results, index).runs()
        counts = Counter((*run.directory.parts[-4:-2], run.status()) for run in runs)
    if not runs:
        print(f"no runs in {results}")
        return 0
    for (data, method, status), count in sorted(counts.items()):
        print(f"{data:<12} {method:<24} {status:<12} {count}")
    return 0
