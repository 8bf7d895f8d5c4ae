"""Any directory of images (PNG, JPEG, BMP, WebP; searched recursively), all of one size."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.errors import InputError, require
from ltvm.runtime.images import GREY, opened, refuse_irregular
from ltvm.runtime.randomness import stream

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
OTHERS = {".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2", ".avif", ".heic"}  # refused, not skipped
LISTED = 2_000_000  # files that are looked at: a folder of more is a disk
LEAST = 4  # images that can be split


def load(
    path: str | None, size: int, channels: int, test_fraction: float = 0.1, name: str = "folder"
) -> DataSet:
    """Return a seeded random split of the images below ``path``, uint8 [n, channels, size, size].

    Nothing is resized: an image of another size is an error, since a resize is part of every
    distance. Grey images become colour, and colour grey, as ``channels`` (1 or 3) says.
    """
    require(path is not None, "data.load.path", path, "a directory of images")
    require(channels in (1, 3), "data.load.channels", channels, "1 or 3")
    require(0 < test_fraction < 1, "data.load.test_fraction", test_fraction, "above 0 and below 1")
    assert path is not None
    pixels = [read_image(file, channels) for file in image_files(f"data.load.path={path}", path)]
    images = stacked(
        f"data.load.path={path}", pixels, (size, size), f"{size}x{size} (data.load.size)"
    )
    order = torch.randperm(len(images), generator=stream(0, "folder", len(images)))
    n_test = min(max(2, round(len(images) * test_fraction)), len(images) - 2)
    return DataSet(
        ImageSet(name, "train", images[order[n_test:]]),
        ImageSet(name, "test", images[order[:n_test]]),
    )


def load_all(path: str | Path, channels: int | None = None, least: int = LEAST) -> ImageSet:
    """Every image below ``path`` in the order of their names, whatever their (one) size.

    Colour images become grey, and grey colour, as ``channels`` (1 or 3) says; None: grey if
    all of them are. Raises :class:`ltvm.errors.InputError` for several sizes, images that are not
    square, fewer than ``least``, or no directory.
    """
    files = image_files(str(path), path, least)
    if channels is None:
        grey = [is_grey(file) for file in files]
        if any(grey) and not all(grey):
            some = [files[grey.index(kind)].name for kind in (True, False)]
            raise InputError(
                f"{path}: grey ({some[0]}, ...) and colour images ({some[1]}, ...); allowed: one "
                "kind, or --channels 1 or 3"
            )
        channels = 1 if all(grey) else 3
    pixels = [read_image(file, channels) for file in files]
    height, width = pixels[0].shape[:2]
    if height != width:
        raise InputError(f"{path}: images of {width}x{height}; allowed: square ones")
    images = stacked(str(path), pixels, (height, width), "one size")
    return ImageSet(str(path), "all", images)


def write_images(images: ImageSet, folder: Path) -> None:
    """Every image as PNG in its order, ``00000.png`` and on, in a folder that is made."""
    folder.mkdir(parents=True)
    pixels = images.images.cpu().permute(0, 2, 3, 1).numpy()
    for number, one in enumerate(pixels[..., 0] if images.channels == 1 else pixels):
        Image.fromarray(one).save(folder / f"{number:05d}.png")


def image_files(key: str, path: str | Path, least: int = LEAST) -> list[Path]:
    """Image files below a directory, ``least`` or more; ``key`` is what messages call it.

    Links to directories are not followed; those that lead out of it, pipes and devices are
    refused. Other image formats are refused, not skipped.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"{key}: no such directory")
    allowed = f"{least} or more files ({', '.join(sorted(SUFFIXES))})"
    if folder.resolve() == Path(folder.resolve().anchor):
        raise InputError(f"{key}: the root of a file system; allowed: a directory of {allowed}")
    listed = list(islice(all_below(folder), LISTED + 1))
    if len(listed) > LISTED:
        raise InputError(f"{key}: more than {LISTED:,} files below it; allowed: {allowed}")
    files = sorted(f for f in listed if f.suffix.lower() in SUFFIXES)
    for file in files:
        refuse_irregular(file, folder)
    others = sorted(f for f in listed if f.suffix.lower() in OTHERS)
    if others:
        raise InputError(f"{key}: {len(others)} files like {others[0].name}; allowed: {allowed}")
    if len(files) < least:
        raise InputError(f"{key}: {len(files)} images found; allowed: {allowed}")
    return files


def all_below(folder: Path) -> Iterator[Path]:
    """All that is below a directory; links to directories are named, and not followed."""
    for parent, directories, files in os.walk(folder):
        for name in (*directories, *files):
            yield Path(parent, name)


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
    """Whether a file is stored without colour, or its palette has none."""
    with opened(path) as image:
        if image.mode not in ("P", "PA"):
            return image.mode in GREY
        colours = np.asarray(image.convert("RGB"))
        return bool((colours == colours[:, :, :1]).all())


def read_image(path: Path, channels: int) -> np.ndarray:
    """One image file as uint8 [h, w, channels], as stored: an orientation tag is not applied."""
    with opened(path) as image:
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[:, :, None] if channels == 1 else pixels
