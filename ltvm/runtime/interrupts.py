"""SIGINT where a shell started the command with ``&``: it and all that it starts ignore it.

Then nothing of it could be told to end by ``KeyboardInterrupt``.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
