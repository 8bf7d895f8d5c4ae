"""Figures' PNGs: few colours, at the same places, and hardly others."""

import io

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from ltvm.report.plots.palette import in_palette

WHITE = 255


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_a_picture_of_greys_stays_as_it_is():
    draw = np.random.default_rng(0)
    buffer = io.BytesIO()
    plt.imsave(buffer, draw.integers(0, 256, (64, 48)), cmap="gray", format="png", dpi=160)
    few = in_palette(buffer.getvalue())
    assert np.array_equal(pixels(few), pixels(buffer.getvalue()))
    assert Image.open(io.BytesIO(few)).mode == "P"
    assert Image.open(io.BytesIO(few)).info["dpi"] == Image.open(buffer).info["dpi"]


def test_a_figure_keeps_white_and_rare_colours():
    """Two thousand shades, and a marker of a colour that nothing else has."""
    draw = np.random.default_rng(0)
    figure, axis = plt.subplots(figsize=(6, 4))
    axis.scatter(*draw.random((2, 400)), c=draw.random(400), cmap="viridis", alpha=0.7)
    axis.plot([0.5], [0.5], "s", color="#ff00ff", markersize=3)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=160)
    plt.close(figure)
    before, few = pixels(buffer.getvalue()), in_palette(buffer.getvalue())
    after = pixels(few)
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 2000
    assert np.abs(after - before).max() <= 16
    white = (before == WHITE).all(-1)
    assert (after[white] == WHITE).all()
    assert (np.abs(after - (255, 0, 255)).max(-1) <= 16).sum() > 20
    assert len(few) < 0.6 * len(buffer.getvalue())
