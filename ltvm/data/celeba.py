"""CelebA aligned faces (Liu et al., 2015): 60,000 drawn at random, 64x64.

Centre crop of 140 x 140 from 178 x 218, resized to 64 x 64 (bilinear, antialiased, PIL). The
crop changes every distance, so it is printed. The training images are drawn with a fixed
seed from the official train partition, the test images from the test partition.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.data.sources import data_root, ensure_files, reading
from ltvm.errors import InputError
from ltvm.runtime.files import writing
from ltvm.runtime.randomness import stream

CROP, SIZE = 140, 64
PARTITIONS = {"train": "0", "test": "2"}


def load(root: str, train_images: int = 60_000, test_images: int = 10_000) -> DataSet:
    """Return both splits, uint8 [n, 3, 64, 64], from ``<root>/celeba``.

    The first call decodes the JPEG files (minutes) and keeps the result beside them.
    """
    from torchvision.datasets import CelebA

    base = data_root(root) / "celeba"
    folder, listing = base / "img_align_celeba", base / "list_eval_partition.txt"
    sizes = {folder: "202,599 JPEG files, 1.4 GB", listing: "2.7 MB"}
    ensure_files("celeba", sizes, lambda: CelebA(data_root(root), split="all", download=True))
    with reading("celeba", listing):
        rows = [line.split() for line in listing.read_text().splitlines() if line.strip()]
        names = {
            split: [name for name, number in rows if number == code]
            for split, code in PARTITIONS.items()
        }
    return DataSet(
        _split(base, folder, "train", names["train"], train_images),
        _split(base, folder, "test", names["test"], test_images),
    )


def _split(base: Path, folder: Path, split: str, names: list[str], n: int) -> ImageSet:
    if n > len(names):
        raise InputError(f"data.{split}_images={n}: allowed: at most {len(names)} (celeba {split})")
    order = torch.randperm(len(names), generator=stream(0, "celeba", len(names)))[:n]
    cache = base / f"ltvm-{split}-{n}-crop{CROP}-{SIZE}.npy"
    if not cache.is_file():
        pixels = np.stack([decode(folder / names[i]) for i in order.sort().values.tolist()])
        with writing(cache) as file:
            np.save(file, pixels)
    with reading("celeba", cache):
        pixels = np.load(cache)
    return ImageSet("celeba", split, torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous())


def decode(path: Path) -> np.ndarray:
    """One face: centre crop 140, resize 64; uint8 [64, 64, 3]."""
    from PIL import Image

    with reading("celeba", path), Image.open(path) as image:
        width, height = image.size
        left, top = (width - CROP) // 2, (height - CROP) // 2
        cropped = image.convert("RGB").crop((left, top, left + CROP, top + CROP))
        return np.asarray(cropped.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
