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
from ltvm.metrics.features import folded
from ltvm.metrics.features.weights import verify

FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
CHECKSUM = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SIZE = "91 MB"
DIMENSIONS = (64, 192, 768, 2048)


def find_weights(path: str | None) -> Path:
    """The weights file: ``path``, or the cache below ``LTVM_DATA_ROOT``, downloaded if absent.

    Raises :class:`ltvm.errors.InputError` with the file, where it would be found and its size
    if it is absent and cannot be downloaded.
    """
    if path is not None:
        return Path(path).expanduser()
    root = Path(os.environ.get("LTVM_DATA_ROOT", "~/.cache/ltvm")).expanduser()
    target = root / "inception" / FILE
    if not target.is_file():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(URL, str(target), hash_prefix="6726825d")
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise InputError(
                f"extractor inception: weights absent and not to be downloaded ({error}).\n"
                f"Put {FILE} ({SIZE}) at {target}, or give its path: "
                "evaluation.metrics.frechet.weights=PATH, or --weights PATH"
            ) from None
    return target


class InceptionFeatures:
    """uint8 images [n, 1 or 3, h, w] -> float64 features [n, dimension].

    ``dimension`` is 64, 192, 768 or 2048 (the standard FID). ``weights`` is a path: that of
    torch-fidelity's file, or of an ``.npz`` with folded batch norm, which has no 2048 (see
    ``ltvm.metrics.features.folded``). ``checksum`` is the SHA-256 that the file must have (None:
    that of the known file of its kind). Grey images are repeated to three channels.
    """

    name = "inception"
    batch = 50  # images in the network at once: some 15 MB each, and of influence on rounding
    resize = "299x299 bilinear as TensorFlow 1, no antialiasing"

    def __init__(
        self,
        device: torch.device | str = "cpu",
        dimension: int = 2048,
        weights: str | None = None,
        checksum: str | None = CHECKSUM,
    ) -> None:
        require(
            dimension in DIMENSIONS, "extractor inception: dimension", repr(dimension),
            ", ".join(map(str, DIMENSIONS)),
        )  # fmt: skip
        path = find_weights(weights)
        is_folded = path.suffix == ".npz"
        known = folded.CHECKSUM if is_folded else CHECKSUM
        self.dimension = dimension
        self.checksum = known if checksum is None else checksum.lower()
        verify(path, self.checksum)
        self.device = torch.device(device)
        self.network = load_network(path, dimension, is_folded).to(self.device)
        self.network.requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        require(images.shape[1] in (1, 3), "extractor inception: channels", images.shape[1], "1, 3")
        parts = images.split(self.batch)
        return torch.cat([self.network(to_colour(x.to(self.device))).double() for x in parts])


def to_colour(images: Tensor) -> Tensor:
    """Grey images repeated to three channels: [n, 1 or 3, h, w] -> [n, 3, h, w]."""
    return images.expand(-1, 3, -1, -1).contiguous()


def load_network(path: Path, dimension: int, is_folded: bool) -> nn.Module:
    """torch-fidelity's network with these weights, resizing without antialiasing."""
    if is_folded:
        return folded.folded_network(path, dimension)
    from torchmetrics.image.fid import NoTrainInceptionV3  # seconds to import

    try:
        return NoTrainInceptionV3(
            "inception-v3-compat", [str(dimension)], str(path), antialias=False
        )
    except (RuntimeError, ValueError, KeyError, AttributeError, pickle.UnpicklingError) as error:
        what = " ".join(str(error).split())[:120]
        raise InputError(f"extractor inception: {path}: no such weights ({what})") from error
