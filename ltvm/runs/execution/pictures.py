"""Pictures of a trained run, which a page shows as they are.

    samples          six rows of prior samples: the same draws for every method of a seed
    reconstructions  training images above g(own code), unseen images above g(inferred code)
    nearest          samples, and unseen images, above their nearest training images
    interpolations   from one unseen image to another, and from one prior draw to another

Each draws from streams of its own, so that none of them, made or not, changes any other number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet, evenly, to_float, to_uint8
from ltvm.methods.answers import sampled
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Made
from ltvm.runs.files.store import PICTURES, SAMPLED, Run
from ltvm.runtime.files import writing
from ltvm.runtime.images import FACTS

COLUMNS = 10
SAMPLES = 6 * COLUMNS
PADDING = 2  # pixels of white between images
BLOCK = 2**23  # pixels of training images that are held as floats at once


def grid(rows: Tensor, band: int | None = None) -> Tensor:
    """uint8 images [r, c, channels, h, w] -> one uint8 picture [channels, H, W] on white.

    A wider gap parts bands of so many rows.
    """
    r, c, channels, height, width = rows.shape
    tops = [
        PADDING + i * (height + PADDING) + (2 * PADDING * (i // band) if band else 0)
        for i in range(r)
    ]
    shape = (channels, tops[-1] + height + PADDING, c * (width + PADDING) + PADDING)
    picture = torch.full(shape, 255, dtype=torch.uint8)
    for i, top in enumerate(tops):
        for j in range(c):
            left = j * (width + PADDING) + PADDING
            picture[:, top : top + height, left : left + width] = rows[i, j]
    return picture


def save_picture(path: Path, picture: Tensor, facts: dict[str, Any] | None = None) -> None:
    """Write a uint8 picture [1 or 3, H, W] as PNG, with ``facts`` as JSON in a text of it."""
    from PIL import Image, PngImagePlugin

    pixels = picture.cpu().permute(1, 2, 0).squeeze(2).numpy()  # [H, W] or [H, W, 3]
    about = None
    if facts is not None:
        about = PngImagePlugin.PngInfo()
        about.add_text(FACTS, json.dumps(facts))
    with writing(path) as file:
        Image.fromarray(pixels).save(file, format="PNG", pnginfo=about)


def save_pictures(
    folder: Path,
    method: Method,
    data: DataSet,
    context: Context,
    kinds: Iterable[str] = PICTURES,
) -> None:
    """These kinds of pictures of a trained method, each ``<folder>/<kind>.png``."""
    for kind in kinds:
        MAKERS[kind](folder / f"{kind}.png", method, data, context)


def sample_grid(method: Method, context: Context) -> Tensor:
    """The samples that pictures show, uint8 [60, c, h, w]: the same codes for every method."""
    return to_uint8(sampled(method, SAMPLES, context.stream("sample grid"))).cpu()


def save_samples(path: Path, method: Method, data: DataSet, context: Context) -> None:  # noqa: ARG001
    """Six rows of samples."""
    save_picture(path, grid(sample_grid(method, context).unflatten(0, (-1, COLUMNS))))


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


def save_nearest(path: Path, method: Method, data: DataSet, context: Context) -> None:
    """Three bands: two rows of samples, and unseen images, above their nearest training images.

    The distances of all samples of ``samples.png``, and of as many unseen images, stand in it: a
    generator that copies has samples nearer to training images than unseen images are.
    """
    device = data.train.images.device
    chosen = evenly(len(data.test), min(SAMPLES, len(data.test))).to(device)
    sampled, unseen = sample_grid(method, context), data.test.images[chosen].cpu()
    index, distances = nearest(torch.cat([sampled, unseen]).to(device), data.train.images)
    found = data.train.images[index].cpu()
    columns = min(COLUMNS, len(unseen))
    other = SAMPLES + evenly(len(unseen), columns)
    bands = (torch.arange(columns), COLUMNS + torch.arange(columns), other)
    shown = torch.cat([sampled, unseen])
    rows = torch.stack([images[band] for band in bands for images in (shown, found)])
    of_each = [round(value, 6) for value in distances.tolist()]
    facts = {"samples": of_each[:SAMPLES], "unseen": of_each[SAMPLES:], "train": len(data.train)}
    save_picture(path, grid(rows, band=2), facts)


def nearest(images: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """The index [n] of each image's nearest one in ``among``, and how far that is.

    By squared difference, mean over pixels, of uint8 images as [-1, 1] (float64 [n]): the unit of
    ``mse_test``.
    """
    flat = to_float(images).flatten(1)  # [n, p]
    least = torch.full((len(images),), torch.inf, device=images.device)
    index = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    first = 0
    for part in among.split(max(1, BLOCK // flat.shape[1])):
        distances, at = torch.cdist(flat, to_float(part).flatten(1)).min(dim=1)
        closer = distances < least
        least, index = torch.where(closer, distances, least), torch.where(closer, at + first, index)
        first += len(part)
    # cdist subtracts products, which rounds where images are alike: of the one found anew.
    difference = (images.double() - among[index].double()) / 127.5
    return index, difference.square().flatten(1).mean(1)


def save_interpolations(path: Path, method: Method, data: DataSet, context: Context) -> None:
    """Three rows between unseen images, which stand at the ends, and three between prior draws.

    Codes are inferred of the unseen images as for reconstructions; all paths are ``spherical``.
    """
    device = method.codes.device
    pairs = min(3, len(data.test) // 2)
    images = data.test.images[evenly(len(data.test), 2 * pairs).to(device)]
    codes = method.infer(to_float(images), context.stream("interpolation"))
    within = spherical(codes[:pairs], codes[pairs:], COLUMNS - 2)
    ends = images.cpu().unflatten(0, (2, pairs, 1))
    rows = torch.cat([ends[0], decoded(method, within), ends[1]], dim=1)
    draws = method.draw_codes(6, context.stream("interpolation of draws"))
    between = decoded(method, spherical(draws[:3], draws[3:], COLUMNS))
    save_picture(path, grid(torch.cat([rows, between]), band=pairs))


def decoded(method: Method, codes: Tensor) -> Tensor:
    """[r, c, d] -> uint8 [r, c, channels, h, w] on the CPU."""
    return to_uint8(method.decode(codes.flatten(0, 1))).cpu().unflatten(0, codes.shape[:2])


def spherical(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Codes [n, d] and [n, d] -> [n, steps, d] from one to the other, along an arc about 0.

    Shoemake (SIGGRAPH 1985), as White (arXiv:1609.04468) has it for generators: draws of a normal
    prior have norms close to sqrt(d), and the middle of a straight line between two of them
    sqrt(d / 2), where the prior draws nothing. Where codes are parallel it is that line.
    """
    a, b = first.double()[:, None], last.double()[:, None]  # [n, 1, d]
    angle = torch.nn.functional.cosine_similarity(a, b, dim=2).clamp(-1, 1).acos()[..., None]
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[None, :, None]
    sine = angle.sin()
    straight = sine < 1e-4
    sine = torch.where(straight, 1, sine)
    near, far = (torch.where(straight, s, (s * angle).sin() / sine) for s in (1 - t, t))
    return (near * a + far * b).to(first.dtype)


MAKERS: dict[str, Callable[[Path, Method, DataSet, Context], None]] = {
    "samples": save_samples,
    "reconstructions": save_reconstructions,
    "nearest": save_nearest,
    "interpolations": save_interpolations,
}


def save_sampled(
    run: Run,
    identity: str,
    method: Method,
    data: DataSet,
    context: Context,
    kinds: Iterable[str] = SAMPLED,
) -> None:
    """Pictures of what an evaluation's own sampler draws, beside it."""
    for kind in kinds:
        MAKERS[kind](run.evaluation_picture(identity, kind), method, data, context)
