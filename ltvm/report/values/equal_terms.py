"""Which rows are on equal terms, by what they spent in the currency that their terms are equal in.

An ablation may put rows of different budgets side by side: a further row that trains for longer,
a swept number of iterations. The longer one is then no better a method for being ahead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from ltvm.report.values.cells import by_cell
from ltvm.report.values.costs import CURRENCIES

TOLERANCE = 0.1  # visits are whole, so that small budgets are not spent to the last operation


@dataclass(frozen=True)
class Spent:
    """``equal``: the word of ``protocol.equal``; ``amount``: mean over seeds in its currency."""

    equal: str
    amount: float


def spent_by_cell(table: pd.DataFrame) -> dict[str, Spent]:
    """cell -> what its runs spent; rows from elsewhere and such without a record are left out."""
    if "equal" not in table:
        return {}
    words = table[["cell", "equal"]].dropna().drop_duplicates("cell")
    found = {}
    for cell, equal in zip(words["cell"].map(str), words["equal"].map(str), strict=True):
        amounts = by_cell(table, CURRENCIES.get(equal, "")).get(cell)  # a word of another version
        if amounts:
            found[cell] = Spent(equal, fmean(amounts.values()))
    return found


def are_equal(spent: Iterable[Spent]) -> bool:
    """Whether all have one currency, and spent the same of it but for ``TOLERANCE``."""
    rows = list(spent)
    if len({one.equal for one in rows}) > 1:
        return False
    amounts = [one.amount for one in rows]
    return not amounts or max(amounts) <= (1 + TOLERANCE) * min(amounts)
