"""What can go wrong, by who has to act on it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class InputError(ValueError):
    """The user's input cannot be worked with: exit code 2, one or two lines, no traceback.

    The message names the key or file, the value found and what is allowed.
    """


class OneRunError(InputError):
    """The files of one run cannot be worked with: other seeds of its cell may well be."""


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


def require_one_of(key: str, value: object, allowed: Iterable[str]) -> None:
    """Raise :class:`InputError` unless ``value`` is one of ``allowed``; it names the nearest."""
    words = list(allowed)
    if value not in words:
        raise InputError(f"{key}={value}: allowed: {', '.join(words)}{did_you_mean(value, words)}")


def did_you_mean(word: object, known: Iterable[str], before: str = "") -> str:
    """``; did you mean vae?``, or nothing where none of ``known`` is near.

    >>> did_you_mean("vea", ["abp", "vae"]), did_you_mean("magic", ["abp", "vae"])
    ('; did you mean vae?', '')
    """
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {before}{near}?"


def nearest(word: object, known: Iterable[str], least: float = 0.6) -> str | None:
    """The one of ``known`` that a word was probably meant to be, if any.

    ``least`` is how alike they are: 0 for no letter in common, 1 for the same.
    """
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(str(word).lower(), by_lower, 1, least)
    return by_lower[near[0]] if near else None
