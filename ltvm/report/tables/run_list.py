"""The runs of a report one by one: their headline values, their files, and what does each alone."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from ltvm.report.values.cells import cell_names
from ltvm.report.values.declared import columns_of, headings, headline_metrics
from ltvm.runs.files.store import Run

LISTED = 500  # runs that a page lists; more have a file of their own
RUNS = "runs.md"
FARTHEST = 3  # folders up from a report to results that are linked: reports/reference/NAME
DIGITS = 5  # significant ones, of the value of one run


def link_base(folder: Path, results: Path) -> str | None:
    """The way from a report's folder to the results, or None where they are not side by side.

    A page should not name directories of one machine.
    """
    places = [results.absolute(), folder.absolute()]
    way = os.path.relpath(*places)
    near = Path(way).parts.count("..") <= FARTHEST
    return way if near and os.path.commonpath(places) != places[0].anchor else None


def report_command(name: str, base: str | None) -> str:
    """What rebuilds a report, where results are below ``base`` as seen from its page.

    >>> report_command("ot", "../../results"), report_command("ot", "../../../results/reference")
    ('ltvm report ot', 'ltvm report ot --results results/reference')
    """
    below = [part for part in Path(base or "results").parts if part != ".."]
    where = "/".join(below)
    other = "" if where == "results" else f" --results {shlex.quote(where)}"
    return f"ltvm report {shlex.quote(name)}{other}"


def run_lines(manifest: dict[str, Any], table: pd.DataFrame, base: str | None) -> list[str]:
    """A Markdown table of all rows at all seeds.

    ``base`` leads from the page to the results directory; without it files are named, not linked.
    """
    columns = columns_of(table)
    chosen = headline_metrics(columns)
    titles = headings(columns)
    heads = ["row", "seed", "status", *(titles[m] for m in chosen), "files", "command"]
    lines = [line(heads), line(["---"] * len(heads))]
    names = cell_names(table, manifest)
    statuses = table.drop_duplicates(["cell", "seed"]).set_index(["cell", "seed"])["status"]
    values = table.drop_duplicates(["cell", "seed", "metric"])
    found = values.set_index(["cell", "seed", "metric"])["value"].to_dict()
    for entry in manifest["runs"]:
        key = (entry["cell"], entry["seed"])
        numbers = [number(found.get((*key, metric))) for metric in chosen]
        status = str(statuses[key])
        where = files(entry, base if status == "done" else None)
        said = [names[entry["cell"]], str(entry["seed"]), status, *numbers, where]
        lines.append(line([*said, f"`{entry['command']}`"]))
    return lines


def line(texts: list[str]) -> str:
    cells = [text.replace("|", r"\|") for text in texts]
    return f"| {' | '.join(cells)} |"


def number(value: float | None) -> str:
    return "-" if value is None or pd.isna(value) else f"{value:.{DIGITS}g}"


def files(entry: dict[str, Any], base: str | None) -> str:
    """The record of a manifest's run, its configuration, and the evaluations with its values."""
    run = Run(Path(entry["path"]))
    every = {"record": run.record_file, "configuration": run.config_file}
    several = len(entry["evaluations"]) > 1
    for place, identity in enumerate(entry["evaluations"], start=1):
        every[f"evaluation {place}" if several else "evaluation"] = run.evaluation_file(identity)
    if base is None:
        return f"`{every['record'].as_posix()}`"
    return ", ".join(f"[{name}]({base}/{file.as_posix()})" for name, file in every.items())
