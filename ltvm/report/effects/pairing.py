"""Two methods at every setting that both were run at, all else equal.

rows on the same terms -> pairs that differ in the method alone -> values of one kind
-> differences paired by seed, tested together with those of their kind

"All else equal": both rows have the same value of every configuration key but those in which the
two methods differ by default (the amount of the correction, an encoder, ...). In those the second
method is as its file says; a first method that is not is a setting of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from ltvm.metrics.columns import Column
from ltvm.report.comparisons.hypotheses import PRIMARY, Outcome, correct, families_of_tests
from ltvm.report.comparisons.statistics import Estimate, paired_difference, paired_p_value
from ltvm.report.effects.rows import Setting, Terms, of_today
from ltvm.report.leaderboard.pages import AGREE, Row, settle_costs, settle_values
from ltvm.report.values.costs import CURRENCIES
from ltvm.report.values.declared import headings, names_of

SETTINGS, VARIANTS, DENSITIES = KINDS = (
    "settings that both have",
    "settings of the first method alone",
    "samples of a density on the codes",
)
ABSENT = object()  # a key that a configuration has not, where null is a value
NUMBER = re.compile(r"-?\d+(\.\d*)?(e[-+]?\d+)?")
SPENT = ("passes", "decoder_updates", "flops")  # which are the same, whatever is equal
TINY = 1e-3  # of the largest value: a mean that no difference is a share of


@dataclass(frozen=True)
class Effect:
    """The difference of one metric between two rows, ``first`` minus ``second``."""

    terms: Terms
    first: Setting
    second: Setting
    values: tuple[Row, Row]  # the same rows, with their values of one kind
    metric: str
    column: Column
    difference: Estimate  # paired by seed
    test: Outcome | None = None  # of the paired t test; None with one seed

    @property
    def by_seed(self) -> dict[int, tuple[float, float]]:
        """Both values at every seed that both rows have."""
        own, others = (row.values[self.metric] for row in self.values)
        return {seed: (own[seed], others[seed]) for seed in sorted({*own} & {*others})}

    @property
    def reference(self) -> float:
        """The second row's mean over the shared seeds."""
        return fmean(other for _, other in self.by_seed.values())

    @property
    def share(self) -> tuple[float, float, float] | None:
        """Difference and the ends of its interval, in percent of ``reference``, taken as exact.

        None where that is next to nothing.
        """
        largest = max(abs(value) for pair in self.by_seed.values() for value in pair)
        if abs(self.reference) <= TINY * largest:
            return None
        below, above = self.difference.errors
        mean, scale = self.difference.mean, 100 / abs(self.reference)
        return scale * mean, scale * (mean - below), scale * (mean + above)

    @property
    def kind(self) -> str:
        """Which family it is tested in: one of ``KINDS``."""
        if self.first.row.density:
            return DENSITIES
        return VARIANTS if self.is_variant else SETTINGS

    @property
    def is_variant(self) -> bool:
        """Whether the first method is set otherwise where the second one has nothing to set."""
        usual = self.first.usual or {}
        free = free_keys(self.first, self.second)
        return any(self.first.own.get(key, ABSENT) != usual.get(key, ABSENT) for key in free)

    @property
    def title(self) -> str:
        """What the metric is called, with the arrow towards better."""
        return headings({self.metric: self.column})[self.metric]

    @property
    def settings(self) -> str:
        """``sigma = 0.6``: what both rows have otherwise than by default, and alpha, say."""
        return ", ".join(self.first.words)

    @property
    def is_better(self) -> bool:
        """Whether the first row's mean is the better one; a tie is not."""
        mean = self.difference.mean
        return mean < 0 if self.column.direction == "lower" else mean > 0

    def cost(self, name: str) -> tuple[float, float] | None:
        """What both rows spent in the mean, the first and the second."""
        known = [row.values.get(name) for row in self.values]
        if known[0] and known[1]:
            return fmean(known[0].values()), fmean(known[1].values())
        return None


@dataclass
class Effects:
    """What was found, and rows of the first method that are in none of it, with the reason."""

    effects: list[Effect] = field(default_factory=list)
    left_out: list[tuple[Terms, Setting, str]] = field(default_factory=list)


def effects(groups: Sequence[Terms], interval: str = "t") -> Effects:
    """The effects of the first method by every headline metric on all terms.

    The same on other terms (another currency) counts once, where it is met first. p-values
    are adjusted by Holm's method over the effects of a kind, of which equal ones are one test.
    """
    found, known = Effects(), dict[tuple[object, ...], Terms]()
    for terms in groups:
        for one, other, why in matched(terms):
            made = list(of_pair(terms, one, other, interval)) if other is not None else []
            if not made:
                found.left_out.append((terms, one, why or "nothing was measured of both alike"))
            elif all(e.is_variant and {a - b for a, b in e.by_seed.values()} == {0} for e in made):
                found.left_out.append((terms, one, "it is the second method there: equal values"))
                continue
            for effect in made:
                key = whatever_the_currency(effect)
                if known.setdefault(key, terms) is terms:
                    found.effects.append(effect)
    found.effects = tested(sorted(found.effects, key=in_order))
    return found


def whatever_the_currency(effect: Effect) -> tuple[object, ...]:
    """What two effects of the same training share on any terms: images, settings, values, costs.

    Values alone do not tell: of a metric of few values, those of other images may be equal.
    """
    prints = effect.second.entry.record.get("fingerprints") or {}
    spent = [tuple(row.values.get(cost, {}).items()) for row in effect.values for cost in SPENT]
    return (
        effect.terms.data, tuple(sorted(prints.items())), effect.first.words, effect.metric,
        tuple(effect.by_seed.items()), *spent,
    )  # fmt: skip


def matched(terms: Terms) -> Iterator[tuple[Setting, Setting | None, str]]:
    """Rows of the first method with the row that differs in the method alone, or why with none."""
    for one in terms.first:
        if one.why_not:
            yield one, None, one.why_not
            continue
        others = of_today([other for other in terms.second if alike(one, other)])
        fit = [other for other in others if not other.why_not]
        if len(fit) == 1:
            yield one, fit[0], ""
        elif others and not fit:
            yield one, None, f"its counterpart: {others[0].why_not}"
        else:
            yield one, None, "several rows fit it" if fit else "no counterpart"


def alike(one: Setting, other: Setting) -> bool:
    """Whether two rows differ in nothing but what their methods differ in by default."""
    if one.row.density != other.row.density or one.usual is None or other.usual is None:
        return False
    free = free_keys(one, other)
    return all(
        other.own.get(key, ABSENT) == (other.usual if key in free else one.own).get(key, ABSENT)
        for key in {**one.own, **other.own}
    )


def free_keys(one: Setting, other: Setting) -> set[str]:
    """What the first method may be set to and the second not: it differs there by default, or
    has no use for the key.
    """
    usual, theirs = one.usual or {}, other.usual or {}
    every = {*usual, *theirs, *one.own, *other.own}
    return {
        key
        for key in every
        if usual.get(key, ABSENT) != theirs.get(key, ABSENT)
        or any(key == idle or key.startswith(f"{idle}.") for idle in other.idle)
    }


def of_pair(terms: Terms, one: Setting, other: Setting, interval: str) -> Iterator[Effect]:
    """The differences of two rows, of values of the kind that both have."""
    rows = tuple(replace(s.row, values={}, stated={}, aside={}) for s in (one, other))
    columns, _ = settle_values(rows)
    for row in rows:
        settle_costs(row)
    if not spend_alike(rows, terms.equal):
        return
    for metric in families_of_tests(columns, names_of(columns, "value"))[PRIMARY]:
        if any(metric in row.aside for row in rows):  # of seeds of another kind
            continue
        own, others = (row.values.get(metric, {}) for row in rows)
        difference = paired_difference(own, others, interval)
        if difference is not None:
            pair = (rows[0], rows[1])
            yield Effect(terms, one, other, pair, metric, columns[metric], difference)


def spend_alike(rows: Sequence[Row], equal: str | None) -> bool:
    """Whether two rows spent the same, in the currency in which their terms are equal."""
    cost = CURRENCIES.get(str(equal), "")
    means = [fmean(row.values[cost].values()) for row in rows if row.values.get(cost)]
    return len(means) < 2 or not min(means) or max(means) / min(means) <= 1 + AGREE


def tested(found: Sequence[Effect]) -> list[Effect]:
    """The same, each with its paired t test, adjusted over those of its kind."""
    names = [str(place) for place in range(len(found))]
    p_values: dict[tuple[str, str], float | None] = {}
    first: dict[object, tuple[str, str]] = {}
    families: dict[str, list[str]] = {}
    same: dict[tuple[str, str], tuple[str, str]] = {}
    for name, effect in zip(names, found, strict=True):
        pair, key = effect.by_seed, (name, "")
        p_values[key] = paired_p_value(*({s: v[i] for s, v in pair.items()} for i in (0, 1)))
        families.setdefault(effect.kind, []).append(name)
        earlier = first.setdefault((effect.kind, effect.metric, tuple(pair.items())), key)
        if earlier != key:
            same[key] = earlier
    tests = correct(p_values, families, same)
    return [replace(e, test=tests.get((name, ""))) for name, e in zip(names, found, strict=True)]


def in_order(effect: Effect) -> tuple[Any, ...]:
    """By images, then by what is spent; the prior's samples first, and usual settings."""
    passes = effect.cost("passes")
    return (
        effect.terms.data, round(passes[0]) if passes else 0, effect.terms.title,
        effect.first.row.density, len(effect.first.words) > 0, natural(effect.first.words),
        effect.first.precision,
    )  # fmt: skip


def natural(words: Sequence[str]) -> list[tuple[str, float, str]]:
    """Sorts ``temperature = 3`` before ``temperature = 30``."""
    parts = [word.rpartition(" = ") for word in words]
    return [(key, float(v) if NUMBER.fullmatch(v) else 0.0, v) for key, _, v in parts]


def facts(found: Sequence[Effect]) -> list[Mapping[str, Any]]:
    """Every effect, for programs."""
    return [
        {
            "terms": e.terms.title, "settings": list(e.first.words), "precision": e.first.precision,
            "metric": e.metric, "direction": e.column.direction, "seeds": list(e.by_seed),
            "second": e.reference, "first": e.reference + e.difference.mean,
            "difference": e.difference.mean, "errors": list(e.difference.errors),
            "percent": e.share and e.share[0], "passes": e.cost("passes"), "flops": e.cost("flops"),
            "p": e.test and e.test.p, "p_adjusted": e.test and e.test.corrected,
            "marks": sorted({*e.first.marks, *e.second.marks}),
        }
        for e in found
    ]  # fmt: skip
