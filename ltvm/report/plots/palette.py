"""PNGs of at most 256 colours, which are a third of the bytes of those that matplotlib writes."""

from __future__ import annotations

import io

from PIL import Image

COLOURS = 256  # what a palette of one byte a pixel has


def in_palette(png: bytes) -> bytes:
    """An opaque PNG with a palette: exact where it has no more colours than that.

    Of more, the palette is spread over the colours that there are, however rare they are, so that
    a marker keeps its own; what moves, by a few of 255 levels, are the many shades of edges. Of a
    figure that was not rendered, no bytes, nothing is made.
    """
    if not png:
        return png
    image = Image.open(io.BytesIO(png))
    few = image.convert("RGB").quantize(
        COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    buffer = io.BytesIO()
    few.save(buffer, "PNG", optimize=True, dpi=image.info.get("dpi"))
    return buffer.getvalue()
