"""Image files of anybody: opened by their content, by their header first, or refused by name.

Nothing here needs torch: reports show pictures, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ltvm.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

GREY = ("1", "L", "LA")
MODES = (*GREY, "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # of Pillow, with 8 bits or fewer
FORMATS = ("PNG", "JPEG", "BMP", "WEBP")  # whatever a file is called
ARRAYS = (".npy", ".npz", ".pt")  # files of many images (ltvm/data/arrays.py)
RANGES = ((0, 1), (-1, 1))  # of floats in these; [-1, 1] is the suite's own
LARGEST = 4096  # pixels of a side
FACTS = "ltvm"  # the text of a PNG that has, as JSON, what a picture of a run says of itself


def read_picture(path: Path) -> Image:
    """A picture in colour, to be looked at; raises as ``opened`` and ``refuse_irregular``."""
    refuse_irregular(path, path.parent)
    with opened(path) as image:
        return image.convert("RGB")


def refuse(path: Path, wrong: bool, found: str, allowed: str) -> None:
    if wrong:
        raise InputError(f"{path}: {found}; allowed: {allowed}")


def refuse_irregular(file: Path, folder: Path) -> None:
    """Raise :class:`ltvm.errors.InputError` for what reading would hang at, or lead elsewhere."""
    refuse(file, not file.is_file(), "no regular file", "image files")
    inside = not file.is_symlink() or file.resolve().is_relative_to(folder.resolve())
    refuse(file, not inside, "a link that leads out of the folder", "files within it")


@contextmanager
def opened(path: Path) -> Iterator[Image]:
    """An image file; raises :class:`ltvm.errors.InputError` with its name if it cannot be read.

    Also for what would be changed silently: more than 8 bits, transparency, several frames; and for
    one that ends early, or has a damaged part, where another library told Pillow to fill it up.
    """
    from PIL import Image, ImageFile

    filled, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # of sizes refused here
            header = Image.open(path, formats=FORMATS)
        with header as image:
            width, height = image.size  # of the header: nothing is decoded yet
            allowed = f"at most {LARGEST:,} pixels a side"
            refuse(path, max(image.size) > LARGEST, f"{width}x{height} pixels", allowed)
            refuse(path, image.mode not in MODES, f"pixels of mode {image.mode}", "8 bits")
            refuse(path, getattr(image, "n_frames", 1) > 1, "several frames", "one")
            with Image.open(path, formats=FORMATS) as again:
                again.verify()  # the checksums of a PNG up to its end: loading asks for some
            if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
                alpha = np.asarray(image.convert("RGBA"))[:, :, 3]
                refuse(path, bool((alpha < 255).any()), "transparent pixels", "opaque ones")
            yield image
    except InputError:
        raise
    except Exception as error:
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path}: no image that can be read ({what})") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = filled
