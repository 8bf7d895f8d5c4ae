"""The figure of reconstruction against generation: all rows, and the frontier of their means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ltvm.report.comparisons.statistics import INTERVALS
from ltvm.report.comparisons.trade_off import Traded
from ltvm.report.plots.figures import add_legend, logarithmic, panels, save, themed
from ltvm.report.plots.styles import Style
from ltvm.report.values.comparability import Marks

WIDE = 4.0  # times the least value: from here on a scale is logarithmic


def is_wide(values: Sequence[float]) -> bool:
    """Whether a few rows far away would press the others together on a linear scale."""
    return bool(values) and min(values) > 0 and max(values) > WIDE * min(values)


@themed
def draw_trade_off(
    found: Traded,
    names: Mapping[str, str],
    styles: Mapping[str, Style],
    titles: Mapping[str, str],
    marks: Marks,
    path: Path,
    interval: str = "t",
) -> None:
    """Means with intervals of the cells in ``names``; a line along the frontier of all means.

    Where these do not all compare, each is marked, and none is joined to another.
    """
    figure, (axis,) = panels(1, 6.4, 4.4)
    for cell, name in names.items():
        values = [list(own) for own in zip(*found.points[cell].values(), strict=True)]
        up, across = (INTERVALS[interval](own) for own in values)
        colour, marker = styles[cell]
        axis.errorbar(
            across.mean, up.mean, [[e] for e in up.errors], [[e] for e in across.errors],
            color=colour, marker=marker, capsize=2, linestyle="none", label=name,
        )  # fmt: skip
    means = found.means()
    front = found.on_frontier(means, marks)
    alike = all(marks.alike(front, metric) for metric in found.metrics)
    line = sorted(means[cell][::-1] for cell in front)
    label, style = "frontier of the means", "-"
    if not alike:
        label, style = f"{label}, of rows that compare", "none"
    axis.plot(*zip(*line, strict=True), color="black", linewidth=3, linestyle=style, alpha=0.25,
              zorder=0, marker="o", markersize=13, label=label)  # fmt: skip
    axis.set_xlabel(titles[found.metrics[1]])
    axis.set_ylabel(titles[found.metrics[0]])
    for scale, place in (("y", 0), ("x", 1)):
        if is_wide([means[cell][place] for cell in names if cell in means]):
            logarithmic(axis, scale)
    add_legend(figure, [axis])
    save(figure, path)
