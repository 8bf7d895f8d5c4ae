"""Samples and reconstructions of several cells on one page, from the runs' own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.image import imread

from ltvm.report.plots.figures import save, subplots, themed
from ltvm.report.values.cells import cell_names, drawn_cells, some_of
from ltvm.runtime.images import read_picture

PICTURES = 9  # cells whose pictures are shown


def draw_pictures(
    manifest: dict[str, Any],
    rows: pd.DataFrame,
    results: Path,
    folder: Path,
    suffix: str,
    unread: list[str],
) -> list[tuple[str, str]]:
    """Samples and reconstructions of the first seed of every cell; (heading, file) of each.

    Of more than ``PICTURES`` cells some of each method. A file that is no picture is left out, and
    added to ``unread``.
    """
    names = cell_names(rows, manifest)
    shown = drawn_cells(rows, PICTURES)
    first = rows[["cell", "seed", "path"]].sort_values("seed", kind="stable")
    first = first.drop_duplicates("cell")
    first = first[first["cell"].isin(shown)]
    paths = dict(zip(first["cell"], first["path"], strict=True))
    some = some_of(len(shown), len(names))
    names = {cell: names[cell] for cell in shown}
    seed = int(first["seed"].min())
    once = set(first.drop_duplicates("path")["cell"])  # several samplers reconstruct alike
    sampled = sampled_pictures(manifest, rows, results)
    whence = "Samples" if sampled else "Samples from the prior"
    drawn = []
    for kind, heading, columns in (
        ("samples", f"{whence}, seed {seed}{some}", 3),
        (
            "reconstructions",
            f"Images above their reconstructions, seed {seed}{some} "
            "(upper pair training, lower unseen)",
            2,
        ),
    ):
        own = {c: results / paths[c] / f"{kind}.png" for c in names}
        if kind == "samples":
            own |= {cell: file for cell, file in sampled.items() if cell in own}
        elif sampled:
            own = {cell: file for cell, file in own.items() if cell in once}
        read = [(names[c], pixels_of(file, unread)) for c, file in own.items() if file.is_file()]
        pictures = [(name, pixels) for name, pixels in read if pixels is not None]
        if pictures:
            path = folder / f"{kind}{suffix}"
            picture_rows(pictures, heading, path, min(columns, len(pictures)))
            drawn.append((heading, f"{kind}{suffix}"))
    return drawn


def sampled_pictures(
    manifest: dict[str, Any], rows: pd.DataFrame, results: Path
) -> dict[str, Path]:
    """cell -> samples of its first seed, of cells with another sampler than the method's prior."""
    found: dict[str, Path] = {}
    there = set(rows["cell"])
    sampled = [e for e in manifest["runs"] if e.get("sampler") and e["cell"] in there]
    for entry in sorted(sampled, key=lambda entry: entry["seed"]):
        folder = results / entry["path"] / "evaluations"
        pictures = [folder / f"{identity}.png" for identity in entry["evaluations"]]
        drawn = [picture for picture in pictures if picture.is_file()]
        found.setdefault(entry["cell"], (drawn or pictures)[0])
    return found


def pixels_of(file: Path, unread: list[str]) -> np.ndarray | None:
    """The pixels of a .png; None where it is none, which ``unread`` then says."""
    try:
        read_picture(file)  # which looks at the size first
        return imread(file)
    except (OSError, ValueError, SyntaxError) as error:  # PIL's of a damaged chunk is the last
        why = str(error).removeprefix(f"{file}: ")
        unread.append(f"{file} is no picture ({' '.join(why.split())})")
    return None


@themed
def picture_rows(
    pictures: list[tuple[str, np.ndarray]], heading: str, path: Path, columns: int
) -> None:
    """Named picture grids side by side, as .png alone: there is nothing to draw as lines."""
    rows = -(-len(pictures) // columns)
    first = pictures[0][1]
    ratio = first.shape[0] / first.shape[1]
    size = (3.6 * columns, (3.6 * ratio + 0.35) * rows + 0.3)
    figure, axes = subplots(rows, columns, size)
    for axis in axes:
        axis.axis("off")
    for axis, (name, pixels) in zip(axes, pictures, strict=False):
        axis.imshow(pixels, cmap="gray", interpolation="nearest")
        axis.set_title(name, fontsize="small")
    figure.suptitle(heading, y=0.995)
    save(figure, path, suffixes=(".png",), dpi=100)
