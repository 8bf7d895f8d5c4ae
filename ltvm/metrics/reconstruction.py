"""Reconstruction error: training images from their own codes, unseen images by inference."""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet, evenly
from ltvm.errors import require
from ltvm.methods.base import EVALUATION_BATCH, Method
from ltvm.metrics.base import Context, Measurement


class Reconstruction:
    """Mean squared error per pixel, images in [-1, 1].

    - ``mse_train``: g(z_i) with the training images' own codes as training leaves them:
      blended with the prior after a correction, a chain's last state, a VAE's posterior mean.
      These are different things, so no best value is marked;
    - ``mse_test``: unseen images, codes inferred once from the prior;
    - ``mse_test_best<r>``: the same, the code of least energy U(z; x) among r restarts.

    ``train_images`` and ``test_images`` bound how many images are used (null: all).
    """

    def __init__(
        self,
        train_images: int | None = None,
        test_images: int | None = None,
        restarts: int = 3,
        curve_images: int = 1000,
    ) -> None:
        require(restarts >= 1, "evaluation.metrics.reconstruction.restarts", restarts, "1 or more")
        self.train_images, self.test_images, self.restarts = train_images, test_images, restarts
        self.curve_images = curve_images
        self.best_name = f"mse_test_best{restarts}"
        self.lower_is_better = {"mse_test": True, self.best_name: True}

    @torch.no_grad()
    def train_error(
        self, method: Method, data: DataSet, largest: int | None = None
    ) -> tuple[float, int]:
        """MSE of training images (every one, or that many at even distances) and their number."""
        n = min(self.train_images or len(data.train), largest or len(data.train), len(data.train))
        index = evenly(len(data.train), n).to(method.codes.device)
        total = torch.zeros((), dtype=torch.float64)
        for rows in index.split(EVALUATION_BATCH):
            residual = data.train.scaled(rows) - method.decode(method.codes[rows])
            total += residual.square().flatten(1).mean(1).sum().double().cpu()
        return (total / n).item(), n

    def curve(self, method: Method, data: DataSet, context: Context) -> dict[str, float]:  # noqa: ARG002
        """``mse_train`` of at most ``curve_images`` images, for learning curves."""
        return {"mse_train_curve": self.train_error(method, data, self.curve_images)[0]}

    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        train_error, n_train = self.train_error(method, data)
        test = data.test.subset(min(self.test_images or len(data.test), len(data.test)))
        images = test.scaled()
        once, best = self.unseen_errors(method, images, context)
        units = {"units": "squared error per pixel, images in [-1, 1]"}
        seen = {**units, "n": n_train, "split": "train", "data": data.train.fingerprint}
        unseen = {**units, "n": len(test), "split": "test", "data": data.test.fingerprint}
        return {
            "mse_train": Measurement(train_error, seen),
            "mse_test": Measurement(once, {**unseen, "restarts": 1}),
            self.best_name: Measurement(best, {**unseen, "restarts": self.restarts}),
        }

    def unseen_errors(
        self, method: Method, images: Tensor, context: Context
    ) -> tuple[float, float]:
        """MSE with one chain per image, and with the least-energy code of all restarts."""
        n = len(images)
        repeated = images.repeat(self.restarts, 1, 1, 1)  # all restarts in one large batch
        codes = method.infer(repeated, context.stream("inference")).detach()
        energies = method.energy(repeated, codes).view(self.restarts, n)
        codes = codes.view(self.restarts, n, -1)
        best = codes[energies.argmin(0), torch.arange(n, device=images.device)]
        errors = [(method.decode(z) - images).square().mean().item() for z in (codes[0], best)]
        return errors[0], errors[1]
