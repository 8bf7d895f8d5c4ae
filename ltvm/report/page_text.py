"""The page of a report, in Markdown: what is asked, the tables, and where each number is from."""

from __future__ import annotations

import shlex
from typing import Any

import pandas as pd

from ltvm.report.cells import cell_names, crossed_key
from ltvm.report.comparability import Marks
from ltvm.report.declared import columns_of, names_of
from ltvm.report.notes import either, notes, sentence
from ltvm.report.published import published, published_frames
from ltvm.report.statistics import RESAMPLES, UNCORRECTED
from ltvm.report.writers import to_markdown

MEANINGS = {
    "t": "Mean ± half-width of the 95 % Student t interval over seeds.",
    "bootstrap": f"Mean [95 % bootstrap interval over seeds: BCa, {RESAMPLES:,} seeded resamples; "
    "too narrow for a handful of seeds].",
}
IMPROVEMENT = (
    "How probably a row is better than the reference at the same seed, with its exact "
    "(Clopper-Pearson) 95 % interval; 0.5: neither. A tie counts half. Not corrected for "
    "the number of comparisons.\n"
)
RESAMPLING = (
    "Standard deviation over seeds (other weights, data order and samples), and over draws "
    "of the samples alone at a fixed model, which the first contains (a jackknife: up to "
    "half too large where a distance is little more than its bias).\n"
)
COST = (
    "A pass is one forward and backward through the decoder (or the VAE's encoder) per image. "
    "Peak memory is the process's so far, so later runs of one process never show less.\n"
)
PUBLISHED = (
    "Other implementations, extractors and sample sizes: published re-runs of one method "
    "differ by a factor of two. Not measured here.\n"
)
Families = dict[str, pd.DataFrame]  # family, or "" -> table


def page_text(
    manifest: dict[str, Any],
    table: pd.DataFrame,
    shown: dict[str, Families],
    pictures: list[tuple[str, str]],
    marks: Marks,
    interval: str,
) -> str:
    """The page; ``shown`` has its tables by name, ``pictures`` (heading, file without suffix)."""
    parts = [
        f"# {manifest['name']}\n",
        f"**{manifest['question']}**\n",
        f"{MEANINGS[interval]} Bold: best, where every row "
        "is done and the paired difference to each (same seeds) has "
        + ("an interval without zero.\n" if interval == "t" else "a t interval without zero.\n"),
        *crossed_text(manifest, shown.get("crossed", {})),
        *tables_text(shown["table"]),
        command_text(manifest),
        *notes(table, marks, cell_names(table, manifest)),
    ]
    for name, heading, text in sections(manifest, table, shown, interval):
        parts += [f"## {heading}\n", text, *tables_text(shown[name]), command_text(manifest)]
    for data in table["data"].unique():
        parts += published_text(str(data))
    parts += [f"## {heading}\n\n![{heading}]({file}.png)\n" for heading, file in pictures]
    return "\n".join([*parts, *provenance(manifest, table)])


def sections(
    manifest: dict[str, Any], table: pd.DataFrame, shown: dict[str, Families], interval: str
) -> list[tuple[str, str, str]]:
    """(table, heading, what to know of it) of every table below the first that is there."""
    reference = manifest["reference"]
    comparisons = len(next(iter(shown["differences"].values()))) if "differences" in shown else 0
    texts = (
        (
            "differences",
            f"Differences to {reference}, paired by seed",
            differences_text(comparisons, interval),
        ),
        ("improvement", f"Probability of improvement over {reference}", IMPROVEMENT),
        ("resampling", "Spread over seeds, and over draws of the sample", RESAMPLING),
        ("points", "Points of grids", points_text(table)),
        ("cost", "Cost", COST),
    )
    return [section for section in texts if section[0] in shown]


def command_text(manifest: dict[str, Any]) -> str:
    return f"Command: `{manifest['command']}`\n"


def tables_text(families: Families) -> list[str]:
    """One table, or several under the names of their families."""
    parts = []
    for family, frame in families.items():
        parts += [f"### {family[0].upper() + family[1:]}\n"] if family else []
        parts.append(to_markdown(frame) + "\n")
    return parts


def differences_text(comparisons: int, interval: str) -> str:
    """What is bold among the differences."""
    if comparisons > UNCORRECTED:
        return (
            "Negative: lower than the reference. Bold: a paired t test finds a difference at the "
            f"5 % level after Holm's correction for the {comparisons} comparisons of its column; "
            "the intervals are not corrected.\n"
        )
    excludes = "the interval" if interval == "t" else "the t interval (not the one shown)"
    return (
        f"Negative: lower than the reference. Bold: {excludes} excludes zero. No correction "
        "for the number of comparisons.\n"
    )


def points_text(table: pd.DataFrame) -> str:
    """What the points are, in their metrics' words, and of how many images."""
    columns = columns_of(table)
    points = names_of(columns, "point")
    said = [sentence(columns[metric].definition) for metric in points]
    rows = table[table["metric"].isin(points)]
    sizes = [int(n) for n in sorted(rows["n"].dropna().unique())] if "n" in rows else []
    text = [*dict.fromkeys(said), *([f"n = {either(sizes)}."] if sizes else [])]
    return " ".join([*text, "A dash where a method has none."]) + "\n"


def crossed_text(manifest: dict[str, Any], crossed: Families) -> list[str]:
    """Methods by values of the one swept key, a table for each metric."""
    key = crossed_key(manifest)
    return tables_text({f"{heading} by {key}": frame for heading, frame in crossed.items()})


def published_text(data: str) -> list[str]:
    """The published figures for a data set; never mixed into our own columns."""
    rows = published(data)
    if rows.empty:
        return [f"## As published, {data}\n\nNo published figures for this data set.\n"]
    frames = [to_markdown(frame) + "\n" for frame in published_frames(rows)]
    return [f"## As published, {data}\n", PUBLISHED, *frames]


def provenance(manifest: dict[str, Any], table: pd.DataFrame) -> list[str]:
    """Where every number comes from."""
    records = table.dropna(subset=["identity"])
    lines = ["## Provenance\n"]
    for column in ("device", "execution", "torch", "commit", "fingerprint", "evaluation_name"):
        values = list(records[column].dropna().unique()) if column in records else []
        text = ", ".join(map(str, values))
        lines.append(f"- {column.replace('_name', '')}: {text or 'unknown'}")
    lines += ["", "Every run, with its record and the command that does it alone:\n"]
    lines += ["| status | record | command |", "| --- | --- | --- |"]
    commands = {entry["path"]: entry["command"] for entry in manifest["runs"]}
    for path, rows in table.groupby("path", sort=False):
        status = rows["status"].iloc[0]
        lines.append(f"| {status} | `{path}/record.json` | `{commands[str(path)]}` |")
    lines += [
        "",
        f"Rebuild this page without training: `ltvm report {shlex.quote(manifest['name'])}`. "
        "The long table is `long.parquet` and `long.csv`.\n",
    ]
    return lines
