"""Seconds and decoder passes by phase: the rows of the paper's cost paragraph."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

Phase = Literal["inference", "transport", "learning", "evaluation"]
PHASES: tuple[str, ...] = get_args(Phase)


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

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        started = self._now()
        try:
            yield
        finally:
            self.seconds[name] += self._now() - started
