"""What is found of a long table once, however many parts of a report ask for it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import pandas as pd

Found = TypeVar("Found")


def remembered(find: Callable[[pd.DataFrame], Found]) -> Callable[[pd.DataFrame], Found]:
    """Keep what ``find`` finds of a table for as long as that table lives.

    A long table is never changed once it is made, and what is found of it is only read.
    """
    known: dict[int, Found] = {}

    @wraps(find)
    def finding(table: pd.DataFrame) -> Found:
        key = id(table)
        if key not in known:
            known[key] = find(table)
            weakref.finalize(table, known.pop, key, None).atexit = False
        return known[key]

    return finding
