"""Figures: seaborn, one fixed colour and marker per method, PNG and SVG."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ltvm.files import writing
from ltvm.report.paper_table import swept_keys, title, value_text
from ltvm.report.statistics import mean_interval

# Colours differ in lightness too, and markers differ: readable in greyscale.
STYLES: dict[str, tuple[str, str]] = {
    "short_run_ot": ("#08306b", "o"),
    "short_run_uncorrected": ("#6baed6", "s"),
    "short_run": ("#d94801", "^"),
    "abp": ("#fd8d3c", "D"),
    "vae": ("#41ab5d", "v"),
}
OTHERS = [("#54278f", "P"), ("#9e9ac8", "X"), ("#252525", "*"), ("#969696", "<")]


def style_of(method: str, methods: list[str]) -> tuple[str, str]:
    """Colour and marker: fixed for this suite's methods, by order of appearance for others."""
    if method in STYLES:
        return STYLES[method]
    others = [m for m in methods if m not in STYLES]
    return OTHERS[others.index(method) % len(OTHERS)]


def set_theme() -> None:
    sns.set_theme(context="paper", style="whitegrid", font_scale=1.1)
    plt.rcParams.update({"savefig.dpi": 160, "svg.hashsalt": "ltvm", "figure.autolayout": False})


def save(figure: Figure, path: Path) -> None:
    """Write ``path`` as .png and .svg, the same bytes every time for the same data."""
    figure.tight_layout()
    for suffix in (".png", ".svg"):
        buffer = io.BytesIO()
        metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
        figure.savefig(buffer, format=suffix[1:], metadata=metadata)
        with writing(path.with_suffix(suffix)) as file:
            file.write(buffer.getvalue())
    plt.close(figure)


def interval_rows(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Mean and half-width over seeds for every combination of ``by``."""
    rows = []
    for keys, group in table.groupby(by, sort=False, dropna=False):
        estimate = mean_interval(list(group["value"]))
        rows.append(
            dict(zip(by, keys, strict=True))
            | {"mean": estimate.mean, "half_width": estimate.half_width or 0.0}
        )
    return pd.DataFrame(rows)


def comparison(table: pd.DataFrame, metrics: list[str], path: Path) -> None:
    """Methods side by side, a panel per metric: every seed, the mean and its 95 % interval."""
    set_theme()
    methods = list(table["method"].unique())
    labels = dict(zip(table["method"], table["label"], strict=True))
    figure, axes = plt.subplots(1, len(metrics), figsize=(3.6 * len(metrics), 3.6), squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        chosen = table[table["metric"] == metric]
        for position, method in enumerate(methods):
            values = list(chosen[chosen["method"] == method]["value"])
            if not values:
                axis.annotate("no value", (position, 0.5), xycoords=("data", "axes fraction"),
                              rotation=90, ha="center", va="center")  # fmt: skip
                continue
            colour, marker = style_of(method, methods)
            estimate = mean_interval(values)
            axis.errorbar(position, estimate.mean, estimate.half_width or 0, color=colour,
                          marker=marker, markersize=8, capsize=4)  # fmt: skip
            offsets = [position + 0.22] * len(values)
            axis.scatter(offsets, values, color=colour, marker=marker, s=14, alpha=0.6)
        axis.set_xticks(range(len(methods)), [labels[m] for m in methods], rotation=30, ha="right")
        axis.set_xlim(-0.6, len(methods) - 0.4)
        axis.set_title(title(metric))
        axis.grid(axis="x", visible=False)
    n = table.groupby("method")["seed"].nunique().max()
    figure.suptitle(f"Mean and 95 % interval over {n} seeds (small markers: single seeds)", y=0.995)
    save(figure, path)


def sweep(table: pd.DataFrame, key: str, metrics: list[str], path: Path) -> None:
    """A metric against a swept key, a line per method, 95 % interval over seeds.

    A method without that key (a VAE has no alpha) is a dashed horizontal line at its mean.
    """
    set_theme()
    methods = list(table["method"].unique())
    labels = dict(zip(table["method"], table["label"], strict=True))
    values = list(table[key].dropna().drop_duplicates())
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    figure, axes = plt.subplots(1, len(metrics), figsize=(3.8 * len(metrics), 3.4), squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for method in methods:
            chosen = table[(table["metric"] == metric) & (table["method"] == method)]
            if chosen.empty:
                continue
            colour, marker = style_of(method, methods)
            if chosen[key].isna().all():
                mean = chosen["value"].mean()
                axis.axhline(mean, color=colour, linestyle="--", label=labels[method])
                continue
            rows = interval_rows(chosen, [key])
            if numeric:
                rows = rows.sort_values(key)
            places = rows[key] if numeric else [values.index(v) for v in rows[key]]
            axis.errorbar(places, rows["mean"], rows["half_width"], color=colour, marker=marker,
                          capsize=3, linestyle="-" if numeric else "none",
                          label=labels[method])  # fmt: skip
        if not numeric:
            axis.set_xticks(range(len(values)), [value_text(v) for v in values], rotation=30)
        axis.set_xlabel(key)
        axis.set_title(title(metric))
    if len(methods) > 1:
        axes[0, 0].legend()
    figure.suptitle("Mean and 95 % interval over seeds", y=0.995)
    save(figure, path)


def learning_curves(
    histories: pd.DataFrame, names: dict[str, str], metrics: list[str], path: Path
) -> None:
    """A metric after every iteration against passes per image, a line per cell."""
    set_theme()
    methods = list(histories["method"].unique())
    one_cell_each = histories.groupby("method")["cell"].nunique().max() == 1
    cells = list(histories["cell"].unique())
    palette = dict(zip(cells, sns.color_palette("viridis", len(cells)), strict=True))
    markers = "os^Dv<>PX*"
    figure, axes = plt.subplots(1, len(metrics), figsize=(4.6 * len(metrics), 3.6), squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for number, cell in enumerate(cells):
            rows = histories[(histories["cell"] == cell)].dropna(subset=[metric])
            if rows.empty:
                continue
            if one_cell_each:
                colour, marker = style_of(str(rows["method"].iloc[0]), methods)
            else:
                colour, marker = palette[cell], markers[number % len(markers)]
            curve = interval_rows(rows.assign(value=rows[metric]), ["iteration", "passes"])
            axis.errorbar(curve["passes"], curve["mean"], curve["half_width"], color=colour,
                          marker=marker, capsize=2, label=names[cell])  # fmt: skip
        axis.set_xlabel("passes per image")
        axis.set_title(curve_title(metric))
        axis.set_ylim(bottom=0)
    axes[0, 0].legend(fontsize="small")
    save(figure, path)


def curve_title(metric: str) -> str:
    if metric.endswith("_curve"):
        return title(metric.removesuffix("_curve")) + ", on a small sample"
    return title(metric)


def picture_rows(pictures: list[tuple[str, Path]], heading: str, path: Path, columns: int) -> None:
    """Named picture grids side by side."""
    set_theme()
    rows = -(-len(pictures) // columns)
    first = plt.imread(pictures[0][1])
    ratio = first.shape[0] / first.shape[1]
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.6 * columns, (3.6 * ratio + 0.35) * rows + 0.3), squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, (name, file) in zip(axes.flat, pictures, strict=False):
        axis.imshow(plt.imread(file), cmap="gray", interpolation="nearest")
        axis.set_title(name, fontsize="small")
    figure.suptitle(heading, y=0.995)
    save(figure, path)


def sweeps_of(manifest: dict[str, Any], table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(key, rows) per swept key; for one factor at a time, rows with the others at their base."""
    keys = swept_keys(manifest)
    base = table.iloc[0]
    for key in keys:
        rows = table
        for other in keys:
            if other != key and manifest["combine"] == "one_factor":
                rows = rows[rows[other] == base[other]]
        yield key, rows
