"""MNIST in full: 60,000 training and 10,000 test digits, through torchvision."""

from __future__ import annotations

import torch

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.data.sources import data_root, ensure_files, reading
from ltvm.errors import InputError

FILES = {
    "train-images-idx3-ubyte": ("47 MB", 60_000),
    "train-labels-idx1-ubyte": ("60 kB", 60_000),
    "t10k-images-idx3-ubyte": ("7.8 MB", 10_000),
    "t10k-labels-idx1-ubyte": ("10 kB", 10_000),
}


def load(root: str) -> DataSet:
    """Return both splits, uint8 [n, 1, 28, 28], from ``<root>/mnist/MNIST/raw``."""
    from torchvision.datasets import MNIST

    base = data_root(root) / "mnist"
    raw = base / "MNIST" / "raw"
    files = {raw / name: size for name, (size, _) in FILES.items()}
    ensure_files("mnist", files, lambda: MNIST(base, download=True))
    splits = []
    for split, train in (("train", True), ("test", False)):
        images_file = raw / (("train" if train else "t10k") + "-images-idx3-ubyte")
        with reading("mnist", images_file):
            content = MNIST(base, train=train)
        images, labels = content.data[:, None], content.targets.long()
        expected = FILES[images_file.name][1]
        if len(images) != expected or len(labels) != expected:
            raise InputError(
                f"data=mnist: {images_file} has {len(images)} images and {len(labels)} labels; "
                f"allowed: {expected}"
            )
        splits.append(ImageSet("mnist", split, images.to(torch.uint8), labels))
    return DataSet(*splits)
