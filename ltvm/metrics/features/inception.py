"""Features of the Inception network of the FID reference implementation.

The network and its TensorFlow-1-like resize are torch-fidelity's, through torchmetrics with
``antialias=False``: since version 1.8 torchmetrics resizes with antialiasing by default,
which for small images is another sampling grid (torchmetrics issue 3177).
"""

from __future__ import annotations

import os
import pickle
import urllib.error
from pathlib import Path

import torch
from torch import Tensor, nn

from ltvm.errors import InputError, require
from ltvm.metrics.features.base import Extractor, to_colour
from ltvm.metrics.features.conventions import Convention
from ltvm.metrics.features.inception_conventions import inception_conventions
from ltvm.metrics.features.weights import verify

FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
CHECKSUM = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SIZE = "91 MB"
DIMENSIONS = (64, 192, 768, 2048)


class InceptionFeatures(Extractor):
    """uint8 images [n, 1 or 3, h, w] -> float64 features [n, dimension].

    ``dimension`` is 64, 192, 768 or 2048 (the standard FID). ``weights`` is the path of
    torch-fidelity's file (None: downloaded below ``LTVM_DATA_ROOT``) and ``checksum`` the SHA-256
    that it must have. Grey images are repeated to three channels.
    """

    name = "inception"
    distance = "fid"
    batch = 50  # some 15 MB each
    resize = "299x299 bilinear as TensorFlow 1, no antialiasing"

    def __init__(
        self,
        device: torch.device | str = "cpu",
        dimension: int = 2048,
        weights: str | None = None,
        checksum: str = CHECKSUM,
    ) -> None:
        require(
            dimension in DIMENSIONS, f"extractor {self.name}: dimension", repr(dimension),
            ", ".join(map(str, DIMENSIONS)),
        )  # fmt: skip
        self.checksum = checksum.lower()
        if weights is None:
            path = find_weights()
            verify(path, self.checksum, "Delete it to have it downloaded again")
        else:
            path = Path(weights).expanduser()
            verify(path, self.checksum)
        self.build(load_network(path, dimension), dimension, device)

    def build(self, network: nn.Module, dimension: int, device: torch.device | str) -> None:
        """Take torch-fidelity's network, which makes features of this dimension."""
        self.dimension, self.device = dimension, torch.device(device)
        self.feature_name, self.title = f"inception{dimension}", f"Inception-{dimension}"
        self.network = network.to(self.device).requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        channels = images.shape[1]
        require(channels in (1, 3), f"extractor {self.name}: channels", channels, "1, 3")
        parts = images.split(self.batch)
        return torch.cat([self.network(to_colour(x.to(self.device))).double() for x in parts])

    @property
    def distance_title(self) -> str:
        """Only that on 2048 features is what the literature calls FID."""
        return "FID" if self.dimension == 2048 else f"FID-{self.dimension}"

    def conventions(self) -> list[Convention]:
        return inception_conventions(self, self.network)


def find_weights() -> Path:
    """The weights file below ``LTVM_DATA_ROOT``, downloaded if absent.

    Raises :class:`ltvm.errors.InputError` with the file, where it would be found and its size
    if it is absent and cannot be downloaded.
    """
    target = weights_folder() / FILE
    if not target.is_file():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(URL, str(target), hash_prefix="6726825d")
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise InputError(
                f"extractor inception: weights absent and not to be downloaded ({error}).\n"
                f"Put {FILE} ({SIZE}) at {target}, or give its path: "
                "evaluation.extractor.weights=PATH, of `ltvm evaluate FOLDER AGAINST`: "
                "--weights PATH; or do without these metrics: evaluation=none"
            ) from None
    return target


def weights_folder() -> Path:
    """Where weights of Inception are looked for: below ``LTVM_DATA_ROOT``."""
    return Path(os.environ.get("LTVM_DATA_ROOT", "~/.cache/ltvm")).expanduser() / "inception"


def load_network(path: Path, dimension: int) -> nn.Module:
    """torch-fidelity's network with these weights, resizing without antialiasing.

    A file with anything but tensors is refused before torch-fidelity reads it, which would execute
    what it says.
    """
    from torchmetrics.image.fid import NoTrainInceptionV3  # seconds to import

    try:
        torch.load(path, map_location="meta", weights_only=True)  # torch-fidelity unpickles objects
        return NoTrainInceptionV3(
            "inception-v3-compat", [str(dimension)], str(path), antialias=False
        )
    except (RuntimeError, ValueError, KeyError, AttributeError, pickle.UnpicklingError) as error:
        what = " ".join(str(error).split())[:120]
        raise InputError(
            f"extractor inception: {path}: no such weights ({what}); allowed: torch-fidelity's "
            "(extractor inception_folded takes an .npz)"
        ) from error
