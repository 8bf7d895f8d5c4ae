"""From the long table to paper-style tables: Markdown, LaTeX and CSV."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from ltvm.report.statistics import (
    Estimate,
    best_keys,
    format_estimate,
    mean_interval,
    paired_difference,
)

FEATURES = {
    "digits": "digit features",
    **{f"inception{d}": f"Inception-{d}" for d in (2048, 768, 192, 64)},
}


def feature_titles(feature: str, words: str) -> dict[str, str]:
    """Titles of what is measured beside the Frechet distance on the same features."""
    distance = ("fd_" if feature == "digits" else "fid_") + feature
    return {
        f"{distance}_infinity": f"FD-infinity, {words} ↓",
        f"{distance}_error": f"resampling error of FD, {words}",
        f"kid_{feature}": f"KID, {words} ↓",
        f"kid_{feature}_sd": f"sd of KID over subsets, {words}",
        **{
            f"{kind}_{feature}": f"{kind}, {words} ↑"
            for kind in ("precision", "recall", "density", "coverage")
        },
    }


TITLES = {
    "fd_digits": "FD, digit features ↓",
    "fid_inception2048": "FID ↓",
    "fid_inception768": "FID-768 ↓",
    "fid_inception192": "FID-192 ↓",
    "fid_inception64": "FID-64 ↓",
    **{k: v for feature in FEATURES.items() for k, v in feature_titles(*feature).items()},
    "mse_train": "MSE, training images, own codes",
    "mse_test": "MSE, unseen images ↓",
    "mse_test_best3": "MSE, unseen, best of 3 restarts ↓",
    "latent_energy": "mean abs(z)²/d (prior: 1)",
    "latent_sliced_w2": "sliced W2 to prior ↓",
    "transport_cost": "transport cost to prior ↓",
    "transport_gap": "certified gap of that cost",
    "passes": "passes per image",
    "decoder_updates": "decoder updates",
    "inference_seconds": "inference, s",
    "transport_seconds": "transport, s",
    "learning_seconds": "learning, s",
    "evaluation_seconds": "evaluation, s",
    "training_seconds": "training, s",
    "peak_memory_mb": "peak memory, MB",
    "peak_gpu_memory_mb": "peak GPU memory, MB",
}
COSTS = (
    "passes", "decoder_updates", "inference_seconds", "transport_seconds", "learning_seconds",
    "training_seconds", "evaluation_seconds", "peak_memory_mb", "peak_gpu_memory_mb",
)  # fmt: skip


def title(metric: str) -> str:
    return TITLES.get(metric, metric)


def main_metrics(table: pd.DataFrame) -> list[str]:
    """Quality metrics present, headline ones (with a better direction) in the order of TITLES."""
    present = [m for m in table["metric"].dropna().unique() if m not in COSTS]
    present = [m for m in present if not m.endswith("_floor")]
    order = list(TITLES)
    return sorted(present, key=lambda m: order.index(m) if m in order else len(order))


def swept_keys(manifest: dict[str, Any]) -> list[str]:
    return [key for key in manifest["axes"] if key not in ("method", "data")]


def cell_names(table: pd.DataFrame, manifest: dict[str, Any]) -> dict[str, str]:
    """A name for every cell: its method's label and its swept values."""
    several_data = table["data"].nunique() > 1
    several_methods = table["method"].nunique() > 1
    keys = swept_keys(manifest)
    names: dict[str, str] = {}
    for cell, rows in table.groupby("cell", sort=False):
        first = rows.iloc[0]
        parts = [str(first["data"])] if several_data else []
        if several_methods or not keys:
            parts.append(str(first["label"] or first["method"]))
        swept = [key for key in keys if not pd.isna(first[key])]
        parts += [f"{key.split('.', 1)[-1]} = {value_text(first[key])}" for key in swept]
        names[str(cell)] = ", ".join([*parts, *filter(None, [first.get("note")])])
    repeated = [name for name, count in Counter(names.values()).items() if count > 1]
    return {c: f"{name} [{c}]" if name in repeated else name for c, name in names.items()}


def value_text(value: Any) -> str:
    if isinstance(value, float) and not isinstance(value, bool):
        return f"{value:g}"
    return str(value)


def by_cell(table: pd.DataFrame, metric: str) -> dict[str, dict[int, float]]:
    """cell -> seed -> value of one metric."""
    chosen = table[table["metric"] == metric]
    return {
        str(cell): {int(s): float(v) for s, v in zip(rows["seed"], rows["value"], strict=True)}
        for cell, rows in chosen.groupby("cell", sort=False)
    }


def estimates_table(
    table: pd.DataFrame, manifest: dict[str, Any], metrics: list[str], mark_best: bool
) -> pd.DataFrame:
    """One row per cell, one column per metric, texts such as ``457 ± 12``.

    A cell whose runs are not all done says so in the column ``runs``; a cell without any value
    keeps its row. The best value of a column is in ``**``, where ``best_keys`` finds one among
    cells that are all done.
    """
    names = cell_names(table, manifest)
    columns: dict[str, dict[str, str]] = {"runs": {c: runs_text(table, c) for c in names}}
    direction = dict(
        table.dropna(subset=["metric"]).groupby("metric")["lower_is_better"].first()
        if "lower_is_better" in table
        else {}
    )
    groups = cells_by_data(table)
    unfinished = (table["status"] != "done").groupby(table["cell"]).sum()
    for metric in metrics:
        values = by_cell(table, metric)
        marked: list[str] = []
        better = direction.get(metric)
        if mark_best and better is not None and not pd.isna(better):
            for cells in groups:
                if all(unfinished[cell] == 0 and cell in values for cell in cells):
                    marked += best_keys({c: values[c] for c in cells}, bool(better))
        columns[title(metric)] = {
            cell: format_estimate(mean_interval(list(values[cell].values())), cell in marked)
            if cell in values
            else "-"
            for cell in names
        }
    frame = pd.DataFrame(columns).reindex(list(names))
    frame.index = pd.Index([names[cell] for cell in frame.index], name="cell")
    return frame.reset_index()


def cells_by_data(table: pd.DataFrame) -> list[list[str]]:
    """Cells grouped by data set: values on different data do not compete."""
    return [
        [str(cell) for cell in rows["cell"].unique()]
        for _, rows in table.groupby("data", sort=False)
    ]


def runs_text(table: pd.DataFrame, cell: str) -> str:
    """``3`` if all runs are done, else how many and what the others are."""
    status = table[table["cell"] == cell].groupby("seed")["status"].first()
    done = int((status == "done").sum())
    others = status[status != "done"].value_counts()
    text = ", ".join(f"{count} {name}" for name, count in others.items())
    return f"{done}" if not text else f"{done} of {len(status)} ({text})"


def differences_table(
    table: pd.DataFrame, manifest: dict[str, Any], metrics: list[str]
) -> pd.DataFrame | None:
    """Paired differences to the reference method on shared seeds, other swept keys equal.

    The reference is the first cell of that method with those values; None without one. A
    difference whose interval excludes zero is in ``**``.
    """
    reference = manifest.get("reference")
    if reference is None or reference not in set(table["method"]):
        return None
    keys = ["data", *swept_keys(manifest)]
    names = cell_names(table, manifest)
    cells = table.drop_duplicates("cell").set_index("cell")
    rows = []
    for cell, row in cells.iterrows():
        if row["method"] == reference:
            continue
        equal = (cells[keys] == row[keys]) | (cells[keys].isna() & row[keys].isna())
        same = cells[(cells["method"] == reference) & equal.all(axis=1)]
        if same.empty:  # nothing to compare with, such as a baseline beside a swept key
            continue
        texts: dict[str, str] = {"cell": names[str(cell)]}
        for metric in metrics:
            values = by_cell(table, metric)
            first, second = values.get(str(cell), {}), values.get(str(same.index[0]), {})
            difference = paired_difference(first, second)
            texts[title(metric)] = signed(difference) if difference else "-"
        rows.append(texts)
    return pd.DataFrame(rows) if rows else None


def signed(estimate: Estimate) -> str:
    text = format_estimate(estimate, estimate.excludes_zero)
    return (
        text if estimate.mean < 0 else text.replace("**", "**+", 1) if "**" in text else "+" + text
    )


def to_markdown(frame: pd.DataFrame) -> str:
    return frame.to_markdown(index=False, disable_numparse=True)


def to_latex(frame: pd.DataFrame, caption: str) -> str:
    """A booktabs table; marks become ``\\textbf``."""

    def cell(text: str) -> str:
        bold = text.startswith("**")
        plain = text.strip("*").replace("±", r"$\pm$").replace("²", r"$^2$")
        plain = plain.replace("↓", r"$\downarrow$").replace("↑", r"$\uparrow$")
        plain = plain.replace("_", r"\_").replace("%", r"\%")
        return rf"\textbf{{{plain}}}" if bold else plain

    header = " & ".join(cell(str(column)) for column in frame.columns)
    body = [" & ".join(cell(str(value)) for value in row) for row in frame.itertuples(index=False)]
    lines = [
        r"\begin{table}",
        rf"\caption{{{cell(caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(frame.columns) - 1)}}}",
        r"\toprule",
        header + r" \\",
        r"\midrule",
        *[row + r" \\" for row in body],
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"
