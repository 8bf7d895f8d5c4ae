"""The contract of a feature extractor: uint8 images [n, c, h, w] -> float64 [n, dimension]."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor


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
        """Raises :class:`ltvm.errors.InputError` for images of a shape it does not take."""
