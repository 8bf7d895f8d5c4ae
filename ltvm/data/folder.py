"""Any directory of images (PNG, JPEG, BMP, WebP; searched recursively), all of one size."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.data.sources import reading
from ltvm.errors import InputError, require
from ltvm.randomness import stream

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


def load(
    path: str | None, size: int, channels: int, test_fraction: float = 0.1, name: str = "folder"
) -> DataSet:
    """Return a seeded random split of the images below ``path``, uint8 [n, channels, size, size].

    Nothing is resized: an image of another size is an error, since a resize is part of every
    distance. Grey images become colour, and colour grey, as ``channels`` (1 or 3) says.
    """
    require(path is not None, "data.path", path, "a directory of images")
    require(channels in (1, 3), "data.channels", channels, "1 or 3")
    require(0 < test_fraction < 1, "data.test_fraction", test_fraction, "above 0 and below 1")
    assert path is not None
    pixels = [read_image(file, channels) for file in image_files(f"data.path={path}", path)]
    images = stacked(f"data.path={path}", pixels, (size, size), f"{size}x{size} (data.size)")
    order = torch.randperm(len(images), generator=stream(0, "folder", len(images)))
    n_test = min(max(2, round(len(images) * test_fraction)), len(images) - 2)
    return DataSet(
        ImageSet(name, "train", images[order[n_test:]]),
        ImageSet(name, "test", images[order[:n_test]]),
    )


def load_all(path: str | Path, channels: int | None = None) -> ImageSet:
    """Every image below ``path`` in the order of their names, whatever their (one) size.

    Colour images become grey, and grey colour, as ``channels`` (1 or 3) says; None: grey if
    all of them are. Raises :class:`ltvm.errors.InputError` for several sizes or no directory.
    """
    files = image_files(str(path), path)
    if channels is None:
        channels = 1 if all(is_grey(file) for file in files) else 3
    pixels = [read_image(file, channels) for file in files]
    images = stacked(str(path), pixels, pixels[0].shape[:2], "one size")
    return ImageSet(str(path), "all", images)


def image_files(key: str, path: str | Path) -> list[Path]:
    """Image files below a directory, at least four; ``key`` is what messages call it."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"{key}: no such directory")
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES)
    if len(files) < 4:
        raise InputError(
            f"{key}: {len(files)} images found; allowed: 4 or more files "
            f"({', '.join(sorted(SUFFIXES))})"
        )
    return files


def stacked(
    key: str, pixels: list[np.ndarray], size: tuple[int, ...], allowed: str
) -> torch.Tensor:
    """Images [h, w, c] of one ``size`` (h, w) as [n, c, h, w]."""
    sizes = Counter(image.shape[:2] for image in pixels)
    if set(sizes) != {size}:
        found = ", ".join(f"{w}x{h} ({count} files)" for (h, w), count in sizes.most_common(3))
        raise InputError(f"{key}: image sizes {found}; allowed: {allowed}")
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    return images.clone(memory_format=torch.contiguous_format)  # strides of one channel, too


def is_grey(path: Path) -> bool:
    from PIL import Image

    with reading("folder", path), Image.open(path) as image:
        return image.mode in ("1", "L", "LA")


def read_image(path: Path, channels: int) -> np.ndarray:
    """One image file as uint8 [h, w, channels]."""
    from PIL import Image

    with reading("folder", path), Image.open(path) as image:
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[:, :, None] if channels == 1 else pixels
