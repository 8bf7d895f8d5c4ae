"""Picture grids: samples, and images above their reconstructions."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet, evenly, to_float, to_uint8
from ltvm.methods.answers import sampled
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Made
from ltvm.runtime.files import writing

COLUMNS = 10
PADDING = 2  # pixels of white between images


def grid(rows: Tensor) -> Tensor:
    """uint8 images [r, c, channels, h, w] -> one uint8 picture [channels, H, W] on white."""
    r, c, channels, height, width = rows.shape
    picture = torch.full(
        (channels, r * (height + PADDING) + PADDING, c * (width + PADDING) + PADDING),
        255,
        dtype=torch.uint8,
    )
    for i in range(r):
        for j in range(c):
            top, left = i * (height + PADDING) + PADDING, j * (width + PADDING) + PADDING
            picture[:, top : top + height, left : left + width] = rows[i, j]
    return picture


def save_picture(path: Path, picture: Tensor) -> None:
    """Write a uint8 picture [1 or 3, H, W] as PNG."""
    from PIL import Image

    pixels = picture.cpu().permute(1, 2, 0).squeeze(2).numpy()  # [H, W] or [H, W, 3]
    with writing(path) as file:
        Image.fromarray(pixels).save(file, format="PNG")


def save_samples(path: Path, method: Method, context: Context) -> None:
    """Six rows of prior samples; the same codes for every method of a seed."""
    samples = to_uint8(sampled(method, 6 * COLUMNS, context.stream("sample grid"))).cpu()
    save_picture(path, grid(samples.unflatten(0, (6, COLUMNS))))


def save_given(folder: Path, made: Made, data: DataSet) -> None:
    """The same two pictures of images from elsewhere, which has no band of training images."""
    samples = made.samples.images.cpu()
    columns = min(COLUMNS, len(samples))
    rows = min(6, len(samples) // columns)
    shown = samples[evenly(len(samples), rows * columns)]
    save_picture(folder / "samples.png", grid(shown.unflatten(0, (rows, columns))))
    if made.reconstructions is not None:
        index = evenly(len(data.test), min(COLUMNS, len(data.train), len(data.test)))
        test, rebuilt = data.test.images[index], made.reconstructions.images[index]
        blank = torch.full_like(test, 255)
        bands = torch.stack([band.cpu() for band in (blank, blank, test, rebuilt)])
        save_picture(folder / "reconstructions.png", grid(bands))


def save_reconstructions(path: Path, method: Method, data: DataSet, context: Context) -> None:
    """Two bands: training images above g(own code), unseen images above g(inferred code)."""
    n = min(COLUMNS, len(data.train), len(data.test))
    train_index = evenly(len(data.train), n).to(method.codes.device)
    test_index = evenly(len(data.test), n).to(method.codes.device)
    train, test = data.train.images[train_index], data.test.images[test_index]
    seen = method.decode(method.codes[train_index])
    unseen = method.reconstruct(to_float(test), context.stream("reconstruction grid"))
    rows = torch.stack([train, to_uint8(seen), test, to_uint8(unseen)]).cpu()
    save_picture(path, grid(rows))
