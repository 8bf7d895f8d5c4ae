"""Reconstruction error: training images from their own codes, unseen images by inference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet, evenly
from ltvm.errors import require
from ltvm.methods.base import EVALUATION_BATCH, Method
from ltvm.metrics.base import Context, Made, Measurement, Metric
from ltvm.metrics.columns import Column
from ltvm.metrics.images.restarts import infer_restarts
from ltvm.metrics.images.scores import DATA_RANGE, WINDOW, psnr, ssim

KEY = "evaluation.metrics.reconstruction"
MSE_UNIT = "squared error per pixel, images in [-1, 1]"


class Reconstruction(Metric):
    """Mean squared error per pixel, images in [-1, 1].

    - ``mse_train``: g(z_i) with the training images' own codes as training leaves them:
      blended with the prior after a correction, a chain's last state, a VAE's posterior mean.
      These are different things, so no best value is marked;
    - ``mse_test``: unseen images, codes inferred once from the prior;
    - ``mse_test_best<r>``: the same, the code of least energy U(z; x) among r restarts.

    With ``quality`` the same reconstructions also give ``psnr_...`` (dB) and ``ssim_...``, means
    over images of each image's value with a data range of 2 (see ``ltvm.metrics.images.scores``).

    ``train_images`` and ``test_images`` bound how many images are used (null: all).
    """

    of_samples = False

    def __init__(
        self,
        train_images: int | None = None,
        test_images: int | None = None,
        restarts: int = 3,
        curve_images: int | None = 1000,
        quality: bool = False,
    ) -> None:
        for name, value in (
            ("train_images", train_images), ("test_images", test_images),
            ("restarts", restarts), ("curve_images", curve_images),
        ):  # fmt: skip
            if value is not None or name == "restarts":
                least = 1 if name in ("restarts", "train_images", "curve_images") else 2
                require(
                    type(value) is int and value >= least, f"{KEY}.{name}", value,
                    f"integers from {least}" + ("" if name == "restarts" else ", null: all"),
                )  # fmt: skip
        self.train_images, self.test_images, self.restarts = train_images, test_images, restarts
        self.curve_images, self.quality = curve_images, quality
        self.best = f"test_best{restarts}"

    def columns(self) -> dict[str, Column]:
        about = {
            "train": "training images decoded from their own codes as training leaves them",
            "test": "unseen images decoded from codes inferred once from the prior",
            self.best: (
                "unseen images decoded from the inferred code of least energy among "
                f"{self.restarts} restarts"
            ),
        }
        titles = {
            "train": "training images, own codes",
            "test": "unseen images",
            self.best: f"unseen, best of {self.restarts} restarts",
        }
        return {
            f"{kind}_{split}": quality_column(kind, titles[split], what, split)
            for kind in (("mse", "psnr", "ssim") if self.quality else ("mse",))
            for split, what in about.items()
        }

    def curve_columns(self) -> dict[str, Column]:
        number = "all" if self.curve_images is None else f"at most {self.curve_images}"
        return {
            "mse_train_curve": replace(
                self.columns()["mse_train"],
                title="MSE, training images, own codes, along training",
                definition=(
                    f"Mean squared error per pixel of {number} training images decoded from their "
                    "own codes, after an iteration of training."
                ),
            )
        }

    @torch.no_grad()
    def train_pairs(
        self, method: Method, data: DataSet, largest: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of training images (every one, or that many at even distances), and of g(z_i)."""
        n = min(self.train_images or len(data.train), largest or len(data.train), len(data.train))
        index = evenly(len(data.train), n).to(method.codes.device)
        for rows in index.split(EVALUATION_BATCH):
            yield data.train.scaled(rows), method.decode(method.codes[rows])

    @torch.no_grad()
    def train_error(
        self, method: Method, data: DataSet, largest: int | None = None
    ) -> tuple[float, int]:
        """MSE of training images (every one, or that many at even distances) and their number."""
        total, n = torch.zeros((), dtype=torch.float64), 0
        for images, made in self.train_pairs(method, data, largest):
            total += (images - made).square().flatten(1).mean(1).sum().double().cpu()
            n += len(images)
        return (total / n).item(), n

    def curve(self, method: Method, data: DataSet, context: Context) -> dict[str, float]:  # noqa: ARG002
        """``mse_train`` of at most ``curve_images`` images, for learning curves."""
        return {"mse_train_curve": self.train_error(method, data, self.curve_images)[0]}

    def check(self, data: DataSet, context: Context) -> None:  # noqa: ARG002
        """Raise :class:`ltvm.errors.InputError` for images that SSIM's window does not fit in."""
        if self.quality:
            require(
                data.train.size >= WINDOW, f"{KEY}.quality", True,
                f"false for images of {data.train.size} pixels: SSIM's window has {WINDOW}",
            )  # fmt: skip

    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        train_error, n_train = self.train_error(method, data)
        test = data.test.subset(min(self.test_images or len(data.test), len(data.test)))
        images = test.scaled()
        once, best = self.unseen_reconstructions(method, images, context)
        units = {"units": MSE_UNIT}
        inferred = {"inference_precision": method.inference_precision}
        seen = {"n": n_train, "split": "train", "data": data.train.fingerprint, **inferred}
        unseen = {"n": len(test), "split": test.split, "data": data.test.fingerprint, **inferred}
        restarts = {"test": {**unseen, "restarts": 1}}
        restarts[self.best] = {**unseen, "restarts": self.restarts}
        values = {"mse_train": Measurement(train_error, {**units, **seen})}
        for split, made in (("test", once), (self.best, best)):
            error = (made - images).square().mean().item()
            values[f"mse_{split}"] = Measurement(error, {**units, **restarts[split]})
        if self.quality:
            values |= quality_of(self.train_pairs(method, data), "train", seen)
            for split, made in (("test", once), (self.best, best)):
                values |= quality_of([(images, made)], split, restarts[split])
        return values

    def of_made(self, made: Made, data: DataSet, context: Context) -> dict[str, Measurement]:
        """The error of given reconstructions of the unseen images that other methods get."""
        if made.reconstructions is None:
            return {}
        self.check(data, context)
        n = min(self.test_images or len(data.test), len(data.test))
        unseen, rebuilt = data.test.subset(n), made.reconstructions.subset(n)  # the same ones
        images, own = unseen.scaled(), rebuilt.scaled()
        stated = {"n": n, "split": unseen.split, "data": data.test.fingerprint}
        error = (own - images).square().mean().item()
        values = {"mse_test": Measurement(error, {"units": MSE_UNIT, **stated})}
        return values | (quality_of([(images, own)], "test", stated) if self.quality else {})

    def unseen_reconstructions(
        self, method: Method, images: Tensor, context: Context
    ) -> tuple[Tensor, Tensor]:
        """g(z) of one chain per image, and of the least-energy code of all restarts."""
        found = infer_restarts(method, images, self.restarts, context.stream("inference"))
        rows = torch.arange(len(images), device=images.device)
        best = found.codes[found.best(), rows]
        return method.decode(found.codes[0]), method.decode(best)


QUALITY = {  # kind of value: abbreviation, words, better, unit
    "mse": ("MSE", "Mean squared error per pixel", "lower", MSE_UNIT),
    "psnr": ("PSNR", "Mean peak signal-to-noise ratio (data range 2)", "higher", "dB"),
    "ssim": ("SSIM", "Mean structural similarity (data range 2, 11-pixel window)", "higher", ""),
}


def quality_column(kind: str, title: str, images: str, split: str) -> Column:
    """The column of one kind of value; training images' own codes are of different kinds, so that
    no best value is marked among them.
    """
    short, words, better, unit = QUALITY[kind]
    direction: Any = None if split == "train" else better
    return Column(
        title=f"{short}, {title}" + (f", {unit}" if kind == "psnr" else ""),
        definition=f"{words} of {images}.",
        family="reconstruction",
        unit=unit,
        direction=direction,
        headline=kind == "mse" and split in ("train", "test"),
    )


@torch.no_grad()
def quality_of(
    pairs: Iterable[tuple[Tensor, Tensor]], split: str, provenance: dict[str, Any]
) -> dict[str, Measurement]:
    """Mean PSNR and SSIM over batches of images and their reconstructions."""
    ratios, similarities = [], []
    for images, made in pairs:
        ratios.append(psnr(made, images).double())
        similarities.append(ssim(made, images).double())
    what = {"data_range": DATA_RANGE, **provenance}
    return {
        f"psnr_{split}": Measurement(torch.cat(ratios).mean().item(), {"units": "dB", **what}),
        f"ssim_{split}": Measurement(torch.cat(similarities).mean().item(), what),
    }
