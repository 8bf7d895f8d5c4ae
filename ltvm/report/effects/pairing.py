"""Two methods at every setting that both were run at, all else equal.

rows on the same terms (as on the leaderboard) -> pairs that differ in the method alone
-> differences paired by seed, tested together

"All else equal": both rows have the same value of every configuration key but those in which the
two methods differ by default (the amount of the correction, an encoder, ...). In those the second
method is as its file says; a first method that is not is a setting of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from ltvm.report.comparisons.hypotheses import PRIMARY, Outcome, correct
from ltvm.report.comparisons.statistics import Estimate, paired_difference, paired_p_value
from ltvm.report.leaderboard.entries import Json
from ltvm.report.leaderboard.names import defaults_of
from ltvm.report.leaderboard.pages import Page, Row
from ltvm.report.values.long_table import flatten
from ltvm.runs.identity import NOT_TRAINING, pruned


@dataclass(frozen=True)
class Effect:
    """The difference of one metric between two rows of a page, ``first`` minus ``second``."""

    page: Page
    first: Row
    second: Row
    metric: str
    difference: Estimate  # paired by seed
    test: Outcome | None = None  # of the paired t test; None with one seed

    @property
    def seeds(self) -> list[int]:
        """Those that both rows have."""
        return sorted({*self.first.values[self.metric]} & {*self.second.values[self.metric]})

    @property
    def reference(self) -> float:
        """The second row's mean over the shared seeds."""
        return fmean(self.second.values[self.metric][seed] for seed in self.seeds)

    @property
    def share(self) -> tuple[float, float, float]:
        """Difference and the ends of its interval, in percent of ``reference``."""
        below, above = self.difference.errors
        mean, scale = self.difference.mean, 100 / abs(self.reference)
        return scale * mean, scale * (mean - below), scale * (mean + above)

    @property
    def is_better(self) -> bool:
        """Whether the first row's mean is the better one."""
        return (self.difference.mean < 0) == (self.page.columns[self.metric].direction == "lower")

    @property
    def family(self) -> str:
        """``generation``, ``reconstruction``, ...: what the metric is of."""
        return self.page.columns[self.metric].family

    @property
    def terms(self) -> str:
        """``mnist5k, medium``"""
        return self.page.title

    @property
    def settings(self) -> str:
        """``+ GMM, sigma = 0.6``: what the rows have otherwise than by default."""
        return self.first.name.removeprefix(label_of(self.first)).strip(" ,")

    @property
    def passes(self) -> float:
        """Forward and backward passes per image of the second row, in the mean."""
        return fmean(self.second.values["passes"].values())


def effects(pages: Sequence[Page], first: str, second: str, interval: str = "t") -> list[Effect]:
    """The effects of method ``first`` against ``second`` by every headline metric of every page.

    A run that stands on several pages (the same terms in another currency) counts once, where it
    is met first. p-values are corrected by Holm's method over all effects.
    """
    found: dict[tuple[object, ...], Effect] = {}
    for page in pages:
        for one, other in matched(page, first, second):
            for metric in page.ranked:
                own, others = one.values.get(metric), other.values.get(metric)
                difference = paired_difference(own, others, interval) if own and others else None
                if difference is not None and own and others and fmean(others.values()):
                    values = tuple((s, own[s], others[s]) for s in sorted(own) if s in others)
                    effect = Effect(page, one, other, metric, difference)
                    found.setdefault((metric, values), effect)
    return tested(sorted(found.values(), key=in_order))


def in_order(effect: Effect) -> tuple[object, ...]:
    """By images, then by what is spent; the prior's samples first, and usual settings."""
    return (
        effect.page.terms["data"], round(effect.passes), effect.terms, effect.first.density,
        "=" in effect.settings, effect.settings,
    )  # fmt: skip


def tested(found: Sequence[Effect]) -> list[Effect]:
    """The same, each with its paired t test, corrected over all of them."""
    names = [str(place) for place in range(len(found))]
    p_values = {
        (name, ""): paired_p_value(e.first.values[e.metric], e.second.values[e.metric])
        for name, e in zip(names, found, strict=True)
    }
    tests = correct(p_values, {PRIMARY: names})
    return [replace(e, test=tests.get((name, ""))) for name, e in zip(names, found, strict=True)]


def matched(page: Page, first: str, second: str) -> Iterator[tuple[Row, Row]]:
    """Rows of ``first`` with the row of ``second`` that differs in the method alone."""
    others = [row for row in complete(page) if method_of(row) == second]
    for row in complete(page):
        if method_of(row) == first:
            other = next((other for other in others if alike(row, other)), None)
            if other is not None:
                yield row, other


def complete(page: Page) -> list[Row]:
    """Rows that are ranked there: all runs are done, and they spent what the others did."""
    return [row for row in page.rows if "" not in row.aside]


def method_of(row: Row) -> str:
    return str(row.first.config["method"]["name"])


def label_of(row: Row) -> str:
    return str(row.first.record.get("label") or method_of(row))


def alike(row: Row, other: Row) -> bool:
    """Whether two rows differ in nothing but what their methods differ in by default."""
    usual, theirs_usual = usual_of(row), usual_of(other)
    if row.density != other.density or usual is None or theirs_usual is None:
        return False
    own, theirs = (flatten(pruned(one.first.config, NOT_TRAINING)) for one in (row, other))
    return all(
        theirs.get(key) == (own.get(key) if usual.get(key) == expected else expected)
        for key in {**own, **theirs}
        for expected in [theirs_usual.get(key)]
    )


def usual_of(row: Row) -> Json | None:
    """What the row's method is by default, on its data and protocol; None if that is unknown."""
    names = (row.first.config["data"]["name"], method_of(row), row.first.record.get("protocol"))
    return defaults_of(*map(str, names))
