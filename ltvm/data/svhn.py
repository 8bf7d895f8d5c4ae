"""Street View House Numbers, cropped digits (Netzer et al., 2011): 73,257 and 26,032 images.

For non-commercial use only, by its authors' terms.
"""

from __future__ import annotations

from pathlib import Path

import torch

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.data.sources import data_root, ensure_files, reading

FILES = {"train_32x32.mat": "174 MB", "test_32x32.mat": "61 MB"}


def read_split(path: Path, split: str) -> ImageSet:
    """One MATLAB file with X [32, 32, 3, n] and y [n, 1] (10 stands for the digit 0)."""
    from scipy.io import loadmat

    with reading("svhn", path):
        content = loadmat(path)
        images = torch.from_numpy(content["X"]).permute(3, 2, 0, 1).contiguous()
        labels = torch.from_numpy(content["y"].astype("int64")).flatten() % 10
    return ImageSet("svhn", split, images, labels)


def load(root: str) -> DataSet:
    """Return both splits, uint8 [n, 3, 32, 32], from ``<root>/svhn``."""
    from torchvision.datasets import SVHN

    base = data_root(root) / "svhn"

    def download() -> None:
        for split in ("train", "test"):
            SVHN(base, split=split, download=True)

    ensure_files("svhn", {base / name: size for name, size in FILES.items()}, download)
    return DataSet(*(read_split(base / f"{split}_32x32.mat", split) for split in ("train", "test")))
