"""What can go wrong, by who has to act on it."""

from __future__ import annotations

from pathlib import Path


class InputError(ValueError):
    """The user's input cannot be worked with: exit code 2, one or two lines, no traceback.

    The message names the key or file, the value found and what is allowed.
    """


class DivergedError(RuntimeError):
    """Training left the numbers (NaN, exploding codes): the run ends as ``diverged``."""


class TakenOverError(RuntimeError):
    """Another process has taken this one's run: it must not write to it any more."""


class VanishedError(RuntimeError):
    """The directory of a run is gone while the run is under way: removed, or its disk is."""


def in_words(error: Exception) -> str:
    """An error in one line: of a file, which and why; else its kind and what it says."""
    if isinstance(error, VanishedError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {error}"


class UnreadableError(InputError):
    """A file of a run is damaged; ``path`` is the file."""

    def __init__(self, path: Path, what: str, remedy: str) -> None:
        super().__init__(f"{path} {what}; {remedy}")
        self.path, self.what = path, what


class LaunchError(RuntimeError):
    """A launcher, not a run, failed: no cluster, a process that died. What is done stays done."""


def require(holds: bool, key: str, value: object, allowed: str) -> None:
    """Raise :class:`InputError` naming ``key``, ``value`` and ``allowed`` unless ``holds``."""
    if not holds:
        raise InputError(f"{key}={value}: allowed: {allowed}")
