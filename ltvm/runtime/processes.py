"""The processes that torchrun started for one run, as it tells each of them; without torch."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any


def processes() -> int:
    """How many there are; 1 for a process that torchrun has not started."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def rank() -> int:
    """Which of them this one is, counted from 0."""
    return int(os.environ["RANK"]) if processes() > 1 else 0


def local_rank() -> int:
    """Which of those on this machine this one is, counted from 0."""
    return int(os.environ["LOCAL_RANK"])


def local_processes() -> int:
    """How many there are on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"])


def end_undisturbed() -> dict[int, Any]:
    """Ignore signals from here on: torchrun repeats them, and sends them once a process has failed.

    It kills what does not end in 30 seconds. Nothing is ignored by a process that has no others.
    Returns what handled the signals before.
    """
    if processes() == 1 or threading.current_thread() is not threading.main_thread():
        return {}
    return {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)
    }
