"""Configurations as one level of keys, and which of these differ between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ltvm.report.values.rows import Row


def varying_keys(configs: Iterable[Row]) -> list[str]:
    """Keys that have more than one value, an absent one counting as None."""
    configs = list(configs)
    keys = sorted({key for config in configs for key in config})
    return [key for key in keys if varies([config.get(key) for config in configs])]


def varies(values: Sequence[Any]) -> bool:
    """Whether there is more than one value; most are the same objects."""
    distinct = {id(value): value for value in values}
    return len({repr(value) for value in distinct.values()}) > 1


class Flattener:
    """``flatten``, once for what is the same object in many configurations."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, int], tuple[Any, Row]] = {}  # the object stays, and its id

    def __call__(self, config: dict[str, Any]) -> Row:
        flat: Row = {}
        for key, value in config.items():
            place = key, id(value)
            if place not in self.known:
                self.known[place] = value, flatten({key: value})
            flat |= self.known[place][1]
        return flat


def flatten(config: dict[str, Any], prefix: str = "") -> Row:
    """{"a": {"b": 1}} -> {"a.b": 1}; lists become text."""
    flat: Row = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value) if isinstance(value, list) else value
    return flat
