"""SIGINT where a shell started the command with ``&``, and signals while nothing may be stopped.

What a shell starts with ``&`` ignores SIGINT, as does all that it starts: nothing of it could be
told to end by ``KeyboardInterrupt``.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def hear_interrupts() -> None:
    """Have SIGINT raise ``KeyboardInterrupt`` again, in this process's main thread."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def heard_interrupts() -> Iterator[None]:
    """Processes that are started meanwhile hear SIGINT; this one as before, once it is left."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if main:
        hear_interrupts()
    try:
        yield
    finally:
        if main and before is not None:
            signal.signal(signal.SIGINT, before)


@contextmanager
def held_back_interrupts() -> Iterator[None]:
    """SIGINT and SIGTERM that come meanwhile act once it is left, the first of them alone.

    In the main thread, which alone is interrupted; in another, nothing changes.
    """
    came: list[int] = []
    before: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in (int(signal.SIGINT), int(signal.SIGTERM)):
                before[number] = signal.signal(number, lambda one, _: came.append(one))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])
