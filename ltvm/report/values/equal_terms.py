"""Which rows are on equal terms, by what they spent in the currency that their terms are equal in.

Seconds are those of one device. An ablation may put rows of different budgets side by side: a
further row that trains for longer, a swept number of iterations. The longer one is then no better a
method for being ahead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from ltvm.report.values.cells import by_cell
from ltvm.report.values.costs import CURRENCIES

SECONDS = "seconds"  # the word of ``protocol.equal`` for what depends on a device
TOLERANCE = 0.1  # visits are whole, so that small budgets are not spent to the last operation


@dataclass(frozen=True)
class Spent:
    """``equal``: the word of ``protocol.equal``; ``amount``: mean over seeds in its currency.

    ``amount`` is nan where nothing says it, ``device`` empty but for seconds.
    """

    equal: str
    amount: float
    device: str = ""

    @property
    def currency(self) -> str:
        """``flops``, ``seconds of AMD EPYC, 1 threads``"""
        return f"{self.equal} of {self.device}" if self.device else self.equal


def spent_by_cell(table: pd.DataFrame) -> dict[str, Spent]:
    """cell -> what its runs spent; rows from elsewhere and such without a record are left out."""
    if "equal" not in table:
        return {}
    found = {}
    for cell, rows in table.dropna(subset=["equal"]).groupby("cell", sort=False):
        equal = str(rows["equal"].iloc[0])
        amounts = by_cell(table, CURRENCIES.get(equal, "")).get(str(cell), {})
        devices = sorted(map(str, rows["device"].dropna().unique())) if equal == SECONDS else []
        amount = fmean(amounts.values()) if amounts else math.nan
        found[str(cell)] = Spent(equal, amount, " and ".join(devices))
    return found


def are_equal(spent: Iterable[Spent]) -> bool:
    """Whether all have one currency, and spent the same of it but for ``TOLERANCE``."""
    rows = list(spent)
    if len({one.currency for one in rows}) > 1:
        return False
    least, most = extremes(rows)
    return not most > (1 + TOLERANCE) * least  # nan: nothing says so


def extremes(spent: Iterable[Spent]) -> tuple[float, float]:
    """The least and the most that is spent; nan where nothing says what any spent."""
    amounts = [one.amount for one in spent if not math.isnan(one.amount)]
    return (min(amounts), max(amounts)) if amounts else (math.nan, math.nan)
