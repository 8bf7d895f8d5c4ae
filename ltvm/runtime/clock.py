"""Seconds by phase: the rows of the paper's cost paragraph."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ltvm.runtime.phases import Phase


class Clock:
    """Adds up wall-clock seconds per phase; a GPU is synchronised at both ends of a phase.

    >>> clock = Clock("cpu")
    >>> with clock.phase("transport"):
    ...     pass
    >>> clock.seconds["transport"] < 1
    True
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.seconds: dict[str, float] = defaultdict(float)
        self._running: tuple[str, float] | None = None  # the phase and when it began

    def training_seconds(self) -> float:
        """Seconds of all phases but evaluation so far, that of a running one included."""
        done = sum(value for name, value in self.seconds.items() if name != "evaluation")
        if self._running is None or self._running[0] == "evaluation":
            return done
        return done + self._now() - self._running[1]

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        started = self._now()
        self._running = (name, started)
        try:
            yield
        finally:
            self._running = None
            self.seconds[name] += self._now() - started
