"""A grid of two keys as a figure: a text for every cell, and a colour where it has a value."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ltvm.report.paper.shapes import Frames
from ltvm.report.plots.figures import panels, save, themed


@themed
def heat_maps(frames: Frames, path: Path) -> None:
    """A panel per table of ``grids``; colours follow the means, light is low."""
    figure, axes = panels(len(frames), 5.0, 3.6)
    for axis, (family, frame) in zip(axes, frames.items(), strict=True):
        texts = [[str(text) for text in row] for row in frame.iloc[:, 1:].to_numpy()]
        means = np.array([[mean_of(text) for text in row] for row in texts])
        axis.imshow(means, cmap="Blues", aspect="auto")
        known = means[np.isfinite(means)]
        middle = (known.min() + known.max()) / 2 if known.size else 0.0
        for (row, column), mean in np.ndenumerate(means):
            text = texts[row][column].replace(" (", "\n(")
            colour = "white" if mean > middle else "black"
            axis.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
        axis.set_xticks(range(means.shape[1]), list(frame.columns[1:]))
        axis.set_yticks(range(len(frame)), [f"{frame.columns[0]} = {v}" for v in frame.iloc[:, 0]])
        axis.grid(visible=False)
        axis.set_title(family)
    save(figure, path)


def mean_of(text: str) -> float:
    """The mean that a text begins with; NaN where it is none."""
    try:
        return float(text.split()[0])
    except ValueError:
        return float("nan")
