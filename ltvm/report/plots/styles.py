"""Colours and markers of methods: as their YAML says, else by a rule on their names."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.colors import is_color_like, to_hex
from matplotlib.markers import MarkerStyle

from ltvm.errors import require

Style = tuple[str, str]  # colour, marker

# For methods that declare none. Lightness differs too, and so do markers: readable in greyscale.
COLOURS = (
    "#54278f", "#9e9ac8", "#252525", "#969696", "#980043", "#df65b0", "#8c510a", "#01665e",
    "#dfc27d", "#80cdc1",
)  # fmt: skip
FREE_MARKERS = "PX*<>hpd"
MARKERS = "os^Dv<>PX*"  # of several cells of one method, in their order


def method_styles(manifest: dict[str, Any]) -> dict[str, Style]:
    """Method -> (colour, marker) of every method of an ablation.

    A method's own ``style`` counts. One without gets a colour and a marker by a hash of its
    name: the same in every report, unless another of this report has that one already. Raises
    :class:`ltvm.errors.InputError` for a colour or a marker that matplotlib does not know.
    """
    declared = {entry["method"]: entry.get("style") or {} for entry in manifest["runs"]}
    for method, style in declared.items():
        check(method, style)
    colours = {m: to_hex(style["colour"]) for m, style in declared.items() if style.get("colour")}
    markers = {m: style["marker"] for m, style in declared.items() if style.get("marker")}
    for method in sorted(declared):  # by name: the order of rows changes nothing
        colours.setdefault(method, chosen(method, COLOURS, colours.values()))
        markers.setdefault(method, chosen(method, FREE_MARKERS, markers.values()))
    return {method: (colours[method], markers[method]) for method in declared}


def check(method: str, style: dict[str, Any]) -> None:
    colour, marker = style.get("colour"), style.get("marker")
    require(
        colour is None or is_color_like(colour),
        f"style.colour of {method}", colour, "a colour of matplotlib, such as '#08306b'",
    )  # fmt: skip
    require(
        marker is None or marker in MarkerStyle.markers,
        f"style.marker of {method}", marker, "a marker of matplotlib, such as 'o'",
    )  # fmt: skip


def chosen(method: str, offered: Sequence[str], taken: Collection[str]) -> str:
    """The one that the name's hash points to, or the next that is free; any where none is."""
    start = int(hashlib.sha256(method.encode()).hexdigest(), 16)
    turned = [offered[(start + i) % len(offered)] for i in range(len(offered))]
    return next((one for one in turned if one not in taken), turned[0])


def cell_styles(table: pd.DataFrame, styles: dict[str, Style]) -> dict[str, Style]:
    """Colour and marker per cell: its method's where a method has one cell.

    Else the method's colour and a marker of its own, or both of its own for a single method.
    """
    cells = table.drop_duplicates("cell")
    pairs = list(zip(cells["cell"], cells["method"], strict=True))
    if cells["method"].is_unique:
        return {cell: styles[method] for cell, method in pairs}
    if cells["method"].nunique() > 1:
        number = cells.groupby("method").cumcount()
        return {
            cell: (styles[method][0], MARKERS[i % len(MARKERS)])
            for (cell, method), i in zip(pairs, number, strict=True)
        }
    return dict(zip(cells["cell"], line_styles(len(cells)), strict=True))


def line_styles(count: int) -> list[Style]:
    """As many styles, of one method's cells in their order."""
    palette = sns.color_palette("viridis", count).as_hex()
    return [(palette[i], MARKERS[i % len(MARKERS)]) for i in range(count)]
