"""Figures of training: what changes from iteration to iteration, and with each correction.

``history.csv`` has a row per iteration; the record's ``curves`` declares its columns. Those of
codes that come as ``<x>_before`` and ``<x>_after`` were measured before and after the iteration's
correction: this naming is the contract of whoever measures them. Of all, the headline ones are
drawn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from ltvm.errors import InputError
from ltvm.metrics.columns import Column
from ltvm.report.plots.figures import (
    add_legend,
    from_zero,
    interval_rows,
    panels,
    save,
    set_title,
    themed,
)
from ltvm.report.plots.styles import Style, cell_styles
from ltvm.report.values.declared import ARROWS, column_of, headings
from ltvm.runs.execution.intact import check_history
from ltvm.runs.files.reading import DISK, Files
from ltvm.runs.files.store import Run
from ltvm.runtime.files import read_regular

BEFORE, AFTER = "_before", "_after"
ENDED = "up to where the first of its seeds ended"
STYLE_OF = {BEFORE: "-", AFTER: "--"}  # the latter with open markers


def curve_runs(
    manifest: dict[str, Any], table: pd.DataFrame, cells: Collection[str]
) -> list[dict[str, Any]]:
    """The entries of a manifest whose histories the curves of these cells are of.

    Runs that are trained. One that diverged has no part in a mean, which would change where the run
    ends; nor has one that goes on.
    """
    rows = table[table["cell"].isin(cells) & table["metric"].notna()]
    trained = set(rows["path"])
    return [e for e in manifest["runs"] if e["cell"] in cells and e["path"] in trained]


def history_table(
    runs: Sequence[dict[str, Any]], results: Path, unread: list[str], files: Files = DISK
) -> pd.DataFrame:
    """The histories of these entries of a manifest, of those that have one.

    With their cell, method and seed. A file that is no history is added to ``unread``, and why.
    """
    texts: dict[str, list[tuple[int, str]]] = {}  # the first line -> run and the others
    for number, entry in enumerate(runs):
        file = results / entry["path"] / "history.csv"
        try:
            head, _, rest = read_regular(file).decode().partition("\n")
            check_history(file, Run(file.parent, files).record() or {})
            ended_early = not rest.strip() and (not head or head.startswith("iteration,"))
            if not ended_early:
                texts.setdefault(head, []).append((number, rest))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            why = str(error).removeprefix(f"{file}: ")
            unread.append(f"{file}: {' '.join(why.split())}")
    parts: list[pd.DataFrame] = []
    for head, own in texts.items():
        try:
            parts.append(parsed_histories(head, own))
        except ValueError:  # one of them is none: each by itself
            for number, rest in own:
                try:
                    parts.append(parsed_histories(head, [(number, rest)]))
                except ValueError as error:
                    file = results / runs[number]["path"] / "history.csv"
                    unread.append(f"{file} is no history ({' '.join(str(error).split())})")
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts).sort_index(kind="stable")
    numbers = table.index.tolist()
    own_columns = {key: [runs[n][key] for n in numbers] for key in ("cell", "method", "seed")}
    return table.reset_index(drop=True).assign(**own_columns)


def parsed_histories(head: str, texts: Sequence[tuple[int, str]]) -> pd.DataFrame:
    """Histories with the same first line, indexed by the number of their run.

    Raises ``ValueError`` for what is no table of numbers with the columns that all histories have.
    """
    lines = [(number, line) for number, text in texts for line in text.splitlines()]
    table = pd.read_csv(StringIO("\n".join([head, *(line for _, line in lines)])))
    if len(table) != len(lines) or not {"iteration", "flops"} <= set(table):
        raise ValueError("not a line of numbers for every iteration")
    other = [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    if other:
        raise ValueError(f"no numbers in {', '.join(other)}")
    return table.set_axis([number for number, _ in lines])


def declared_curves(
    runs: Sequence[dict[str, Any]], results: Path, histories: pd.DataFrame, files: Files = DISK
) -> dict[str, Column]:
    """History column -> its declaration, for those that the runs declare and histories have."""
    declared: dict[str, Column] = {}
    for entry in runs:
        try:
            record = Run(results / entry["path"], files).record() or {}
            for name, fields in record.get("curves", {}).items():
                if name not in declared and name in histories:
                    declared[name] = column_of(fields)
        except (InputError, TypeError, ValueError):  # a damaged one is named elsewhere
            continue
    return declared


def shared_iterations(histories: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows of histories that means of ``column`` are of: where all seeds of a cell have it.

    A mean ends where the first of its seeds ends, as with equal seconds: beyond, it would change
    without any seed that does. A seed that was not measured at all has no part in it.
    """
    rows = histories.dropna(subset=[column])
    seeds = rows.groupby("cell")["seed"].transform("nunique")
    there = rows.groupby(["cell", "iteration"])["seed"].transform("nunique")
    return rows[there == seeds]


def ended_early(histories: pd.DataFrame, columns: Iterable[str]) -> bool:
    """Whether a mean of any of these columns ends before one of its seeds does."""
    return any(len(shared_iterations(histories, c)) < histories[c].count() for c in columns)


def corrections(curves: Mapping[str, Column]) -> dict[str, str]:
    """``x`` -> heading, of the headline codes that are measured before and after a correction.

    The heading is what the titles of both have in common.
    """
    found = {}
    for name in curves:
        effect = name.removesuffix(BEFORE)
        pair = [curves.get(effect + when) for when in (BEFORE, AFTER)]
        columns = [c for c in pair if c is not None and c.family == "codes" and c.headline]
        if name.endswith(BEFORE) and len(columns) == 2:
            words = zip(*(column.title.split() for column in columns), strict=False)
            shared = " ".join(first for first, _ in takewhile(lambda w: w[0] == w[1], words))
            title = shared.rstrip(" ,:(") or columns[0].title
            found[effect] = title + ARROWS[columns[0].direction]
    return found


def learning_curve_headings(curves: Mapping[str, Column]) -> dict[str, str]:
    """Column -> heading, of the headline columns that are no part of a correction.

    Those that have a better direction first.
    """
    paired = {effect + when for effect in corrections(curves) for when in (BEFORE, AFTER)}
    shown = {n: c for n, c in curves.items() if c.headline and n not in paired}
    better = sorted(shown, key=lambda name: shown[name].direction is None)
    return headings({name: shown[name] for name in better})


@themed
def learning_curves(
    histories: pd.DataFrame,
    names: dict[str, str],
    metrics: dict[str, str],
    styles: dict[str, Style],
    path: Path,
    interval: str = "t",
) -> None:
    """Columns of histories, with their headings, against FLOP of training: a line per cell."""
    of_cells = cell_styles(histories, styles)
    figure, axes = panels(len(metrics), 4.6, 3.6)
    for axis, (metric, heading) in zip(axes, metrics.items(), strict=True):
        for cell, style in of_cells.items():
            draw_curve(axis, histories, cell, metric, style, interval, label=names[cell])
        finish(axis, heading, shared_iterations(histories, metric)[metric])
    add_legend(figure, axes)
    save(figure, path)


@themed
def correction_effects(
    histories: pd.DataFrame,
    names: dict[str, str],
    effects: dict[str, str],
    styles: dict[str, Style],
    path: Path,
    interval: str = "t",
) -> None:
    """Codes before each correction (solid) and after it (dashed, open), a line pair per cell.

    ``effects`` has the panels' headings, as ``corrections`` gives them.
    """
    of_cells = cell_styles(histories, styles)
    figure, axes = panels(len(effects), 3.8, 3.6)
    for axis, (effect, heading) in zip(axes, effects.items(), strict=True):
        for cell, style in of_cells.items():
            for when in (AFTER, BEFORE):  # where there is no correction both are one line
                label = names[cell] if when == BEFORE else None
                draw_curve(axis, histories, cell, effect + when, style, interval, label, when)
        columns = [effect + when for when in (BEFORE, AFTER)]
        shown = [shared_iterations(histories, column)[column] for column in columns]
        finish(axis, heading, pd.concat(shown))
    for when, text in ((BEFORE, "before the correction"), (AFTER, "after it, if there is one")):
        fill = "grey" if when == BEFORE else "white"
        axes[0].plot([], [], color="grey", linestyle=STYLE_OF[when], marker="o",
                     markerfacecolor=fill, label=text)  # fmt: skip
    add_legend(figure, axes)
    save(figure, path)


def draw_curve(
    axis: Axes,
    histories: pd.DataFrame,
    cell: str,
    column: str,
    style: Style,
    interval: str,
    label: str | None = None,
    when: str = BEFORE,
) -> None:
    """The mean over seeds of one cell, with its interval, after every iteration they share."""
    rows = shared_iterations(histories[histories["cell"] == cell], column)
    rows = rows.assign(value=rows[column])
    if rows.empty:
        return
    colour, marker = style
    curve = interval_rows(rows, ["iteration"], interval)
    # Where seconds are equal, seeds differ in FLOP at the same iteration.
    spent = curve["iteration"].map(rows.groupby("iteration")["flops"].mean())
    fill = colour if when == BEFORE else "white"
    axis.errorbar(spent, curve["mean"], [curve["below"], curve["above"]], color=colour,
                  linestyle=STYLE_OF[when], marker=marker, markerfacecolor=fill, capsize=2,
                  label=label)  # fmt: skip


def finish(axis: Axes, heading: str, values: pd.Series) -> None:
    axis.set_xlabel("training, FLOP")
    set_title(axis, heading)
    from_zero(axis, values.min(), values.max())
