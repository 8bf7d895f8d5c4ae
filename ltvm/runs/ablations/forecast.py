"""How long the runs that are left will take, from those that were done.

Runs of one kind (one cell, any seed) take about the same time. A kind that was not met yet is
expected to take what the mean of the others takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from ltvm.runs.identity import evaluation_identity, identity


def kind_of(config: dict[str, Any]) -> str:
    """What runs that differ in the seed alone have in common."""
    return f"{identity(config)}+{evaluation_identity(config)}"


class Forecast:
    """Seconds that are left of a list of runs, each given by its kind.

    >>> forecast = Forecast(["vae", "abp", "vae", "abp"])
    >>> forecast.seconds_left() is None
    True
    >>> forecast.finished("vae", 10.0)
    >>> forecast.seconds_left()
    30.0
    >>> forecast.finished("abp", 40.0)
    >>> forecast.seconds_left()
    50.0
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        self.left = Counter(kinds)
        self.measured: dict[str, list[float]] = {}

    def finished(self, kind: str, seconds: float) -> None:
        """A run of this kind took so long and is not left any more."""
        self.left[kind] = max(0, self.left[kind] - 1)
        self.measured.setdefault(kind, []).append(seconds)

    def seconds_left(self) -> float | None:
        """None where nothing was measured yet."""
        if not self.measured:
            return None
        usual = {kind: fmean(seconds) for kind, seconds in self.measured.items()}
        unknown = fmean(usual.values())
        return sum(count * usual.get(kind, unknown) for kind, count in self.left.items())

    def sentence(self) -> str:
        """``the other 14 runs will take about 7 min``; empty where nothing is left or known."""
        seconds, count = self.seconds_left(), sum(self.left.values())
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
