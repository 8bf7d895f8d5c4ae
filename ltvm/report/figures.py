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
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltvm.report.statistics import INTERVALS
from ltvm.report.tables import swept_keys, title, value_text
from ltvm.runtime.files import writing

# Colours differ in lightness too, and markers differ: readable in greyscale.
STYLES: dict[str, tuple[str, str]] = {
    "short_run_ot": ("#08306b", "o"),
    "short_run_uncorrected": ("#6baed6", "s"),
    "short_run": ("#d94801", "^"),
    "abp": ("#fd8d3c", "D"),
    "vae": ("#41ab5d", "v"),
}
MARKERS = "os^Dv<>PX*"
IN_PANEL = 6  # lines of a legend that fit into a panel
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


def save(
    figure: Figure, path: Path, suffixes: tuple[str, ...] = (".png", ".svg"), dpi: int = 160
) -> None:
    """Write ``path`` as .png and .svg, the same bytes every time for the same data."""
    figure.tight_layout()
    crop = "tight" if figure.legends else None  # which stands outside
    for suffix in suffixes:
        buffer = io.BytesIO()
        metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
        figure.savefig(buffer, format=suffix[1:], metadata=metadata, bbox_inches=crop, dpi=dpi)
        with writing(path.with_suffix(suffix)) as file:
            file.write(buffer.getvalue())
    plt.close(figure)


def add_legend(figure: Figure, axis: Axes) -> None:
    """The legend of ``axis``, beside all panels where it would hide them."""
    handles, labels = axis.get_legend_handles_labels()
    if len(labels) <= IN_PANEL:
        axis.legend(fontsize="small")
        return
    columns = -(-len(labels) // (2 * IN_PANEL))
    figure.legend(handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5), ncols=columns,
                  fontsize="small")  # fmt: skip


def interval_rows(table: pd.DataFrame, by: list[str], interval: str = "t") -> pd.DataFrame:
    """Mean over seeds, and how far its interval reaches, for every combination of ``by``."""
    rows = []
    for keys, group in table.groupby(by, sort=False, dropna=False):
        assert group["seed"].is_unique, f"several cells at {keys}: seeds alone make an interval"
        estimate = INTERVALS[interval](list(group["value"]))
        below, above = estimate.errors
        rows.append(
            dict(zip(by, keys, strict=True))
            | {"mean": estimate.mean, "below": below, "above": above}
        )
    return pd.DataFrame(rows)


def values_of(table: pd.DataFrame, cell: str, metric: str) -> list[float]:
    """The values of a metric of one cell, one per seed."""
    chosen = table[(table["cell"] == cell) & (table["metric"] == metric)]
    assert chosen["seed"].is_unique, f"{cell} has two values of {metric} for a seed"
    return list(chosen["value"])


def cell_styles(table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Colour and marker per cell: its method's where a method has one cell.

    Else the method's colour and a marker of its own, or both of its own for a single method.
    """
    cells = table.drop_duplicates("cell")
    methods = list(cells["method"].unique())
    if cells["method"].is_unique:
        return {
            c: style_of(m, methods) for c, m in zip(cells["cell"], cells["method"], strict=True)
        }
    if len(methods) > 1:
        number = cells.groupby("method").cumcount()
        return {
            c: (style_of(m, methods)[0], MARKERS[i % len(MARKERS)])
            for c, m, i in zip(cells["cell"], cells["method"], number, strict=True)
        }
    palette = sns.color_palette("viridis", len(cells)).as_hex()
    return {c: (palette[i], MARKERS[i % len(MARKERS)]) for i, c in enumerate(cells["cell"])}


def comparison(
    table: pd.DataFrame,
    names: dict[str, str],
    metrics: dict[str, str],
    path: Path,
    interval: str = "t",
) -> None:
    """Cells side by side, a panel per metric: every seed, the mean and its 95 % interval.

    ``metrics`` gives each panel its title. A cell without a value keeps its place and says so.
    """
    set_theme()
    styles = cell_styles(table)
    figure, axes = plt.subplots(1, len(metrics), figsize=(3.6 * len(metrics), 3.6), squeeze=False)
    counts = set()
    for axis, (metric, heading) in zip(axes[0], metrics.items(), strict=True):
        for position, cell in enumerate(names):
            values = values_of(table, cell, metric)
            counts.add(len(values))
            if not values:
                axis.annotate("no value", (position, 0.5), xycoords=("data", "axes fraction"),
                              rotation=90, ha="center", va="center")  # fmt: skip
                continue
            colour, marker = styles[cell]
            estimate = INTERVALS[interval](values)
            errors = [[reach] for reach in estimate.errors]
            axis.errorbar(position, estimate.mean, errors, color=colour, marker=marker,
                          markersize=8, capsize=4)  # fmt: skip
            offsets = [position + 0.22] * len(values)
            axis.scatter(offsets, values, color=colour, marker=marker, s=14, alpha=0.6)
        axis.set_xticks(range(len(names)), list(names.values()), rotation=30, ha="right")
        axis.set_xlim(-0.6, len(names) - 0.4)
        axis.set_title(heading)
        axis.grid(axis="x", visible=False)
    seeds = " to ".join(str(n) for n in sorted({min(counts), max(counts)}))
    figure.suptitle(f"Mean and 95 % interval, {seeds} seeds (small markers: single seeds)", y=0.995)
    save(figure, path)


def sweep(
    table: pd.DataFrame,
    key: str,
    keys: list[str],
    metrics: dict[str, str],
    path: Path,
    interval: str = "t",
) -> None:
    """A metric against a swept key with its 95 % interval over seeds; ``metrics`` has titles.

    One line for every method and combination of the other swept ``keys``. A method without
    that key (a VAE has no alpha) is a dashed horizontal line at its mean.
    """
    set_theme()
    others = [other for other in keys if other != key]
    table = table.assign(line=[line_name(row, others) for _, row in table.iterrows()])
    lines = list(table["line"].unique())
    methods = list(table["method"].unique())
    palette = sns.color_palette("viridis", len(lines)).as_hex()
    values = list(table[key].dropna().drop_duplicates())
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    numeric = numeric and not key.startswith("data.")  # a digit is a name
    figure, axes = plt.subplots(1, len(metrics), figsize=(3.8 * len(metrics), 3.4), squeeze=False)
    for axis, (metric, heading) in zip(axes[0], metrics.items(), strict=True):
        for number, line in enumerate(lines):
            chosen = table[(table["metric"] == metric) & (table["line"] == line)]
            if chosen.empty:
                continue
            colour, marker = palette[number], MARKERS[number % len(MARKERS)]
            if len(lines) == len(methods):
                colour, marker = style_of(str(chosen["method"].iloc[0]), methods)
            if chosen[key].isna().all():
                mean = chosen["value"].mean()
                axis.axhline(mean, color=colour, linestyle="--", label=line)
                continue
            rows = interval_rows(chosen, [key], interval)
            if numeric:
                rows = rows.sort_values(key)
            places = rows[key] if numeric else [values.index(v) for v in rows[key]]
            errors = [rows["below"], rows["above"]]
            axis.errorbar(places, rows["mean"], errors, color=colour, marker=marker,
                          capsize=3, linestyle="-" if numeric else "none", label=line)  # fmt: skip
        if not numeric:
            axis.set_xticks(range(len(values)), [value_text(v) for v in values], rotation=30)
        axis.set_xlabel(key)
        axis.set_title(heading)
    if len(lines) > 1:
        add_legend(figure, axes[0, 0])
    figure.suptitle("Mean and 95 % interval over seeds", y=0.995)
    save(figure, path)


def line_name(row: pd.Series, others: list[str]) -> str:
    parts = [f"{o.split('.', 1)[-1]} = {value_text(row[o])}" for o in others if not pd.isna(row[o])]
    note = row.get("note")
    return ", ".join([str(row["label"] or row["method"]), *parts, *([note] if note else [])])


def learning_curves(
    histories: pd.DataFrame,
    names: dict[str, str],
    metrics: list[str],
    path: Path,
    interval: str = "t",
) -> None:
    """A metric after every iteration against passes per image, a line per cell."""
    set_theme()
    styles = cell_styles(histories)
    figure, axes = plt.subplots(1, len(metrics), figsize=(4.6 * len(metrics), 3.6), squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for cell, (colour, marker) in styles.items():
            rows = histories[(histories["cell"] == cell)].dropna(subset=[metric])
            if rows.empty:
                continue
            rows = rows.assign(value=rows[metric])
            curve = interval_rows(rows, ["iteration", "passes"], interval)
            errors = [curve["below"], curve["above"]]
            axis.errorbar(curve["passes"], curve["mean"], errors, color=colour,
                          marker=marker, capsize=2, label=names[cell])  # fmt: skip
        axis.set_xlabel("passes per image")
        axis.set_title(curve_title(metric))
        axis.set_ylim(bottom=0)
    add_legend(figure, axes[0, 0])
    save(figure, path)


EFFECTS = {  # in histories, with ``_before`` and ``_after`` -> heading
    "codes_sliced_w2": "sliced W2 to the prior ↓",
    "codes_transport_cost": "transport cost to the prior ↓",
    "codes_mmd2": "MMD² to the prior ↓",
    "codes_eigenvalue_max": "largest eigenvalue of the covariance",
}


def correction_effects(
    histories: pd.DataFrame, names: dict[str, str], path: Path, interval: str = "t"
) -> bool:
    """Codes before each correction (solid) and after it (dashed, open), a line pair per cell.

    False, and nothing drawn, where no history says.
    """
    shown = {e: heading for e, heading in EFFECTS.items() if f"{e}_before" in histories}
    if not shown:
        return False
    set_theme()
    styles = cell_styles(histories)
    figure, axes = plt.subplots(1, len(shown), figsize=(3.8 * len(shown), 3.6), squeeze=False)
    for axis, (effect, heading) in zip(axes[0], shown.items(), strict=True):
        for cell, (colour, marker) in styles.items():
            for when, line, fill in (("before", "-", colour), ("after", "--", "white")):
                rows = histories[histories["cell"] == cell].dropna(subset=[f"{effect}_{when}"])
                if rows.empty:
                    continue
                rows = rows.assign(value=rows[f"{effect}_{when}"])
                curve = interval_rows(rows, ["iteration", "passes"], interval)
                errors = [curve["below"], curve["above"]]
                axis.errorbar(curve["passes"], curve["mean"], errors, color=colour, linestyle=line,
                              marker=marker, markerfacecolor=fill, capsize=2,
                              label=names[cell] if when == "before" else None)  # fmt: skip
        axis.set_xlabel("passes per image")
        axis.set_title(heading)
        if effect != "codes_mmd2":  # an unbiased estimate may be below 0
            axis.set_ylim(bottom=0)
    for when, line, fill in (("before", "-", "grey"), ("after", "--", "white")):
        axes[0, 0].plot([], [], color="grey", linestyle=line, marker="o", markerfacecolor=fill,
                        label=f"{when} the correction")  # fmt: skip
    add_legend(figure, axes[0, 0])
    save(figure, path)
    return True


def curve_title(metric: str) -> str:
    if metric.endswith("_curve"):
        return title(metric.removesuffix("_curve")) + ", on a small sample"
    return title(metric)


def picture_rows(pictures: list[tuple[str, Path]], heading: str, path: Path, columns: int) -> None:
    """Named picture grids side by side, as .png alone: there is nothing to draw as lines."""
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
    save(figure, path, suffixes=(".png",), dpi=100)


def sweeps_of(manifest: dict[str, Any], table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(key, rows) per swept key; for one factor at a time, rows with the others at their base."""
    keys = swept_keys(manifest)
    base = manifest["runs"][0]["values"]
    for key in keys:
        rows = table
        for other in keys:
            if other != key and manifest["combine"] == "one_factor":
                rows = rows[rows[other] == base[other]]
        yield key, rows
