"""Which figures a report has: what its records allow, on each data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ltvm.report.comparisons.time_to_quality import compared_cells, measured
from ltvm.report.comparisons.trade_off import traded
from ltvm.report.plots.added_cells import added_sweeps
from ltvm.report.plots.figures import comparison, sweep, sweeps_of, with_lines
from ltvm.report.plots.history_figures import (
    AFTER,
    BEFORE,
    ENDED,
    correction_effects,
    corrections,
    curve_runs,
    declared_curves,
    ended_early,
    history_table,
    learning_curve_headings,
    learning_curves,
)
from ltvm.report.plots.picture_pages import draw_pictures
from ltvm.report.plots.styles import Style, cell_styles, method_styles
from ltvm.report.plots.time_figures import time_to_quality
from ltvm.report.plots.trade_off_figure import draw_trade_off
from ltvm.report.values.cells import cell_names, drawn_cells, some_of, swept_keys, trained_rows
from ltvm.report.values.comparability import Marks
from ltvm.report.values.declared import columns_of, headings, headline_metrics
from ltvm.runs.files.reading import Files

# What one figure shows at most; of pictures there are fewer.
CELLS = 30  # side by side
LINES = 12  # curves, or lines of a sweep: what one column of a legend holds
MANY = 100  # cells, of which no figure is for print
Drawn = list[tuple[str, str]]  # (heading, file name without suffix) in order


@dataclass(frozen=True)
class Drawing:
    """What all figures of one report share."""

    manifest: dict[str, Any]
    results: Path
    folder: Path
    interval: str
    files: Files
    unread: list[str] = field(default_factory=list)  # what could not be read, and why
    written: set[str] = field(default_factory=set)  # names of files

    def path(self, name: str) -> Path:
        """Where a figure is written: as .png and .svg, of ``MANY`` cells as .png alone.

        Of so many a figure shows a few; for print there is the long table.
        """
        many = len({entry["cell"] for entry in self.manifest["runs"]}) >= MANY
        files = [f"{name}.png"] if many else [f"{name}.png", f"{name}.svg"]
        self.written.update(files)
        return self.folder / (files[0] if many else name)

    @cached_property
    def styles(self) -> dict[str, Style]:
        """Of the methods."""
        return method_styles(self.manifest)


def draw(drawing: Drawing, table: pd.DataFrame, marks: Marks) -> Drawn:
    """Draw what the records allow; headline metrics, or the first few where none is one.

    A file that cannot be read is left out, and named in ``drawing.unread``.
    """
    columns = columns_of(table)
    titles = headings(columns)
    shown = {m: titles[m] + marks.panel_sign(m) for m in headline_metrics(columns)}
    drawn: Drawn = []
    data_sets = table["data"].unique().tolist()
    for data in data_sets:
        several = len(data_sets) > 1
        every = table[table["data"] == data] if several else table
        suffix = f"-{data}" if several else ""
        rows = every[every["metric"].notna()]
        if rows.empty:
            continue
        if shown:
            drawn += draw_values(drawing, every, rows, shown, suffix)
        drawn += draw_frontier(drawing, every, marks, suffix)
        drawn += draw_histories(drawing, rows, suffix)
        pages = draw_pictures(
            drawing.manifest, rows, drawing.results, drawing.folder, suffix, drawing.unread
        )
        drawing.written.update(f"{name}.png" for _, name in pages)
        drawn += pages
    return drawn


def draw_values(
    drawing: Drawing, every: pd.DataFrame, rows: pd.DataFrame, shown: dict[str, str], suffix: str
) -> Drawn:
    """Each swept key in a figure, or the methods side by side where none is swept.

    ``every`` has all runs on one data set, ``rows`` those that have a value.
    """
    of_data = f" on {rows['data'].iloc[0]}"
    manifest, interval, styles = drawing.manifest, drawing.interval, drawing.styles
    keys = swept_keys(manifest)
    if not keys:
        name = f"comparison{suffix}"
        names = cell_names(every, manifest)
        cells = {cell: names[cell] for cell in drawn_cells(every, CELLS)}
        every = every[every["cell"].isin(list(cells))]
        comparison(every, cells, shown, styles, drawing.path(name), interval)
        compared = (f"Methods compared{of_data}{some_of(len(cells), len(names))}", name)
        return [compared, *draw_added(drawing, rows, shown, suffix)]
    drawn: Drawn = []
    rows = rows[rows["metric"].isin(list(shown))]
    for key, chosen in sweeps_of(manifest, rows) if len(rows) else ():
        name = f"sweep-{key.split('.', 1)[-1].replace('.', '-')}{suffix}"
        own = [key] if manifest["combine"] == "one_factor" else keys  # others are at their base
        chosen, lines = with_lines(chosen, key, own, LINES)
        sweep(chosen, key, shown, styles, drawing.path(name), interval)
        some = some_of(chosen["line"].nunique(), lines, "lines")
        drawn.append((f"Metrics against {key}{of_data}{some}{without_null(chosen, key)}", name))
    return drawn + draw_added(drawing, rows, shown, suffix)


def without_null(chosen: pd.DataFrame, key: str) -> str:
    """``, without null``: a line's value that is on no axis, where others of the line are."""
    places = chosen.groupby("line")[key].agg(["count", "size"])
    some = (places["count"] > 0) & (places["count"] < places["size"])
    return ", without null" if bool(some.any()) else ""


def draw_frontier(drawing: Drawing, every: pd.DataFrame, marks: Marks, suffix: str) -> Drawn:
    """Reconstruction against generation, where one set of images has enough rows with both.

    ``every`` has the runs without values, too: a row with one has no part in the frontier of means.
    """
    found = traded(every)
    if len(found) != 1:
        return []
    names, titles = cell_names(every, drawing.manifest), headings(columns_of(every))
    cells = [cell for cell in drawn_cells(every, CELLS) if cell in found[0].points]
    name = f"trade-off{suffix}"
    draw_trade_off(
        found[0], {cell: names[cell] for cell in cells}, cell_styles(every, drawing.styles), titles,
        marks, drawing.path(name), drawing.interval,
    )  # fmt: skip
    some = some_of(len(cells), len(found[0].points))
    return [(f"Reconstruction against generation on {every['data'].iloc[0]}{some}", name)]


def draw_added(drawing: Drawing, rows: pd.DataFrame, shown: dict[str, str], suffix: str) -> Drawn:
    """Each number that an ablation's further cells set in a figure, beside the reference."""
    drawn: Drawn = []
    for found in added_sweeps(drawing.manifest, rows, drawing.results, drawing.files):
        key = found.key.split(".", 1)[-1].replace(".", "-")
        name = f"sweep-{found.method}-{key}{suffix}"
        chosen, lines = with_lines(found.rows, found.key, found.others, LINES)
        sweep(chosen, found.key, shown, drawing.styles, drawing.path(name), drawing.interval)
        some = some_of(chosen["line"].nunique(), lines, "lines")
        drawn.append((f"{found.label}: metrics against {found.key}{some}", name))
    return drawn


def draw_histories(drawing: Drawing, rows: pd.DataFrame, suffix: str) -> Drawn:
    """Learning curves, and codes before and after corrections, where histories have any.

    Of more than ``LINES`` cells some are drawn, and the histories of these alone are read. Curves
    are of training, which no other sampler has a part in: names leave it out, and of several rows
    of one run there is the first.
    """
    of_data = f" on {rows['data'].iloc[0]}"
    rows = trained_rows(rows)
    names = cell_names(rows, drawing.manifest)
    cells = drawn_cells(rows, LINES)
    runs = curve_runs(drawing.manifest, rows, cells)
    histories = history_table(runs, drawing.results, drawing.unread, drawing.files)
    declared = declared_curves(runs, drawing.results, histories, drawing.files)
    of_data += some_of(len(cells), len(names))
    styles, interval = drawing.styles, drawing.interval
    drawn: Drawn = []
    if curves := learning_curve_headings(declared):
        name = f"learning-curves{suffix}"
        learning_curves(histories, names, curves, styles, drawing.path(name), interval)
        drawn.append((f"Learning curves{of_data}{until(histories, curves)}", name))
    if found := measured(histories, declared, rows):
        name = f"time-to-quality{suffix}"
        of_cells = {cell: names[cell] for cell in cells}
        references = compared_cells(rows, drawing.manifest)
        own_styles = cell_styles(histories, styles)
        shown = {cell: text for cell, text in of_cells.items() if cell in own_styles}
        time_to_quality(found, shown, own_styles, references, drawing.path(name), interval)
        drawn.append((f"Quality against its cost{of_data}", name))
    if effects := corrections(declared):
        name = f"correction{suffix}"
        correction_effects(histories, names, effects, styles, drawing.path(name), interval)
        columns = [effect + when for effect in effects for when in (BEFORE, AFTER)]
        of_data += until(histories, columns)
        drawn.append((f"Codes before and after each correction{of_data}", name))
    return drawn


def until(histories: pd.DataFrame, columns: Iterable[str]) -> str:
    """The end of a heading where a curve ends before one of its seeds does."""
    return f", {ENDED}" if ended_early(histories, columns) else ""
