"""Random pixels, 16x16x3: 40 images to train, 12 to test."""

import torch

from ltvm.data import DataSet, ImageSet


def load():
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (52, 3, 16, 16), generator=draw, dtype=torch.uint8)
    return DataSet(
        ImageSet("specks", "train", images[:40]), ImageSet("specks", "test", images[40:])
    )
