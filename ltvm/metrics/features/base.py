"""The contract of a feature extractor: uint8 images [n, c, h, w] -> float64 [n, dimension].

An extractor of one's own is one class and one YAML file in the group ``extractor`` (see
CONTRIBUTING.md); its parameters, other than its ``device``, are the keys of that file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from ltvm.metrics.features.conventions import Convention, feature_conventions


class Extractor(ABC):
    """A fixed network whose features are compared.

    ``feature_name`` names every value computed on it (``fid_inception2048``) and ``title`` says so
    in words ("Inception-2048"). ``distance`` is what a Frechet distance on it is called: only that
    on Inception's features is a FID (``fid``, title "FID"), others are ``fd``.
    """

    name: str  # "inception"
    feature_name: str  # "inception2048"
    title: str  # "Inception-2048", "digit features"
    distance: ClassVar[str] = "fd"  # fd | fid
    dimension: int
    checksum: str  # SHA-256 of the weights
    resize: str  # what is done to images of another size, in words
    batch: int  # images in the network at once: of influence on rounding
    device: torch.device

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Features on the extractor's device, computed in float32 and given as float64.

        Raises :class:`ltvm.errors.InputError` for images of a shape it does not take.
        """

    @property
    def distance_title(self) -> str:
        """What a Frechet distance on these features is called in words."""
        return f"{self.distance.upper()}, {self.title}"

    def conventions(self) -> list[Convention]:
        """The ways in which code bases compute a Frechet distance on it, this suite's own first."""
        return feature_conventions(self, self.dimension, f"resize {self.resize}")

    def provenance(self) -> dict[str, Any]:
        """What every number computed on these features says about them."""
        return {
            "extractor": self.name,
            "checksum": self.checksum,
            "dimension": self.dimension,
            "resize": self.resize,
            "batch": self.batch,
        }


def to_colour(images: Tensor) -> Tensor:
    """Grey images repeated to three channels: [n, 1 or 3, h, w] -> [n, 3, h, w]."""
    return images.expand(-1, 3, -1, -1).contiguous()
