"""Images that a method was trained on and that are not here: it samples without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.errors import InputError


@dataclass(frozen=True)
class AbsentImages(ImageSet):
    """Their number, shape and fingerprint are known; who asks for pixels is told ``why`` not.

    ``images`` has no memory (device ``meta``).
    """

    why: str = ""

    def scaled(self, index: Tensor | slice = slice(None)) -> Tensor:  # noqa: ARG002
        raise InputError(f"{self.why}\nWithout its images a method samples and infers, no more")

    def to(self, device: torch.device) -> AbsentImages:  # noqa: ARG002
        return self


def absent(name: str, shape: Sequence[int], fingerprints: Mapping[str, str], why: str) -> DataSet:
    """A data set whose training split had this shape [n, channels, size, size].

    Raises :class:`InputError` for what is no shape of images.
    """
    splits = []
    for split in ("train", "test"):
        images = AbsentImages(
            name, split, torch.empty(tuple(shape), dtype=torch.uint8, device="meta"), why=why
        )
        images.__dict__["fingerprint"] = fingerprints[split]
        splits.append(images)
    return DataSet(*splits)
