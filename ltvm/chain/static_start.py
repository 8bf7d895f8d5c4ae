"""Draws of the prior for images, on fixed buffers, which CUDA replays as one captured graph."""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.models.prior import Prior
from ltvm.runtime.cuda_graph import Graphs, Replayed
from ltvm.runtime.randomness import ImageDraws


class StaticStart(Replayed):
    """Codes [n, d] from the prior, whose parameters must change in place, for n image numbers."""

    def __init__(self, prior: Prior, images: Tensor, graphs: Graphs[StaticStart]) -> None:
        super().__init__(images.device, graphs)
        self.prior, self.images = prior, images.clone()
        self.key = torch.zeros((), dtype=torch.int64, device=self.device)
        self.codes: Tensor | None = None  # made by the first run, in the order of what is drawn

    def __call__(self, key: int, images: Tensor) -> Tensor:
        self.key.fill_(key)
        self.images.copy_(images)
        self.replay()
        assert self.codes is not None
        return self.codes.clone()

    def run(self) -> None:
        drawn = self.prior.sample(len(self.images), ImageDraws(self.key, self.images))
        if self.codes is None:
            self.codes = torch.empty_like(drawn)
        self.codes.copy_(drawn)
