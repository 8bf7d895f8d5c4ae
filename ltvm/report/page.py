"""A report: one folder with a page, tables, figures and the long table."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from ltvm.errors import InputError
from ltvm.files import read_json, write_text, writing
from ltvm.report import figures
from ltvm.report import paper_table as tables
from ltvm.report.long_table import long_table_of_manifest
from ltvm.report.published import published

FLOORS = {  # what a floor is, by its split
    "test against train": "test images against training images",
    "Marchenko-Pastur": "edge of the Marchenko-Pastur law for that n and d",
    "prior draws": "as many draws of the prior",
    "chance": "the share of positives: a random score",
}
HEADLINES = (
    "fd_",
    "fid_",
    "mse_train",
    "mse_test",
    "auprc_",
)  # what figures show, at most four panels


def write_report(manifest_file: Path, reports: Path) -> Path:
    """Write ``<reports>/<name>/`` from a manifest and its records; returns that folder.

    Raises :class:`ltvm.errors.InputError` if no run has a record.
    """
    manifest = read_json(manifest_file)
    results = manifest_file.parent.parent
    table = long_table_of_manifest(manifest, results)
    if (table["status"] == "pending").all():
        raise InputError(
            f"report {manifest['name']}: none of its {len(manifest['runs'])} runs has a record in "
            f"{results}; run `{manifest['command']}` first"
        )
    folder = reports / manifest["name"]
    write_long_table(table, folder)
    metrics = tables.main_metrics(table)
    quality = tables.estimates_table(table, manifest, metrics, mark_best=True)
    costs = tables.estimates_table(
        table, manifest, [c for c in tables.COSTS if c in set(table["metric"])], mark_best=False
    )
    differences = tables.differences_table(table, manifest, metrics)
    for name, frame in (("table", quality), ("cost", costs), ("differences", differences)):
        if frame is not None:
            write_table(frame, folder / name, f"{manifest['question']} {manifest['command']}")
    pictures = draw(manifest, table, results, folder, metrics)
    page = page_text(manifest, table, quality, costs, differences, pictures)
    write_text(folder / "README.md", page)
    return folder


def write_long_table(table: pd.DataFrame, folder: Path) -> None:
    """``long.parquet`` and ``long.csv``."""
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
) -> list[tuple[str, str]]:
    """Draw what the records allow; returns (heading, file name without suffix) in order."""
    drawn: list[tuple[str, str]] = []
    done = table[table["status"] == "done"]
    if done.empty:
        return drawn
    headlines = headline_metrics(metrics)
    for data, rows in done.groupby("data", sort=False):
        suffix = f"-{data}" if table["data"].nunique() > 1 else ""
        of_data = f" on {data}"
        if tables.swept_keys(manifest):
            for key, chosen in figures.sweeps_of(manifest, rows):
                name = f"sweep-{key.split('.', 1)[-1].replace('.', '-')}{suffix}"
                keys = tables.swept_keys(manifest)
                if manifest["combine"] == "one_factor":
                    keys = [key]  # the others are at their base
                figures.sweep(chosen, key, keys, headlines, folder / name)
                drawn.append((f"Metrics against {key}{of_data}", name))
        else:
            every = table[table["data"] == data]
            names = tables.cell_names(every, manifest)
            figures.comparison(every, names, headlines, folder / f"comparison{suffix}")
            drawn.append((f"Methods compared{of_data}", f"comparison{suffix}"))
        histories = history_table(manifest, rows, results)
        curves = [c for c in histories.columns if c.endswith("_curve")]
        if curves:
            names = tables.cell_names(rows, manifest)
            file = folder / f"learning-curves{suffix}"
            figures.learning_curves(histories, names, curves, file)
            drawn.append((f"Learning curves{of_data}", f"learning-curves{suffix}"))
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
    """Samples and reconstructions of the first seed of every cell."""
    names = tables.cell_names(rows, manifest)
    first = rows.sort_values("seed", kind="stable").drop_duplicates("cell")
    paths = dict(zip(first["cell"], first["path"], strict=True))
    seed = int(first["seed"].min())
    drawn = []
    for kind, heading, columns in (
        ("samples", f"Samples from the prior, seed {seed}", 3),
        (
            "reconstructions",
            f"Images above their reconstructions, seed {seed} (upper pair training, lower unseen)",
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
    quality: pd.DataFrame,
    costs: pd.DataFrame,
    differences: pd.DataFrame | None,
    pictures: list[tuple[str, str]],
) -> str:
    """The page, in Markdown."""
    command = f"Command: `{manifest['command']}`\n"
    parts = [
        f"# {manifest['name']}\n",
        f"**{manifest['question']}**\n",
        "Mean ± half-width of the 95 % Student t interval over seeds. Bold: best, where every row "
        "is done and the paired difference to each (same seeds) has an interval without zero.\n",
        tables.to_markdown(quality) + "\n",
        command,
        *notes(table),
    ]
    if differences is not None:
        parts += [
            f"## Differences to {manifest['reference']}, paired by seed\n",
            "Negative: lower than the reference. Bold: the interval excludes zero. No correction "
            "for the number of comparisons.\n",
            tables.to_markdown(differences) + "\n",
            command,
        ]
    parts += unseen_curve(manifest, table)
    parts += [
        "## Cost\n",
        "A pass is one forward and backward through the decoder (or the VAE's encoder) per image. "
        "Peak memory is the process's so far, so later runs of one process never show less.\n",
        tables.to_markdown(costs) + "\n",
        command,
    ]
    for data in table["data"].unique():
        parts += published_text(str(data))
    parts += [f"## {heading}\n\n![{heading}]({file}.png)\n" for heading, file in pictures]
    parts += provenance(manifest, table)
    return "\n".join(parts)


def unseen_curve(manifest: dict[str, Any], table: pd.DataFrame) -> list[str]:
    """Unseen images against chain steps and restarts, where that was measured."""
    points = tables.curve_metrics(table)
    if not points:
        return []
    rows = table[table["metric"].isin(points)]
    values = tables.estimates_table(table, manifest, points, mark_best=False)
    return [
        "## Unseen images against chain steps and restarts\n",
        f"MSE per pixel, images in [-1, 1], n = {int(rows['n'].iloc[0])}: the code of least energy "
        "among so many chains of K steps from the prior; a dash where a method's inference takes "
        "no chain steps.\n",
        tables.to_markdown(values) + "\n",
        f"Command: `{manifest['command']}`\n",
    ]


def notes(table: pd.DataFrame) -> list[str]:
    """What a reader must know before comparing the numbers."""
    lines = []
    protocols = set(table["protocol"].dropna())
    if "smoke" in protocols:
        lines.append("- The smoke protocol only shows that everything runs: ignore its numbers.")
    floors = table[table["metric"].fillna("").str.endswith("_floor")]
    for metric, rows in floors.groupby("metric"):
        n = rows["n"].dropna()
        size = f", n = {int(n.iloc[0])}" if len(n) else ""
        ours = table[table["metric"] == str(metric).removesuffix("_floor")]["n"].dropna()
        if len(n) and len(ours) and set(ours) != set(n):
            size += "; another n than the values': not comparable"
        base = tables.title(str(metric).removesuffix("_floor"))
        split = str(rows["split"].iloc[0]) if "split" in rows else ""
        what = FLOORS.get(split, "two draws of the prior")
        lines.append(f"- Floor of {base}: {rows['value'].mean():.4g} ({what}{size}).")
    if "mse_train" in set(table["metric"]):
        lines.append(
            "- MSE of training images is that of their own codes as training leaves them: blended "
            "with the prior after a correction, a chain's last state, a VAE's posterior mean. No "
            "best is marked."
        )
        lines.append(
            "- MSE of unseen images: a chain's last state includes its noise, a VAE decodes its "
            "posterior mean, for which restarts change nothing."
        )
        lines.append("- Codes are compared with the prior as inferred, before the last correction.")
    sizes = table.dropna(subset=["metric", "n"]).groupby("metric")
    for metric, rows in sizes:
        if str(metric).endswith("_floor") or tables.CURVE.fullmatch(str(metric)):
            continue
        extractor = rows["extractor"].dropna()
        features = (
            f", extractor {extractor.iloc[0]} ({rows['checksum'].iloc[0][:12]})"
            if len(extractor)
            else ""
        )
        lines.append(
            f"- {tables.title(str(metric))}: n = {int(rows['n'].iloc[0])}, "
            f"{rows['split'].iloc[0]} split{features}."
        )
    for column in ("device", "execution", "fingerprint", "commit"):
        mixed = mixed_values(table, column)
        lines += [f"- Mixed {column} on {data}: {', '.join(v)}." for data, v in mixed.items()]
    unfinished = table[table["status"].isin(["diverged", "failed", "interrupted"])]
    for _, row in unfinished.drop_duplicates("path").iterrows():
        lines.append(f"- `{row['path']}` {row['status']}: {row['reason']}")
    return [*lines, ""]


def mixed_values(table: pd.DataFrame, column: str) -> dict[str, list[str]]:
    """Data set -> the values of a column, where there are several on one data set.

    Images differ by design between values of a swept key of the data.
    """
    swept = tables.data_keys(table) if column == "fingerprint" else ["data"]
    mixed: dict[str, list[str]] = {}
    for _, rows in table.dropna(subset=[column]).groupby(swept, sort=False, dropna=False):
        values = [str(value) for value in rows[column].unique()]
        if len(values) > 1:
            mixed[str(rows["data"].iloc[0])] = values
    return mixed


def published_text(data: str) -> list[str]:
    """The published figures for a data set; never mixed into our own columns."""
    rows = published(data)
    if rows.empty:
        return [f"## As published, {data}\n\nNo published figures for this data set.\n"]
    shown = rows.drop(columns=["resolution"]).astype(object).fillna("").map(str)
    return [
        f"## As published, {data}\n",
        "Other implementations, extractors and sample sizes: published re-runs of one method "
        "differ by a factor of two. Not measured here.\n",
        tables.to_markdown(shown) + "\n",
    ]


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
