"""Quality against what was spent for it: every cell's curve, the frontier, the target."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes

from ltvm.report.comparisons.time_to_quality import Measured, frontier
from ltvm.report.plots.figures import add_legend, interval_rows, panels, save, set_title, themed
from ltvm.report.plots.styles import Style
from ltvm.report.values.declared import ARROWS

AXES = {"flops": "training, FLOP", "seconds": "training, s"}


@themed
def time_to_quality(
    found: Measured,
    names: dict[str, str],
    styles: dict[str, Style],
    references: dict[str, str],
    path: Path,
    interval: str = "t",
) -> None:
    """A panel per clock: means over seeds with intervals, the frontier of the means, the target.

    ``names`` are those of the cells to draw, ``styles`` theirs; ``references`` as of
    ``compared_cells``.
    """
    figure, axes = panels(len(found.clocks), 4.8, 3.8)
    for axis, clock in zip(axes, found.clocks, strict=True):
        points = []
        for cell, name in names.items():
            points += draw_cell(axis, found, cell, clock, styles[cell], name, interval)
        steps = frontier(points, found.direction)
        if steps:
            end = max(spent for spent, _ in points)
            spent, values = zip(*steps, (end, steps[-1][1]), strict=True)
            axis.step(spent, values, where="post", color="black", linewidth=3, alpha=0.25,
                      label="frontier of the means")  # fmt: skip
        for reference in dict.fromkeys(references[cell] for cell in names if cell in references):
            finals = list(found.finals(reference).values())
            if finals:
                axis.axhline(sum(finals) / len(finals), color="grey", linestyle=":",
                             label="target: the reference's end")  # fmt: skip
        axis.set_xlabel(AXES[clock])
        set_title(axis, found.column.title + ARROWS[found.direction])
    add_legend(figure, axes)
    save(figure, path)


def draw_cell(
    axis: Axes,
    found: Measured,
    cell: str,
    clock: str,
    style: Style,
    name: str,
    interval: str,
) -> list[tuple[float, float]]:
    """One cell's curve; returns the (spent, mean) of its points."""
    rows = found.histories[found.histories["cell"] == cell].dropna(subset=[found.curve, clock])
    if rows.empty:
        return []
    spent = rows.groupby("iteration")[clock].transform("mean")
    rows = rows.assign(value=rows[found.curve], spent=spent)
    curve = interval_rows(rows, ["iteration", "spent"], interval)
    colour, marker = style
    axis.errorbar(curve["spent"], curve["mean"], [curve["below"], curve["above"]], color=colour,
                  marker=marker, capsize=2, label=name)  # fmt: skip
    return list(zip(curve["spent"].tolist(), curve["mean"].tolist(), strict=True))
