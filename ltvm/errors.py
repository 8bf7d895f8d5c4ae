"""What can go wrong, by who has to act on it."""

from __future__ import annotations


class InputError(ValueError):
    """The user's input cannot be worked with: exit code 2, one or two lines, no traceback.

    The message names the key or file, the value found and what is allowed.
    """


class DivergedError(RuntimeError):
    """Training left the numbers (NaN, exploding codes): the run ends as ``diverged``."""


def require(holds: bool, key: str, value: object, allowed: str) -> None:
    """Raise :class:`InputError` naming ``key``, ``value`` and ``allowed`` unless ``holds``."""
    if not holds:
        raise InputError(f"{key}={value}: allowed: {allowed}")
