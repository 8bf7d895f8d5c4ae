"""A decoder update of fixed shape on fixed buffers, which CUDA replays as one captured graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ltvm.runtime.cuda_graph import Graphs, Replayed

LARGEST_NUMBER_OF_GRAPHS = 2  # a full batch and a last one
Learn = Callable[[Tensor, Tensor], Tensor]  # images, codes -> loss, the step of Adam being made


class StaticUpdate(Replayed):
    """``learn`` on buffers for images and codes: forward, backward and fused Adam.

    Gradients are in the graph's memory and nobody's between replays. Weights, running statistics
    and Adam's state are those in use: they must change in place, and ``Graphs.forget`` is due
    where a state is loaded.
    """

    def __init__(
        self,
        learn: Learn,
        optimizer: torch.optim.Optimizer,
        images: Tensor,
        codes: Tensor,
        graphs: Graphs[StaticUpdate],
    ) -> None:
        super().__init__(images.device, graphs)
        self.learn, self.optimizer = learn, optimizer
        self.images, self.codes = images.clone(), codes.clone()
        self.loss = torch.zeros((), device=self.device)

    def __call__(self, images: Tensor, codes: Tensor) -> Tensor:
        """The loss, still on the device."""
        self.images.copy_(images)
        self.codes.copy_(codes)
        self.replay()
        return self.loss.clone()

    def run(self) -> None:
        self.loss.copy_(self.learn(self.images, self.codes))

    def record(self) -> torch.cuda.CUDAGraph:
        try:
            with capturable(self.optimizer):
                return super().record()
        finally:
            self.optimizer.zero_grad(set_to_none=True)


@contextmanager
def capturable(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Tell a fused Adam, whose state is on the device anyway, that its step may be captured.

    For that time alone: outside of a capture it warns, and checkpoints are the same without
    graphs.
    """
    for group in optimizer.param_groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group in optimizer.param_groups:
            group["capturable"] = False


class StaticUpdates(Graphs[StaticUpdate]):
    """Decoder updates by what is fixed in them: shapes, and the optimiser's numbers."""

    def __init__(self, learn: Learn, wanted: bool) -> None:
        super().__init__("the decoder update", wanted, LARGEST_NUMBER_OF_GRAPHS)
        self.learn = learn

    def suit(self, optimizer: torch.optim.Optimizer, codes: Tensor) -> bool:
        """Whether an update on these codes is to be a graph: not where they want a gradient, too,
        nor with another optimiser than ``Method.adam`` makes.
        """
        return (
            self.wanted
            and codes.is_cuda
            and not codes.requires_grad
            and isinstance(optimizer, torch.optim.Adam)
            and all(group["fused"] for group in optimizer.param_groups)
        )

    def __call__(self, optimizer: torch.optim.Optimizer, images: Tensor, codes: Tensor) -> Tensor:
        """Make an update; the loss, still on the device."""
        key = tuple(images.shape), tuple(codes.shape), fixed_in(optimizer)
        update = self.get(key, lambda: StaticUpdate(self.learn, optimizer, images, codes, self))
        return update(images, codes)


def fixed_in(optimizer: torch.optim.Optimizer) -> tuple[object, ...]:
    """What a graph of its step holds as numbers, and which parameters take part."""
    groups = optimizer.param_groups
    numbers = [
        (name, value) for group in groups for name, value in group.items() if name != "params"
    ]
    learning = [parameter.requires_grad for group in groups for parameter in group["params"]]
    return id(optimizer), *numbers, *learning
