"""Work on fixed buffers, which CUDA replays as one captured graph: one launch in place of hundreds.

Graphs of one pool compute in the same memory. That is sound since they are replayed one after the
other, and since what outlives a replay is in buffers made outside of it.
"""

from __future__ import annotations

import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch


class CaptureError(RuntimeError):
    """Work cannot be a graph here; the reason is the message."""


class Pool:
    """Memory for graphs of one device, taken with the first of them and freed with the last.

    They are recorded on one ``stream`` of that device, without which memory is not shared. torch's
    own is made once per process, on the device that was current then.
    """

    @cached_property
    def handle(self) -> Any:
        return torch.cuda.graph_pool_handle()

    @cached_property
    def stream(self) -> torch.cuda.Stream:
        return torch.cuda.Stream()


class Replayed(ABC):
    """Work on fixed buffers, done when ``replay`` is called.

    On CUDA the first call does it as it stands, which is the warm-up that CUDA asks for, the second
    records it, and from then on the record is replayed. So warming up changes nothing that the
    work is not to change, and what is done once is not recorded.
    """

    def __init__(self, device: torch.device, graphs: Graphs[Any]) -> None:
        self.device, self.graphs, self.warm = device, graphs, False
        self.graph: torch.cuda.CUDAGraph | None = None

    @abstractmethod
    def run(self) -> None:
        """The work, from buffers to buffers.

        It waits for nothing, leaves nothing on the host, and finds there what it found the first
        time; tensors that last (an optimiser's state) are made the first time that it runs.
        """

    def replay(self) -> None:
        """Do the work; where it cannot be recorded, the owner of the graphs is told so."""
        if self.device.type != "cuda":
            self.run()
            return
        # Streams and graphs belong to the current device, which need not be the work's.
        with torch.cuda.device(self.device):
            if self.warm and self.graph is None:
                try:
                    self.graph = self.record()
                except CaptureError as error:
                    self.graphs.give_up(error)
            if self.graph is not None:
                self.graph.replay()
                return
            side = self.graphs.pool.stream
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self.run()
            torch.cuda.current_stream().wait_stream(side)
            self.warm = True

    def record(self) -> torch.cuda.CUDAGraph:
        """``run`` as a graph; nothing that is recorded happens.

        Raises :class:`CaptureError` where that fails, or where nothing was recorded.
        """
        graph, pool = torch.cuda.CUDAGraph(), self.graphs.pool
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="The CUDA Graph is empty")
                with torch.cuda.graph(graph, pool=pool.handle, stream=pool.stream):
                    self.run()
        except (RuntimeError, UserWarning) as error:
            raise CaptureError(" ".join(str(error).split())[:200]) from error
        return graph


W = TypeVar("W", bound=Replayed)


class Graphs(Generic[W]):
    """The replayed works of one owner, at most ``largest``, by all that is fixed in them.

    ``wanted`` says whether there are any; ``what`` they are is for the line that says why not.
    """

    def __init__(self, what: str, wanted: bool, largest: int, pool: Pool | None = None) -> None:
        self.what, self.wanted, self.largest = what, wanted, largest
        self.pool = Pool() if pool is None else pool
        self.held: dict[Hashable, W] = {}

    def get(self, key: Hashable, make: Callable[[], W]) -> W:
        """The work for ``key``, made the first time; the oldest goes where there are too many."""
        if key not in self.held:
            if len(self.held) == self.largest:
                self.held.pop(next(iter(self.held)))
            self.held[key] = make()
        return self.held[key]

    def forget(self) -> None:
        """Record anew: tensors that the works write to are no longer those in use."""
        self.held.clear()

    def give_up(self, error: CaptureError) -> None:
        """Do without from here on, and say so."""
        self.wanted = False
        self.forget()
        print(
            f"ltvm: no CUDA graph of {self.what} ({error}); step by step from here on, "
            "as with execution.graph=false",
            file=sys.stderr,
        )
