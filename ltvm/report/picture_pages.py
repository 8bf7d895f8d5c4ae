"""Samples and reconstructions of several cells on one page, from the runs' own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from ltvm.report.cells import cell_names
from ltvm.report.figures import save, set_theme

PICTURES = 9  # cells whose pictures are shown


def draw_pictures(
    manifest: dict[str, Any], rows: pd.DataFrame, results: Path, folder: Path, suffix: str
) -> list[tuple[str, str]]:
    """Samples and reconstructions of the first seed of every cell; (heading, file) of each.

    Of more than ``PICTURES`` cells, the first of each method, or the first few of one method.
    """
    names = cell_names(rows, manifest)
    first = rows.sort_values("seed", kind="stable").drop_duplicates("cell")
    cells = len(first)
    if cells > PICTURES:
        first = first.drop_duplicates("method") if first["method"].nunique() > 1 else first
        first = first.head(PICTURES)
    paths = dict(zip(first["cell"], first["path"], strict=True))
    names = {cell: name for cell, name in names.items() if cell in paths}
    some = f", {len(names)} of {cells} cells" if len(names) < cells else ""
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
        files = [(names[cell], file) for cell, file in own.items()]
        files = [(name, file) for name, file in files if file.is_file()]
        if files:
            path = folder / f"{kind}{suffix}"
            picture_rows(files, heading, path, min(columns, len(files)))
            drawn.append((heading, f"{kind}{suffix}"))
    return drawn


def sampled_pictures(
    manifest: dict[str, Any], rows: pd.DataFrame, results: Path
) -> dict[str, Path]:
    """cell -> samples of its first seed, of cells with another sampler than the method's prior."""
    found: dict[str, Path] = {}
    for entry in sorted(manifest["runs"], key=lambda entry: entry["seed"]):
        folder = results / entry["path"] / "evaluations"
        pictures = [folder / f"{identity}.png" for identity in entry["evaluations"]]
        if entry.get("sampler") and entry["cell"] in set(rows["cell"]):
            drawn = [picture for picture in pictures if picture.is_file()]
            found.setdefault(entry["cell"], (drawn or pictures)[0])
    return found


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
