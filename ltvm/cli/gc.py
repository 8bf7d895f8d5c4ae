"""``ltvm gc``: what nothing needs any more below a results directory, and how to be rid of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add, places
from ltvm.errors import require

if TYPE_CHECKING:
    from ltvm.runs.housekeeping.leftovers import Found

EXAMPLES = """\
examples:
  ltvm gc                       # what it would free; removes nothing
  ltvm gc --yes                 # checkpoints of finished runs, temporary files, dead leases, ...
  ltvm gc --unreferenced --yes  # weights of runs that no ablation names, too; records stay"""


def add(add_command: Add) -> None:
    text = "List files that are no longer needed. Says how much they take; --yes removes them."
    command = add_command("gc", text, places(), machine())
    flag = command.add_argument
    flag("--yes", action="store_true", help="remove it")
    flag(
        "--unreferenced",
        action="store_true",
        help="also final weights and codes of runs that no ablation names (records stay)",
    )
    flag(
        "--old-numerics",
        action="store_true",
        help="also whole runs, records included, of code that gave other numbers, if no ablation "
        "names them",
    )
    flag(
        "--days",
        type=float,
        default=7.0,
        help="launchers' folders and temporary files outside of runs are left alone until nobody "
        "has written to them for so long (%(default)g)",
    )


def run(options: argparse.Namespace) -> int:
    from ltvm.runs.housekeeping.leftovers import OLD, WEIGHTS, find, remove

    results = Path(options.results)
    require(results.is_dir(), "--results", results, "a directory with records")
    require(options.days >= 0, "--days", options.days, "0 or more")
    found = find(results, options.days)
    flags = {WEIGHTS: "--unreferenced", OLD: "--old-numerics"}
    wanted = {WEIGHTS: options.unreferenced, OLD: options.old_numerics}
    left_out = {kind: flag for kind, flag in flags.items() if not wanted[kind]}
    chosen = [leftover for leftover in found.leftovers if leftover.kind not in left_out]
    print_table(found, left_out)
    for text in found.unreadable:
        print(f"left: {text}", file=sys.stderr)
    if not options.yes:
        total = sum(leftover.size for leftover in chosen)
        told(options, facts(found, left_out, total))
        print(f"nothing is removed; with --yes it frees {in_bytes(total)}")
        return 0
    freed, taken = remove(chosen)
    told(options, facts(found, left_out, freed, taken))
    for directory in taken:
        print(f"left: {directory}: a process is at it", file=sys.stderr)
    print(f"freed {in_bytes(freed)}")
    return 0


def facts(
    found: Found, left_out: dict[str, str], size: int, taken: Sequence[Path] | None = None
) -> dict[str, Any]:
    """What there is and what was, or would be, freed, for programs."""
    return {
        "removed": taken is not None,
        "bytes": size,
        "leftovers": [
            {"kind": one.kind, "path": one.path, "bytes": one.size, "asks": left_out.get(one.kind)}
            for one in found.leftovers
        ],
        "held": found.held,
        "unreadable": found.unreadable,
        "taken": list(taken or ()),
    }


def print_table(found: Found, left_out: dict[str, str]) -> None:
    """Counts and sizes by kind, and what has to be asked for."""
    from rich.table import Table

    from ltvm.runs.housekeeping.leftovers import KINDS
    from ltvm.runtime.terminal import console

    table = Table()
    for column in ("what", "number", "size", ""):
        table.add_column(column, justify="right" if column in ("number", "size") else "left")
    for kind in KINDS:
        own = found.of([kind])
        asked = f"left without {left_out[kind]}" if kind in left_out and own else ""
        size = sum(leftover.size for leftover in own)
        table.add_row(kind, str(len(own)), in_bytes(size), asked)
    console(width=None if sys.stdout.isatty() else 120).print(table)
    if found.held:
        runs = "run is" if len(found.held) == 1 else "runs are"
        print(f"{len(found.held)} {runs} held by a process: left, and so are launchers' folders")


def in_bytes(size: float) -> str:
    """A size in decimal units.

    >>> in_bytes(0), in_bytes(1500), in_bytes(2_345_678), in_bytes(9.1e9)
    ('0 B', '1.5 kB', '2.3 MB', '9.1 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
