"""How long the runs that are left will take, from those that were done.

Runs of one kind (one cell, any seed) take about the same time, and those that are trained already
a small part of it. A kind that was not met yet is expected to take what the mean of the others
takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

from ltvm.runs.identity import evaluation_identity, identity


def kind_of(config: dict[str, Any]) -> str:
    """What runs that differ in the seed alone have in common."""
    return f"{identity(config)}+{evaluation_identity(config)}"


class Work(NamedTuple):
    """What is to do for a run: its kind, and whether it is trained or only measured."""

    kind: str
    training: bool = True


class Forecast:
    """Seconds that are left of a list of runs.

    >>> forecast = Forecast([Work("vae"), Work("abp"), Work("vae"), Work("abp"), Work("abp")])
    >>> forecast.seconds_left() is None
    True
    >>> forecast.finished(Work("vae"), 10.0)
    >>> forecast.seconds_left()
    40.0
    >>> forecast.finished(Work("abp"), 40.0)
    >>> forecast.seconds_left()
    90.0
    """

    def __init__(self, work: Sequence[Work]) -> None:
        self.left = Counter(work)
        self.measured: dict[Work, list[float]] = {}

    def finished(self, work: Work, seconds: float) -> None:
        """A run took so long and is not left any more.

        Of two runs that share a training either may come first: the one that is left of the kind
        is taken.
        """
        other = work._replace(training=not work.training)
        self.left[work if self.left[work] or not self.left[other] else other] -= 1
        self.left = +self.left
        self.measured.setdefault(work, []).append(seconds)

    def seconds_left(self) -> float | None:
        """None where nothing was measured that tells how long a training takes."""
        usual = {work: fmean(seconds) for work, seconds in self.measured.items()}
        total = 0.0
        for work, count in self.left.items():
            alike = [seconds for known, seconds in usual.items() if known.training == work.training]
            if not alike and (work.training or not usual):
                return None
            total += count * usual.get(work, fmean(alike or usual.values()))
        return total

    def sentence(self) -> str:
        """``the other 14 runs will take about 7 min``; empty where nothing is left or known."""
        seconds, count = self.seconds_left(), self.left.total()
        if seconds is None or count == 0:
            return ""
        runs = "run" if count == 1 else f"{count} runs"
        return f"the other {runs} will take about {in_words(seconds)}"


def in_words(seconds: float) -> str:
    """A duration to the precision of a forecast.

    >>> in_words(8), in_words(95), in_words(1_000), in_words(20_000), in_words(300_000)
    ('10 s', '100 s', '17 min', '5.6 h', '3.5 days')
    """
    if seconds < 115:
        return f"{max(10, round(seconds, -1)):.0f} s"
    if seconds < 110 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
