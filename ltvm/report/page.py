"""A report: one folder with a page, tables, figures and the long table."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from ltvm.errors import InputError, require
from ltvm.report import figures, tables
from ltvm.report.against_reference import differences_table, improvement_table
from ltvm.report.comparability import Marks, differences, refuse_mixed, warned_cells
from ltvm.report.long_table import long_table_of_manifest
from ltvm.report.notes import either, notes
from ltvm.report.published import published
from ltvm.report.resampling_table import resampling_table
from ltvm.report.statistics import INTERVALS, RESAMPLES, UNCORRECTED
from ltvm.runtime.files import read_json, write_text, writing

MEANINGS = {
    "t": "Mean ± half-width of the 95 % Student t interval over seeds.",
    "bootstrap": f"Mean [95 % bootstrap interval over seeds: BCa, {RESAMPLES:,} seeded resamples; "
    "too narrow for a handful of seeds].",
}
# What figures show, at most four panels.
PICTURES = 9  # cells whose pictures are shown
DETECTION = ("auprc_", "auroc_")
HEADLINES = ("fd_", "fid_", "mse_train", "mse_test", "auprc_")


def write_report(
    manifest_file: Path, reports: Path, allow_mixed: bool = False, interval: str = "t"
) -> Path:
    """Write ``<reports>/<name>/`` from a manifest and its records; returns that folder.

    ``allow_mixed`` marks numbers of different provenance in one column; ``interval`` over seeds
    is ``t`` or ``bootstrap``. Raises :class:`ltvm.errors.InputError` if no run has a record, and
    without ``allow_mixed`` if provenance differs and no sweep is the reason.
    """
    require(interval in INTERVALS, "--interval", interval, ", ".join(INTERVALS))
    manifest = read_json(manifest_file)
    results = manifest_file.parent.parent
    table = long_table_of_manifest(manifest, results)
    if (table["status"] == "pending").all():
        raise InputError(
            f"report {manifest['name']}: none of its {len(manifest['runs'])} runs has a record in "
            f"{results}; run `{manifest['command']}` first"
        )
    found = differences(table, tables.cell_names(table, manifest), manifest["axes"])
    if not allow_mixed:
        refuse_mixed(found, manifest["name"])
    marks = Marks(found, warned_cells(table))
    folder = reports / manifest["name"]
    write_long_table(table, folder)
    metrics = tables.main_metrics(table)
    costs = [c for c in tables.COSTS if c in set(table["metric"])]
    quality = tables.estimates_table(table, manifest, metrics, True, marks, interval)
    frames = {
        "table": quality,
        "cost": tables.estimates_table(table, manifest, costs, False, interval=interval),
        "differences": differences_table(table, manifest, metrics, marks, interval),
        "improvement": improvement_table(table, manifest, metrics, marks),
        "resampling": resampling_table(table, manifest, metrics),
    }
    points = tables.curve_metrics(table)
    if points:
        frames["unseen"] = tables.estimates_table(table, manifest, points, False, marks, interval)
    shown = {
        name: tables.by_family(frame, metrics)
        for name, frame in frames.items()
        if frame is not None
    }
    if tables.crossed_key(manifest) is not None:
        crossed = [m for m in metrics if m.startswith(DETECTION)] or headline_metrics(metrics)
        shown["crossed"] = {
            tables.title(m): tables.crossed_table(table, manifest, quality, m) for m in crossed
        }
    for name, families in shown.items():
        for family, frame in families.items():
            file = folder / file_name(name, family)
            write_table(frame, file, f"{manifest['question']} {manifest['command']}")
    pictures = draw(manifest, table, results, folder, metrics, marks, interval)
    page = page_text(manifest, table, shown, pictures, marks, interval)
    write_text(folder / "README.md", page)
    return folder


def write_long_table(table: pd.DataFrame, folder: Path) -> None:
    """``long.parquet`` and ``long.csv``.

    Older records, whose numbers state no ``numerics``, get no column ``provenance``.
    """
    if "provenance" in table and not table["provenance"].str.contains('"numerics"').any():
        table = table.drop(columns="provenance")
    # A swept key may mix kinds (a solver's name, null): parquet columns hold one.
    mixed = table.apply(lambda column: column.dropna().map(type).nunique() > 1)
    uniform = table.astype(dict.fromkeys(table.columns[mixed], "string"))
    with writing(folder / "long.parquet") as file:
        uniform.to_parquet(file, index=False)
    write_text(folder / "long.csv", table.to_csv(index=False))


def write_table(frame: pd.DataFrame, path: Path, caption: str) -> None:
    write_text(path.with_suffix(".md"), tables.to_markdown(frame) + "\n")
    write_text(path.with_suffix(".tex"), tables.to_latex(frame, caption))
    plain = frame.map(lambda text: str(text).replace("**", ""))
    write_text(path.with_suffix(".csv"), plain.to_csv(index=False))


def headline_metrics(metrics: list[str]) -> list[str]:
    chosen = [m for m in metrics if m.startswith(HEADLINES)]
    return [m for m in chosen if "best" not in m][:4] or metrics[:3]


def draw(
    manifest: dict[str, Any],
    table: pd.DataFrame,
    results: Path,
    folder: Path,
    metrics: list[str],
    marks: Marks,
    interval: str,
) -> list[tuple[str, str]]:
    """Draw what the records allow; returns (heading, file name without suffix) in order."""
    drawn: list[tuple[str, str]] = []
    done = table[table["status"] == "done"]
    if done.empty:
        return drawn
    headlines = {m: tables.title(m) + marks.panel_sign(m) for m in headline_metrics(metrics)}
    for data, rows in done.groupby("data", sort=False):
        suffix = f"-{data}" if table["data"].nunique() > 1 else ""
        of_data = f" on {data}"
        if tables.swept_keys(manifest):
            for key, chosen in figures.sweeps_of(manifest, rows):
                name = f"sweep-{key.split('.', 1)[-1].replace('.', '-')}{suffix}"
                keys = tables.swept_keys(manifest)
                if manifest["combine"] == "one_factor":
                    keys = [key]  # the others are at their base
                figures.sweep(chosen, key, keys, headlines, folder / name, interval)
                drawn.append((f"Metrics against {key}{of_data}", name))
        else:
            every = table[table["data"] == data]
            names = tables.cell_names(every, manifest)
            file = folder / f"comparison{suffix}"
            figures.comparison(every, names, headlines, file, interval)
            drawn.append((f"Methods compared{of_data}", f"comparison{suffix}"))
        histories = history_table(manifest, rows, results)
        curves = [c for c in histories.columns if c.endswith("_curve")]
        if curves:
            names = tables.cell_names(rows, manifest)
            file = folder / f"learning-curves{suffix}"
            figures.learning_curves(histories, names, curves, file, interval)
            drawn.append((f"Learning curves{of_data}", f"learning-curves{suffix}"))
            effects = folder / f"correction{suffix}"
            if figures.correction_effects(histories, names, effects, interval):
                heading = f"Codes before and after each correction{of_data}"
                drawn.append((heading, f"correction{suffix}"))
        drawn += draw_pictures(manifest, rows, results, folder, suffix)
    return drawn


def history_table(manifest: dict[str, Any], rows: pd.DataFrame, results: Path) -> pd.DataFrame:
    """The histories of all runs that have one, with their cell, method and seed."""
    wanted = set(rows["path"])
    parts = []
    for entry in manifest["runs"]:
        file = results / entry["path"] / "history.csv"
        if entry["path"] in wanted and file.is_file():
            history = pd.read_csv(file)
            parts.append(
                history.assign(cell=entry["cell"], method=entry["method"], seed=entry["seed"])
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def draw_pictures(
    manifest: dict[str, Any], rows: pd.DataFrame, results: Path, folder: Path, suffix: str
) -> list[tuple[str, str]]:
    """Samples and reconstructions of the first seed of every cell.

    Of more than ``PICTURES`` cells, the first of each method, or the first few of one method.
    """
    names = tables.cell_names(rows, manifest)
    first = rows.sort_values("seed", kind="stable").drop_duplicates("cell")
    cells = len(first)
    if cells > PICTURES:
        first = first.drop_duplicates("method") if first["method"].nunique() > 1 else first
        first = first.head(PICTURES)
    paths = dict(zip(first["cell"], first["path"], strict=True))
    names = {cell: name for cell, name in names.items() if cell in paths}
    some = f", {len(names)} of {cells} cells" if len(names) < cells else ""
    seed = int(first["seed"].min())
    drawn = []
    for kind, heading, columns in (
        ("samples", f"Samples from the prior, seed {seed}{some}", 3),
        (
            "reconstructions",
            f"Images above their reconstructions, seed {seed}{some} "
            "(upper pair training, lower unseen)",
            2,
        ),
    ):
        files = [(names[c], results / paths[c] / f"{kind}.png") for c in names]
        files = [(name, file) for name, file in files if file.is_file()]
        if files:
            path = folder / f"{kind}{suffix}"
            figures.picture_rows(files, heading, path, min(columns, len(files)))
            drawn.append((heading, f"{kind}{suffix}"))
    return drawn


def page_text(
    manifest: dict[str, Any],
    table: pd.DataFrame,
    shown: dict[str, dict[str, pd.DataFrame]],
    pictures: list[tuple[str, str]],
    marks: Marks,
    interval: str,
) -> str:
    """The page, in Markdown."""
    command = f"Command: `{manifest['command']}`\n"
    parts = [
        f"# {manifest['name']}\n",
        f"**{manifest['question']}**\n",
        f"{MEANINGS[interval]} Bold: best, where every row "
        "is done and the paired difference to each (same seeds) has "
        + ("an interval without zero.\n" if interval == "t" else "a t interval without zero.\n"),
        *crossed_text(manifest, shown.get("crossed", {})),
        *tables_text(shown["table"]),
        command,
        *notes(table, marks, tables.cell_names(table, manifest)),
    ]
    if "differences" in shown:
        parts += [
            f"## Differences to {manifest['reference']}, paired by seed\n",
            differences_text(len(next(iter(shown["differences"].values()))), interval) + "\n",
            *tables_text(shown["differences"]),
            command,
        ]
    if "improvement" in shown:
        parts += [
            f"## Probability of improvement over {manifest['reference']}\n",
            "How probably a row is better than the reference at the same seed, with its exact "
            "(Clopper-Pearson) 95 % interval; 0.5: neither. A tie counts half. Not corrected for "
            "the number of comparisons.\n",
            *tables_text(shown["improvement"]),
            command,
        ]
    if "resampling" in shown:
        parts += [
            "## Spread over seeds, and over draws of the sample\n",
            "Standard deviation over seeds (other weights, data order and samples), and over draws "
            "of the samples alone at a fixed model, which the first contains (a jackknife: up to "
            "half too large where a distance is little more than its bias).\n",
            *tables_text(shown["resampling"]),
            command,
        ]
    if "unseen" in shown:
        n = table[table["metric"].isin(tables.curve_metrics(table))]["n"].dropna().unique()
        sizes = either(int(x) for x in sorted(n))
        parts += [
            "## Unseen images against chain steps and restarts\n",
            f"MSE per pixel, images in [-1, 1], n = {sizes}: the code of least energy "
            "among so many chains of K steps from the prior; a dash where a method's "
            "inference takes no chain steps.\n",
            *tables_text(shown["unseen"]),
            command,
        ]
    parts += [
        "## Cost\n",
        "A pass is one forward and backward through the decoder (or the VAE's encoder) per image. "
        "Peak memory is the process's so far, so later runs of one process never show less.\n",
        *tables_text(shown["cost"]),
        command,
    ]
    for data in table["data"].unique():
        parts += published_text(str(data))
    parts += [f"## {heading}\n\n![{heading}]({file}.png)\n" for heading, file in pictures]
    parts += provenance(manifest, table)
    return "\n".join(parts)


def file_name(name: str, family: str) -> str:
    """``table``, ``table-generation``, ``crossed-auprc-digit-left-out``"""
    return "-".join([name, *re.findall(r"[a-z0-9]+", family.lower())])


def tables_text(families: dict[str, pd.DataFrame]) -> list[str]:
    """One table, or several under the names of their families."""
    parts = []
    for family, frame in families.items():
        parts += [f"### {family[0].upper() + family[1:]}\n"] if family else []
        parts.append(tables.to_markdown(frame) + "\n")
    return parts


def differences_text(comparisons: int, interval: str) -> str:
    """What is bold among the differences."""
    if comparisons > UNCORRECTED:
        return (
            "Negative: lower than the reference. Bold: a paired t test finds a difference at the "
            f"5 % level after Holm's correction for the {comparisons} comparisons of its column; "
            "the intervals are not corrected."
        )
    excludes = "the interval" if interval == "t" else "the t interval (not the one shown)"
    return (
        f"Negative: lower than the reference. Bold: {excludes} excludes zero. No correction "
        "for the number of comparisons."
    )


def crossed_text(manifest: dict[str, Any], crossed: dict[str, pd.DataFrame]) -> list[str]:
    """Methods by values of the one swept key, a table for each metric."""
    key = tables.crossed_key(manifest)
    return tables_text({f"{heading} by {key}": frame for heading, frame in crossed.items()})


def published_text(data: str) -> list[str]:
    """The published figures for a data set; never mixed into our own columns."""
    rows = published(data)
    if rows.empty:
        return [f"## As published, {data}\n\nNo published figures for this data set.\n"]
    shown = published_frame(rows)
    return [
        f"## As published, {data}\n",
        "Other implementations, extractors and sample sizes: published re-runs of one method "
        "differ by a factor of two. Not measured here.\n",
        tables.to_markdown(shown) + "\n",
    ]


def published_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Published rows as they are; one column for each digit where a digit is left out."""
    plain = rows.drop(columns=["resolution"]).astype(object).fillna("").map(str)
    if not rows["metric"].str.fullmatch(r"auprc_heldout_\d").all():
        return plain
    texts = [
        f"{value:.3f}" + ("" if pd.isna(spread) else f" ± {spread:.3f}")
        for value, spread in zip(rows["value"], rows["std"], strict=True)
    ]
    pivot = plain.assign(text=texts).pivot_table(
        index=[c for c in plain.columns if c not in ("metric", "value", "std")],
        columns="metric", values="text", aggfunc="first", sort=False,
    )  # fmt: skip
    return pivot.reset_index().rename_axis(columns=None)


def provenance(manifest: dict[str, Any], table: pd.DataFrame) -> list[str]:
    """Where every number comes from."""
    records = table.dropna(subset=["identity"]).drop_duplicates("path")
    lines = ["## Provenance\n"]
    for column in ("device", "execution", "torch", "commit", "fingerprint"):
        values = ", ".join(str(v) for v in records[column].dropna().unique())
        lines.append(f"- {column}: {values or 'unknown'}")
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
