"""Overrides of cells in words: written as Hydra reads them, and read again."""

from __future__ import annotations

from typing import Any


def literal(value: Any) -> str:
    """A value as Hydra's override grammar reads it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(literal(v) for v in value) + "]"
    return str(value)


def note_words(note: object) -> list[tuple[str, str | None]]:
    """(key, value) of each override in a further cell's note; a word that is none has no value.

    >>> note_words("method.solver=bsp, method.alpha=0.3")
    [('method.solver', 'bsp'), ('method.alpha', '0.3')]
    """
    words = [word.partition("=") for word in note.split(", ")] if isinstance(note, str) else []
    return [(key, value if equals else None) for key, equals, value in words if key]
