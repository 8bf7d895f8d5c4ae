"""Which figures a report has: what its records allow, on each data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ltvm.report.cells import cell_names, swept_keys
from ltvm.report.comparability import Marks
from ltvm.report.declared import columns_of, headings, headline_metrics
from ltvm.report.figures import comparison, sweep, sweeps_of
from ltvm.report.history_figures import (
    correction_effects,
    corrections,
    declared_curves,
    history_table,
    learning_curve_headings,
    learning_curves,
)
from ltvm.report.long_table import SAMPLER_LABEL
from ltvm.report.picture_pages import draw_pictures
from ltvm.report.styles import Style, method_styles

Drawn = list[tuple[str, str]]  # (heading, file name without suffix) in order


@dataclass(frozen=True)
class Drawing:
    """What all figures of one report share."""

    manifest: dict[str, Any]
    results: Path
    folder: Path
    styles: dict[str, Style]  # of the methods
    interval: str


def draw(
    manifest: dict[str, Any],
    table: pd.DataFrame,
    results: Path,
    folder: Path,
    marks: Marks,
    interval: str,
) -> Drawn:
    """Draw what the records allow; headline metrics, or the first few where none is one."""
    drawing = Drawing(manifest, results, folder, method_styles(manifest), interval)
    columns = columns_of(table)
    titles = headings(columns)
    shown = {m: titles[m] + marks.panel_sign(m) for m in headline_metrics(columns)}
    drawn: Drawn = []
    several = table["data"].nunique() > 1
    for data, every in table.groupby("data", sort=False):
        suffix = f"-{data}" if several else ""
        rows = every[every["metric"].notna()]
        if rows.empty:
            continue
        if shown:
            drawn += draw_values(drawing, every, rows, shown, suffix)
        drawn += draw_histories(drawing, rows, suffix)
        drawn += draw_pictures(manifest, rows, results, folder, suffix)
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
        comparison(every, names, shown, styles, drawing.folder / name, interval)
        return [(f"Methods compared{of_data}", name)]
    drawn: Drawn = []
    for key, chosen in sweeps_of(manifest, rows):
        name = f"sweep-{key.split('.', 1)[-1].replace('.', '-')}{suffix}"
        own = [key] if manifest["combine"] == "one_factor" else keys  # others are at their base
        sweep(chosen, key, own, shown, styles, drawing.folder / name, interval)
        drawn.append((f"Metrics against {key}{of_data}", name))
    return drawn


def draw_histories(drawing: Drawing, rows: pd.DataFrame, suffix: str) -> Drawn:
    """Learning curves, and codes before and after corrections, where histories have any.

    Curves are of training, which no other sampler has a part in: names leave it out.
    """
    of_data = f" on {rows['data'].iloc[0]}"
    histories = history_table(drawing.manifest, rows, drawing.results)
    declared = declared_curves(drawing.manifest, drawing.results, histories)
    trained = rows[rows["cell"].isin(histories["cell"])] if len(histories) else rows
    names = cell_names(trained.drop(columns=SAMPLER_LABEL, errors="ignore"), drawing.manifest)
    styles, interval = drawing.styles, drawing.interval
    drawn: Drawn = []
    if curves := learning_curve_headings(declared):
        name = f"learning-curves{suffix}"
        learning_curves(histories, names, curves, styles, drawing.folder / name, interval)
        drawn.append((f"Learning curves{of_data}", name))
    if effects := corrections(declared):
        name = f"correction{suffix}"
        correction_effects(histories, names, effects, styles, drawing.folder / name, interval)
        drawn.append((f"Codes before and after each correction{of_data}", name))
    return drawn
