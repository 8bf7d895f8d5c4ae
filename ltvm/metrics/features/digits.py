"""Features of a small digit classifier, for Frechet distances on MNIST-like images.

The authors of the FID and of its PyTorch port advise against Inception features on
MNIST (pytorch-fid issue 12, TTUR issue 24). This extractor is a convolutional
classifier trained on MNIST's training split by ``train_digits.py`` beside this file;
its weights (under 1 MB) ship with the package, and their checksum stands beside every
number that was computed with them.
"""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from ltvm.errors import InputError
from ltvm.metrics.features.base import Extractor
from ltvm.metrics.features.conventions import Convention, feature_conventions
from ltvm.metrics.features.weights import verify
from ltvm.runtime.files import sha256_of

WEIGHTS = Path(__file__).with_name("digits.npz")
CHECKSUM = "2dcf40c6bc218bfd3916b886b0ae23bd4a63524d943a36c1f8c53d7d1e811773"
TEST_ACCURACY = 0.9960  # on MNIST's 10,000 test digits, printed by train_digits.py


class DigitClassifier(nn.Module):
    """Three convolutions, a 64-dimensional embedding, ten logits (0.18 M parameters)."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU(),
        )  # fmt: skip
        self.embedding = nn.Linear(48 * 7 * 7, 64)
        self.classifier = nn.Sequential(nn.ReLU(), nn.Linear(64, 10))

    def features(self, images: Tensor) -> Tensor:
        """Map images [n, 1, 28, 28] in [0, 1] to pre-activation embeddings [n, 64].

        The embedding is taken before its ReLU: half-rectified features are further from
        the Gaussian that the Frechet distance fits.
        """
        return self.embedding(self.stages(images).flatten(1))  # [n, 48, 7, 7] -> [n, 64]

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images))  # [n, 10]


class DigitFeatures(Extractor):
    """uint8 images [n, 1, 28, 28] -> float64 features [n, 64].

    ``weights`` is a path (None: the file that ships with the package), ``checksum`` the SHA-256
    that it must have. Raises :class:`ltvm.errors.InputError` if it is absent or another file, or
    if images have another shape.
    """

    name = "digits"
    feature_name = "digits"
    title = "digit features"
    dimension = 64
    batch = 1_000
    resize = "none (28x28 only)"

    def __init__(
        self,
        device: torch.device | str = "cpu",
        weights: str | None = None,
        checksum: str = CHECKSUM,
    ) -> None:
        path = WEIGHTS if weights is None else Path(weights).expanduser()
        self.checksum = checksum.lower()
        verify(path, self.checksum)
        self.device = torch.device(device)
        self.network = DigitClassifier()
        try:
            with np.load(path) as arrays:
                self.network.load_state_dict({key: torch.from_numpy(arrays[key]) for key in arrays})
        except (
            OSError, ValueError, TypeError, RuntimeError, AttributeError, KeyError, BadZipFile,
        ) as error:  # fmt: skip
            what = " ".join(str(error).split())[:120]
            raise InputError(f"extractor digits: {path}: no such weights ({what})") from error
        self.network.to(self.device).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        if images.shape[1:] != (1, 28, 28):
            shape = "x".join(map(str, images.shape[1:]))
            raise InputError(
                f"extractor digits: images of shape {shape}; allowed: 1x28x28 "
                "(extractor inception is for other images)"
            )
        # Strides decide the kernel, also where they are equivalent: one channel is in any order.
        parts = [
            x.to(self.device).to(torch.float32, memory_format=torch.contiguous_format) / 255
            for x in images.split(self.batch)
        ]
        return torch.cat([self.network.features(x) for x in parts]).double()

    def conventions(self) -> list[Convention]:
        return feature_conventions(self, self.dimension, "no resize")


def save_weights(network: DigitClassifier, path: Path = WEIGHTS) -> str:
    """Write the weights as .npz and return the file's SHA-256."""
    np.savez(path, **{key: value.cpu().numpy() for key, value in network.state_dict().items()})
    return sha256_of(path)
