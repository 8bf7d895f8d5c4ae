"""Any directory of images (PNG, JPEG, BMP, WebP; searched recursively), all of one size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

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
NAMED = 3  # files in a message
T = TypeVar("T")
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
    key, base = f"data.load.path={path}", Path(path).expanduser()
    files = image_files(key, path)
    pixels = of_each(files, base, lambda file: read_image(file, channels))
    sizes_checked(key, files, base, pixels, (size, size), f"{size}x{size} (data.load.size)")
    images = stacked(pixels)
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
    files, base = image_files(str(path), path, least), Path(path).expanduser()
    if channels is None:
        grey = of_each(files, base, is_grey)
        if any(grey) and not all(grey):
            some = [files[grey.index(kind)].name for kind in (True, False)]
            raise InputError(
                f"{path}: grey ({some[0]}, ...) and colour images ({some[1]}, ...); allowed: one "
                "kind, or --channels 1 or 3"
            )
        channels = 1 if all(grey) else 3
    pixels = of_each(files, base, lambda file: read_image(file, channels))
    height, width = pixels[0].shape[:2]
    if height != width:
        raise InputError(f"{path}: images of {width}x{height}; allowed: square ones")
    sizes_checked(str(path), files, base, pixels, (height, width), "one size")
    return ImageSet(str(path), "all", stacked(pixels))


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


def of_each(files: Sequence[Path], base: Path, read: Callable[[Path], T]) -> list[T]:
    """What ``read`` makes of each; raises one :class:`InputError` for all that it refuses."""
    found, refused = [], {}
    for file in files:
        try:
            found.append(read(file))
        except InputError as error:
            refused[file] = error
    if refused:
        first, *more = refused
        also = f"; {len(more)} more that cannot be used: {named(more, base)}" if more else ""
        raise InputError(f"{refused[first]}{also}")
    return found


def named(files: Sequence[Path], base: Path) -> str:
    """The first few of some files below ``base``."""
    some = [str(file.relative_to(base)) for file in files[:NAMED]]
    return ", ".join([*some, *(["..."] if len(files) > NAMED else [])])


def sizes_checked(
    key: str,
    files: Sequence[Path],
    base: Path,
    pixels: Sequence[np.ndarray],
    size: tuple[int, ...],
    allowed: str,
) -> None:
    """Raise :class:`InputError`, with files of the rarer sizes, unless all have ``size`` (h, w)."""
    by_size: dict[tuple[int, ...], list[Path]] = {}
    for file, image in zip(files, pixels, strict=True):
        by_size.setdefault(image.shape[:2], []).append(file)
    if set(by_size) == {size}:
        return
    most, *others = sorted(by_size, key=lambda one: -len(by_size[one]))
    found = [f"{most[1]}x{most[0]} ({len(by_size[most])} files)"]
    for h, w in others[:2]:
        own = by_size[h, w]
        found.append(f"{w}x{h} ({len(own)} files: {named(own, base)})")
    raise InputError(f"{key}: image sizes {', '.join(found)}; allowed: {allowed}")


def stacked(pixels: list[np.ndarray]) -> torch.Tensor:
    """Images [h, w, c] of one size as [n, c, h, w]."""
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
