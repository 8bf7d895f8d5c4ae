"""Figures of values: cells side by side, and against a swept key. PNG and SVG, by seaborn."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from ltvm.report.comparisons.hypotheses import cells_with_a_density
from ltvm.report.comparisons.statistics import INTERVALS
from ltvm.report.plots.palette import in_palette
from ltvm.report.plots.styles import Style, cell_styles, line_styles
from ltvm.report.values.cells import (
    by_cell,
    cell_records,
    drawn_cells,
    first_rows,
    method_text,
    note_texts,
    swept_keys,
    swept_texts,
    value_text,
)
from ltvm.runtime.files import writing

P = ParamSpec("P")
R = TypeVar("R")

ACROSS = 4  # panels in a row, at most
NEAR_ZERO = 1 / 3  # of the largest value: an axis that begins at zero where the least is below it
UPRIGHT = 8  # cells whose names fit below a panel; of more they stand beside it
POINTS = 72  # an inch of an SVG
PRINT, SCREEN = 160, 110  # dots an inch of a PNG
MARGIN = 0.1  # inches around a figure that has a legend
WIDE = 50  # times the least swept number: from here on its axis is logarithmic
WIDEST_TITLE = 46  # characters of a line, which fit above a panel


def themed(draw: Callable[P, R]) -> Callable[P, R]:
    """Have a function draw in the theme of reports, which nothing drawn elsewhere then has."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context():
            sns.set_theme(context="paper", style="whitegrid", font_scale=1.1, color_codes=False)
            mpl.rcParams.update({"savefig.dpi": PRINT, "svg.hashsalt": "ltvm"})
            # Titles at their place of themselves: to find it has all ticks laid out once more.
            mpl.rcParams.update({"axes.titley": 1.0, "figure.autolayout": False})
            return draw(*args, **kwargs)

    return drawn


def subplots(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure of ``size`` in inches, and its axes row by row, in no window and no backend."""
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def in_a_row(count: int) -> int:
    """Panels in a row of so many: rows are as few as ``ACROSS`` allows, and as equal as can be.

    >>> [in_a_row(count) for count in (1, 4, 5, 6, 9)]
    [1, 4, 3, 3, 3]
    """
    rows = -(-count // ACROSS)
    return -(-count // rows)


def set_title(axis: Axes, heading: str) -> None:
    """A panel's title, in as many lines as its width asks for."""
    axis.set_title(textwrap.fill(heading, WIDEST_TITLE))


def from_zero(axis: Axes, least: float, most: float) -> None:
    """Have a scale begin at zero where values come near it; else their differences are shown."""
    if 0 <= least <= NEAR_ZERO * most:
        axis.set_ylim(bottom=0)


def logarithmic(axes: Axes, scale: str) -> None:
    """Make ``x`` or ``y`` logarithmic, its ticks plain numbers at 1, 2, 5 times powers of ten."""
    axes.set(**{f"{scale}scale": "log"})
    axis = axes.xaxis if scale == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels, each of that size in inches, at most ``ACROSS`` in a row."""
    columns = in_a_row(count)
    rows = -(-count // columns)
    figure, axes = subplots(rows, columns, (width * columns, height * rows))
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def save(
    figure: Figure, path: Path, suffixes: tuple[str, ...] = (".png", ".svg"), dpi: int = PRINT
) -> None:
    """Write ``path`` as .png and .svg, the same bytes every time for the same data.

    A ``path`` that has a suffix is written as that alone, for a screen.
    """
    if path.suffix in suffixes:
        suffixes, dpi = (path.suffix,), SCREEN
    figure.tight_layout()
    figure.set_layout_engine(None)  # the one that stands in its place has every figure drawn twice
    for suffix in suffixes:
        buffer = io.BytesIO()
        metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
        fine = POINTS if suffix == ".svg" else dpi
        crop = cropped(figure, suffix, dpi) if figure.legends else None
        figure.savefig(buffer, format=suffix[1:], metadata=metadata, bbox_inches=crop, dpi=fine)
        drawn = buffer.getvalue()
        with writing(path.with_suffix(suffix)) as file:
            file.write(in_palette(drawn) if suffix == ".png" else drawn)


def cropped(figure: Figure, suffix: str, dpi: int) -> Bbox:
    """What of a figure is written, in inches: all of it, and its legend, which stands outside."""
    renderer: RendererBase
    if suffix == ".png":
        figure.set_dpi(dpi)
        renderer = FigureCanvasAgg(figure).get_renderer()
    else:
        figure.set_dpi(POINTS)
        width, height = (float(inches) * POINTS for inches in figure.get_size_inches())
        renderer = RendererSVG(width, height, io.StringIO())
    boxes = [legend.get_window_extent(renderer) for legend in figure.legends]
    inches = Bbox.union([figure.bbox, *boxes]).transformed(figure.dpi_scale_trans.inverted())
    return inches.padded(MARGIN)


def add_legend(figure: Figure, axes: list[Axes]) -> None:
    """One legend to the right of all panels: inside one it would cover points."""
    shown: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    figure.legend(list(shown.values()), list(shown), loc="center left", bbox_to_anchor=(1.0, 0.5),
                  ncols=-(-len(shown) // 12), fontsize="small")  # fmt: skip


def interval_rows(table: pd.DataFrame, by: list[str], interval: str = "t") -> pd.DataFrame:
    """Mean over seeds, and how far its interval reaches, for every combination of ``by``."""
    values: dict[tuple[Any, ...], list[float]] = {}
    seeds: set[tuple[Any, ...]] = set()
    columns = [table[name].tolist() for name in (*by, "seed", "value")]
    for *keys, seed, value in zip(*columns, strict=True):
        group = tuple(None if pd.isna(key) else key for key in keys)
        assert (*group, seed) not in seeds, f"several cells at {keys}: seeds alone make an interval"
        seeds.add((*group, seed))
        values.setdefault(group, []).append(value)
    rows = []
    for group, own in values.items():
        estimate = INTERVALS[interval](own)
        below, above = estimate.errors
        rows.append(
            dict(zip(by, group, strict=True))
            | {"mean": estimate.mean, "below": below, "above": above}
        )
    return pd.DataFrame(rows)


@themed
def comparison(
    table: pd.DataFrame,
    names: dict[str, str],
    metrics: dict[str, str],
    styles: dict[str, Style],
    path: Path,
    interval: str = "t",
) -> None:
    """Cells side by side, a panel per metric: every seed, the mean and its 95 % interval.

    ``names`` are those of the cells to show, ``metrics`` gives each panel its title, ``styles``
    those of the methods. A cell without a value keeps its place and says so, but for one that
    samples from a density where samples have no part in the value.
    """
    aside = cells_with_a_density(table)
    of_cells = cell_styles(table, styles)
    lying = len(names) > UPRIGHT
    figure, axes = panels(len(metrics), 3.6, 0.27 * len(names) + 1.2 if lying else 3.6)
    counts = set()
    for number, (axis, (metric, heading)) in enumerate(zip(axes, metrics.items(), strict=True)):
        found = by_cell(table, metric)
        for position, cell in enumerate(names):
            values = list(found.get(cell, {}).values())
            counts.add(len(values))
            if values or cell not in aside:
                draw_cell(axis, position, values, of_cells[cell], interval, lying)
        if lying:
            first = number % in_a_row(len(metrics)) == 0
            labels = list(names.values()) if first else [""] * len(names)
            axis.set_yticks(range(len(names)), labels)
            axis.set_ylim(len(names) - 0.4, -0.6)
        else:
            axis.set_xticks(range(len(names)), list(names.values()), rotation=30, ha="right")
            axis.set_xlim(-0.6, len(names) - 0.4)
        set_title(axis, heading)
        axis.grid(axis="y" if lying else "x", visible=False)
    figure.suptitle(seeds_title(counts), y=0.995)
    save(figure, path)


def seeds_title(counts: set[int]) -> str:
    """What is drawn of so many values per cell; one seed has no interval.

    Of cells without a value the panel says so itself.
    """
    if max(counts) <= 1:
        return "One seed: no interval"
    counts = counts - {0}
    seeds = " to ".join(str(n) for n in sorted({min(counts), max(counts)}))
    return f"Mean and 95 % interval, {seeds} seeds (small markers: single seeds)"


def draw_cell(
    axis: Axes, position: int, values: list[float], style: Style, interval: str, lying: bool
) -> None:
    """The mean of one cell with its interval, its seeds beside it; or that there is no value.

    ``lying``: cells one below the other, values from left to right.
    """
    if not values:
        place, coordinates = (position, 0.5), ("data", "axes fraction")
        axis.annotate("no value", place[::-1] if lying else place,
                      xycoords=coordinates[::-1] if lying else coordinates,
                      rotation=0 if lying else 90, ha="center", va="center")  # fmt: skip
        return
    colour, marker = style
    estimate = INTERVALS[interval](values)
    errors = [[reach] for reach in estimate.errors]
    offsets = [position + 0.22] * len(values)
    if lying:
        axis.errorbar(estimate.mean, position, xerr=errors, color=colour, marker=marker,
                      markersize=7, capsize=3)  # fmt: skip
        axis.scatter(values, offsets, color=colour, marker=marker, s=10, alpha=0.6)
    else:
        axis.errorbar(position, estimate.mean, errors, color=colour, marker=marker,
                      markersize=8, capsize=4)  # fmt: skip
        axis.scatter(offsets, values, color=colour, marker=marker, s=14, alpha=0.6)


@themed
def sweep(
    table: pd.DataFrame,
    key: str,
    metrics: dict[str, str],
    styles: dict[str, Style],
    path: Path,
    interval: str = "t",
) -> None:
    """A metric against a swept key with its 95 % interval over seeds; ``metrics`` has titles.

    ``table`` is as ``with_lines`` makes it. A method without that key (a VAE has no alpha) is a
    dashed horizontal line at its mean.
    """
    lines = table.drop_duplicates("line").set_index("line")["method"]
    of_lines = dict(zip(lines.index, line_styles(len(lines)), strict=True))
    if lines.is_unique:  # a line each
        of_lines = {str(line): styles[method] for line, method in lines.items()}
    places = places_of(table, key)
    figure, axes = panels(len(metrics), 3.8, 3.4)
    for axis, (metric, heading) in zip(axes, metrics.items(), strict=True):
        of_metric = table.loc[table["metric"] == metric, ["line", "seed", "value", key]]
        for number, (line, style) in enumerate(of_lines.items()):
            chosen = of_metric[of_metric["line"] == line]
            shift = 0.6 * ((number + 0.5) / len(of_lines) - 0.5)  # beside each other at a name
            if len(chosen):
                draw_line(axis, chosen, key, str(line), style, places, shift, interval)
        if places is not None:
            axis.set_xticks(range(len(places)), [value_text(v) for v in places], rotation=30)
        elif 0 < table[key].min() < table[key].max() / WIDE:
            logarithmic(axis, "x")
        axis.set_xlabel(key)
        set_title(axis, heading)
    if len(lines) > 1:
        add_legend(figure, axes)
    one = table["seed"].nunique() == 1
    figure.suptitle(
        "One seed: no interval" if one else "Mean and 95 % interval over seeds", y=0.995
    )
    save(figure, path)


def with_lines(
    table: pd.DataFrame, key: str, keys: Sequence[str], most: int
) -> tuple[pd.DataFrame, int]:
    """The rows of the lines to draw, with a column ``line``, and how many lines there would be.

    There is a line for every method and combination of the swept ``keys`` but ``key``; of more than
    ``most`` there are the first of each method.
    """
    others = [other for other in keys if other != key]
    names = {str(row["cell"]): line_name(row, others) for row in cell_records(table)}
    cells = first_rows(table)[["cell", "method"]].assign(line=list(names.values()))
    shown = set(drawn_cells(cells, most, "line"))
    drawn = table[table["cell"].isin([cell for cell, line in names.items() if line in shown])]
    return drawn.assign(line=drawn["cell"].map(names)), len(set(names.values()))


def places_of(table: pd.DataFrame, key: str) -> list[Any] | None:
    """The swept values in their order where they are names; None for numbers."""
    values = list(table[key].dropna().drop_duplicates())
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return None if numeric and not key.startswith("data.") else values  # a digit is a name


def draw_line(
    axis: Axes,
    chosen: pd.DataFrame,
    key: str,
    line: str,
    style: Style,
    places: list[Any] | None,
    shift: float,
    interval: str,
) -> None:
    """One line of a sweep: joined where the key is a number, dashed where it has no such key."""
    colour, marker = style
    if chosen[key].isna().all():
        axis.axhline(chosen["value"].mean(), color=colour, linestyle="--", label=line)
        return
    rows = interval_rows(chosen, [key], interval)
    if places is None:
        rows = rows.sort_values(key)
    at = rows[key] if places is None else [places.index(v) + shift for v in rows[key]]
    axis.errorbar(at, rows["mean"], [rows["below"], rows["above"]], color=colour, marker=marker,
                  capsize=3, linestyle="-" if places is None else "none", label=line)  # fmt: skip


def line_name(row: Mapping[Any, Any], others: list[str]) -> str:
    return ", ".join([method_text(row), *swept_texts(row, others), *note_texts(row)])


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
