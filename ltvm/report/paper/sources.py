"""What a table is made of: the cells of an ablation as it is defined, done or not.

ablation and overrides -> its runs, at the precision that records have -> manifest, long table
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from ltvm.report.comparisons.hypotheses import OUTSTANDING, outstanding_cells
from ltvm.report.values.cells import cell_names
from ltvm.report.values.comparability import Marks, differences, marks_of
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.ablation import PlannedRun, plan
from ltvm.runs.ablations.manifest import manifest_of
from ltvm.runs.files.reading import Files
from ltvm.runs.files.store import Store
from ltvm.runs.identity import identity
from ltvm.runtime.commands import command_line
from ltvm.runtime.precision import Precision


@dataclass(frozen=True)
class Source:
    """One ablation's part in a table; ``command`` makes all of it."""

    command: str
    results: Path
    manifest: dict[str, Any]
    table: pd.DataFrame
    marks: Marks
    precision: str

    @property
    def protocol(self) -> str:
        """``mnist5k at small, seeds 0, 1, 2, float32``"""
        runs = self.manifest["runs"]
        places = dict.fromkeys(f"{run['data']} at {run['protocol']}" for run in runs)
        seeds = ", ".join(map(str, self.manifest["seeds"]))
        several = "s" if len(self.manifest["seeds"]) > 1 else ""
        return f"{', '.join(places)}, seed{several} {seeds}, {self.precision}"

    @property
    def whole(self) -> bool:
        """Whether nothing of it is to come: else nothing is marked, since what is tested may grow.

        What diverged is final.
        """
        return not outstanding_cells(self.table)

    def not_done(self) -> Iterator[tuple[dict[str, Any], str, str]]:
        """Runs of the manifest that are not done, each with its cell's name and its status."""
        rows = self.table.drop_duplicates(["cell", "seed"])
        statuses = {
            (c, s): t for c, s, t in zip(rows["cell"], rows["seed"], rows["status"], strict=True)
        }
        names = cell_names(self.table, self.manifest)
        for run in self.manifest["runs"]:
            status = statuses[run["cell"], run["seed"]]
            if status != "done":
                yield run, names[run["cell"]], status

    def missing(self) -> dict[str, tuple[list[int], str]]:
        """What is to come, in words -> its seeds, and the command of the first of them."""
        found: dict[str, tuple[list[int], str]] = {}
        for run, cell, status in self.not_done():
            if status in OUTSTANDING:
                name = cell + ("" if status == "pending" else f" ({status})")
                found.setdefault(name, ([], run["command"]))[0].append(run["seed"])
        return found

    def diverged(self) -> list[str]:
        """``VAE, seed 2``: a row for each run that diverged."""
        return [
            f"{cell}, seed {run['seed']}"
            for run, cell, status in self.not_done()
            if status not in OUTSTANDING
        ]


def source(words: Sequence[str], overrides: Sequence[str], results: Path, files: Files) -> Source:
    """An ablation with its overrides, and what ``results`` has of it.

    Raises :class:`ltvm.errors.InputError` for what is no ablation.
    """
    planned = plan([*words, *overrides, f"paths.results={results}"])
    runs = at_known_precision(planned.runs, [*words, *overrides])
    runs = [without_place(run) for run in runs]
    manifest = manifest_of(dataclasses.replace(planned, runs=tuple(runs)), results)
    table = long_table_of_manifest(manifest, results, files)
    precision = ", ".join(dict.fromkeys(str(run.config["precision"]) for run in runs))
    found = differences(table, cell_names(table, manifest), manifest["axes"])
    command = command_line("ablate", *words, *overrides)
    manifest["command"] = command
    return Source(command, results, manifest, table, marks_of(table, found), precision)


def at_known_precision(runs: Sequence[PlannedRun], given: Sequence[str]) -> list[PlannedRun]:
    """The runs at the precision of which there are most records: a table is made anywhere.

    Of equally many, float32. That of this device where there are none, or the user has chosen one.
    """
    if any(override.startswith("precision=") for override in given):
        return list(runs)
    every = [[at(run, precision) for run in runs] for precision in get_args(Precision)]
    counts = [sum(run.run.record_file.is_file() for run in own) for own in every]
    return every[counts.index(max(counts))] if max(counts) else list(runs)


def at(planned: PlannedRun, precision: str) -> PlannedRun:
    """The same run at another precision."""
    config = {**planned.config, "precision": precision}
    own = [o for o in planned.overrides if not o.startswith("precision=")]
    return dataclasses.replace(
        planned,
        config=config,
        overrides=(*own, f"precision={precision}"),
        run=Store(Path(config["paths"]["results"])).run(config),
        cell=planned.cell.replace(identity(planned.config), identity(config)),
    )


def without_place(planned: PlannedRun) -> PlannedRun:
    """The same run, whose command does not say where results are."""
    own = tuple(o for o in planned.overrides if not o.startswith("paths.results="))
    return dataclasses.replace(planned, overrides=own)
