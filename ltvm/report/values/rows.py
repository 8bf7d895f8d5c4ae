"""Rows of a long table, collected so that what many have in common is held once.

A row is three things: what holds of all values of a run and an evaluation (its head), what a value
is (its kind, the same for most runs) and the value. Of 10,000 runs there are 220,000 rows of 45
columns: a dictionary each would take gigabytes and most of a minute.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable
from itertools import chain
from typing import Any

import pandas as pd

Row = dict[str, Any]


class Rows:
    """``frame`` is what ``pd.DataFrame`` makes of the rows as dictionaries, ``head | kind``."""

    def __init__(self) -> None:
        self.heads: list[Row] = []
        self.kinds: list[Row] = []  # each has its place for the value
        self.numbers: dict[bytes, int] = {}  # of kinds
        self.of_head: list[int] = []
        self.of_kind: list[int] = []
        self.values: list[float | None] = []

    def head(self, shared: Row) -> int:
        """The number of a head, for the rows that follow."""
        self.heads.append(shared)
        return len(self.heads) - 1

    def __len__(self) -> int:
        return len(self.values)

    def add(self, head: int, kind: int, value: float | None) -> None:
        self.of_head.append(head)
        self.of_kind.append(kind)
        self.values.append(value)

    def kind(self, key: tuple[Any, ...], make: Callable[[], Row]) -> int:
        """The number of the kind that ``key`` decides, of what JSON has; made when it is new."""
        known = marshal.dumps(key, 2)  # tells 1, 1.0 and true apart, and is fast
        number = self.numbers.get(known)
        if number is None:
            self.kinds.append(make())
            number = self.numbers[known] = len(self.kinds) - 1
        return number

    def frame(self) -> pd.DataFrame:
        if not self.values:
            return pd.DataFrame()
        used = {number: place for place, number in enumerate(dict.fromkeys(self.of_head))}
        heads = pd.DataFrame([self.heads[number] for number in used])
        heads = heads.take([used[number] for number in self.of_head]).reset_index(drop=True)
        kinds = pd.DataFrame(self.kinds).take(self.of_kind).reset_index(drop=True)
        columns = {name: kinds[name] if name in kinds else heads[name] for name in self.order()}
        for name in map(str, set(heads) & set(kinds)):
            columns[name] = self.of_both(name)
        columns["value"] = pd.Series(self.values)
        return pd.DataFrame(columns)

    def of_both(self, name: str) -> pd.Series:
        """A column that heads and kinds have: a kind's, where it has it."""
        return pd.Series([
            self.kinds[kind].get(name, self.heads[head].get(name, float("nan")))
            for head, kind in zip(self.of_head, self.of_kind, strict=True)
        ])  # fmt: skip

    def order(self) -> list[str]:
        """The columns, in the order in which the rows name them first."""
        heads, kinds = [tuple(head) for head in self.heads], [tuple(kind) for kind in self.kinds]
        rows = ((heads[h], kinds[k]) for h, k in zip(self.of_head, self.of_kind, strict=True))
        return list(dict.fromkeys(chain.from_iterable(chain(*row) for row in dict.fromkeys(rows))))
