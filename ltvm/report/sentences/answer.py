"""The answer of a report, computed from its tests: a sentence, its values, and what all rows say.

What is tested and stands after adjustment is "significant"; what does not is "not settled", which
is not that there is no difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import pandas as pd

from ltvm.metrics.columns import Column
from ltvm.report.comparisons.differences import difference_tests, pairs, signed
from ltvm.report.comparisons.hypotheses import (
    PRIMARY,
    Key,
    Outcome,
    best_cells,
    families_of_tests,
    outstanding_cells,
    own_and_external,
    untested_cells,
)
from ltvm.report.comparisons.statistics import (
    INTERVALS,
    Estimate,
    format_estimate,
    format_p,
    is_better,
    leaders,
    paired_difference,
)
from ltvm.report.values.cells import by_cell, external_cells, short_names
from ltvm.report.values.comparability import Marks
from ltvm.report.values.costs import COSTS, CURRENCIES
from ltvm.report.values.declared import columns_of, compared_metrics, headings

UNFINISHED = "Not answered yet: runs are still to come."
UNMEASURED = "No headline metric was measured."
BETTER, WORSE, OPEN, UNTESTED = "better", "worse", "open", "untested"
EQUAL = "equal"
SPENT = tuple(CURRENCIES[word] for word in ("flops", "passes", "seconds"))
BEST = "Significantly best"
BEST_TEXT = (
    "Best: one test for each metric, of the row with the best mean against every other at once. It "
    "needs no adjustment for the number of rows, so a row may be best where a single difference, "
    "adjusted for all of them, is not settled."
)
NAMED = 4  # rows that a sentence names


@dataclass(frozen=True)
class Line:
    """One value of the row and of its reference, and their paired difference over seeds.

    ``reach`` is the interval's (low, mean, high) as shares of ``full``, a round number that none
    of them exceeds; None for a cost that is equal, and with a single seed. ``verdict`` is
    ``BETTER``, ``WORSE``, ``OPEN`` or ``UNTESTED``; empty for a cost.
    """

    title: str
    definition: str
    reference: str
    own: str
    difference: str
    verdict: str
    said: str
    reach: tuple[float, float, float] | None
    full: str = ""
    leaning: str = ""  # ``BETTER``, ``WORSE`` or ``EQUAL``, of the mean; empty for a cost


@dataclass(frozen=True)
class Answer:
    """``sentence`` first; its comparison's ``lines`` and ``cost``; ``rows`` are (title, text).

    ``corrected`` is the number of tests that p is corrected for; 0: nothing was tested.
    """

    sentence: str
    own: str = ""
    reference: str = ""
    lines: tuple[Line, ...] = ()
    cost: tuple[Line, ...] = ()
    corrected: int = 0
    rows: tuple[tuple[str, str], ...] = ()

    @property
    def significance_text(self) -> str:
        return (
            f"Significant: p below 0.05 after Holm's adjustment for all {self.corrected} tests of "
            "headline metrics here, which their code declares."
        )

    @property
    def best_found(self) -> bool:
        """Whether a row is significantly the best of a metric."""
        return any(text.startswith(BEST) for _, text in self.rows)


def answer(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    marks: Marks,
    interval: str,
    tests: Mapping[Key, Outcome] | None = None,
) -> Answer:
    """What the headline metrics say: of the first comparison to the reference, and of all rows.

    ``tests`` as for ``differences_table``.
    """
    columns = columns_of(table)
    metrics = families_of_tests(columns, compared_metrics(columns))[PRIMARY]
    compared = list(pairs(table, manifest))
    if not metrics:
        return Answer(UNMEASURED)
    if tests is None:
        tests = difference_tests(table, manifest, compared_metrics(columns), marks)
    (names, _), titles = short_names(table, manifest), headings(columns)
    best = None
    if outstanding_cells(table).isdisjoint(table["cell"]):
        best = best_cells(table, compared_metrics(columns), columns, marks)
    rows = []
    for metric in metrics if len(names) > 2 or not compared else []:
        told = [
            *([] if best is None else best_text(table, names, metric, best, marks)),
            *of_all_rows(table, names, metric, compared, tests),
        ]
        if told:
            rows.append((titles[metric], " ".join(told)))
    if not compared:
        unfinished = not outstanding_cells(table).isdisjoint(table["cell"])
        return Answer(UNFINISHED) if unfinished else Answer("", rows=tuple(rows))
    cell, other = compared[0]
    if outstanding_cells(table).intersection((cell, other)):
        return Answer(UNFINISHED, rows=tuple(rows))
    lines = list(compared_lines(table, metrics, (cell, other), interval, marks, tests))
    return Answer(
        sentence(names[cell], names[other], lines, seeds_of(table, metrics, cell, other)),
        names[cell], names[other],
        lines=tuple(lines),
        cost=tuple(cost_lines(table, (cell, other), interval)),
        corrected=sum(metric in metrics and not test.again for (metric, _), test in tests.items()),
        rows=tuple(rows),
    )  # fmt: skip


def sentence(own: str, other: str, lines: Sequence[Line], seeds: int) -> str:
    """``“A” against “B” at 3 shared seeds: 1 of 3 headline metrics significantly better, ...``"""
    counts = {v: sum(line.verdict == v for line in lines) for v in (BETTER, WORSE, OPEN)}
    where = f"“{own}” against “{other}” at {counted(seeds, 'shared seed')}: "
    if not lines:
        return f"“{own}” against “{other}”: nothing was measured of both."
    if not any(counts.values()):
        return where + "differences are not tested."
    if not counts[BETTER] and not counts[WORSE]:
        stands = "no difference in a headline metric is significant"
        return f"{where}{stands} ({means_of(lines)})."
    parts: list[str] = []
    for verdict, n in counts.items():
        of = "" if parts else f" of {counted(len(lines), 'headline metric')}"
        unsettled = f"not settled ({means_of([line for line in lines if line.verdict == OPEN])})"
        words = unsettled if verdict == OPEN else f"significantly {verdict}"
        parts += [f"{n}{of} {'is' if n == 1 else 'are'} {words}"] if n else []
    return f"{where}{', '.join(parts)}."


def means_of(lines: Sequence[Line]) -> str:
    """``mean worse``, ``means worse``, ``means: 1 better, 2 worse``"""
    counts = {way: sum(line.leaning == way for line in lines) for way in (BETTER, WORSE, EQUAL)}
    there = [way for way, n in counts.items() if n]
    if len(there) == 1:
        return f"{'mean' if len(lines) == 1 else 'means'} {there[0]}"
    return f"means: {', '.join(f'{n} {way}' for way, n in counts.items() if n)}"


def counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def seeds_of(table: pd.DataFrame, metrics: Sequence[str], cell: str, other: str) -> int:
    shared = [
        len(set(values.get(cell, {})) & set(values.get(other, {})))
        for values in (by_cell(table, metric) for metric in metrics)
    ]
    return max(shared, default=0)


def compared_lines(
    table: pd.DataFrame,
    metrics: Sequence[str],
    pair: tuple[str, str],
    interval: str,
    marks: Marks,
    tests: Mapping[Key, Outcome],
) -> Iterator[Line]:
    columns = columns_of(table)
    titles = headings(columns)
    for metric in metrics:
        values, column = by_cell(table, metric), columns[metric]
        subtract, _ = marks.pair(metric, *pair)
        if not subtract or not set(pair) <= set(values):
            continue
        estimate = paired_difference(values[pair[0]], values[pair[1]], interval)
        if estimate is None:
            continue
        verdict, said = judged(estimate, column, tests.get((metric, pair[0])))
        line = line_of(titles[metric], column, values, pair, interval, estimate, verdict, said)
        definition = f"{column.family.capitalize()}. {line.definition}"
        yield replace(line, definition=definition, leaning=leaning_of(estimate, column))


def judged(estimate: Estimate, column: Column, test: Outcome | None) -> tuple[str, str]:
    """The verdict on a difference and its words: ``significantly better (p 0.03)``."""
    leaning = leaning_of(estimate, column)
    if test is None:
        return UNTESTED, f"not tested, {leaning} here"
    if test.stands:
        return leaning, f"significantly {leaning} (p\u00a0{format_p(test.corrected)})"
    return OPEN, f"not settled, mean {leaning} (p\u00a0{format_p(test.corrected)})"


def leaning_of(estimate: Estimate, column: Column) -> str:
    """``BETTER`` or ``WORSE``, by the mean; ``EQUAL`` where it is 0."""
    if estimate.mean == 0:
        return EQUAL
    return BETTER if (estimate.mean < 0) == (column.direction == "lower") else WORSE


def cost_lines(table: pd.DataFrame, pair: tuple[str, str], interval: str) -> Iterator[Line]:
    """What training took in both rows."""
    declared = columns_of(table)
    for cost in SPENT:
        values = by_cell(table, cost)
        if not set(pair) <= set(values):
            continue
        column = declared.get(cost, COSTS[cost])
        estimate = paired_difference(values[pair[0]], values[pair[1]], interval)
        if estimate is not None and estimate.mean == 0 and not any(estimate.errors):
            yield line_of(column.title, column, values, pair, interval, None, "", "the same")
        elif estimate is not None:
            said = "more" if estimate.mean > 0 else "less"
            said = said if estimate.excludes_zero else "not told apart"
            yield line_of(column.title, column, values, pair, interval, estimate, "", said)


def line_of(
    title: str,
    column: Column,
    values: Mapping[str, Mapping[int, float]],
    pair: tuple[str, str],
    interval: str,
    estimate: Estimate | None,
    verdict: str,
    said: str,
) -> Line:
    own, other = (
        value_text(INTERVALS[interval](list(values[cell].values())), estimate is None)
        for cell in pair
    )
    better = "" if column.direction is None else f" {column.direction.title()} is better."
    definition = column.definition[:1].upper() + column.definition[1:].rstrip(".") + "." + better
    difference = "" if estimate is None else signed(estimate, False)
    reach, full = None, ""
    if estimate is not None and any(estimate.errors):
        low, high = estimate.mean - estimate.errors[0], estimate.mean + estimate.errors[1]
        most = round_above(max(abs(low), abs(high)))
        reach, full = (low / most, estimate.mean / most, high / most), number_text(most)
    return Line(title, definition, other, own, difference, verdict, said, reach, full)


def round_above(value: float) -> float:
    """A round number that a scale may end at, at least ``value``, which is above 0.

    >>> round_above(82), round_above(0.0205), round_above(5)
    (100.0, 0.03, 5.0)
    """
    power = math.floor(math.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8)
    found = (float(f"{step}e{at}") for at in (power, power + 1) for step in steps)
    return next(one for one in found if one >= value)


def value_text(estimate: Estimate, equal: bool) -> str:
    """``793 ± 17``; of what is equal by design the number alone."""
    return number_text(estimate.mean) if equal else format_estimate(estimate)


def number_text(value: float) -> str:
    """``3.11e12``, ``18``"""
    return f"{value:.4g}".replace("e+", "e")


def best_text(
    table: pd.DataFrame, names: Mapping[str, str], metric: str, best: set[Key], marks: Marks
) -> Iterator[str]:
    """Which row is significantly best, or else has the best mean; nothing of unlike rows."""
    winners = [names[cell] for found, cell in sorted(best) if found == metric]
    groups = own_and_external(table, external_cells(table))
    if winners:
        yield f"{BEST}: {' and '.join(map(quoted, winners))}."
    elif len(groups) > 1:
        yield "No row is significantly best."
    elif groups and marks.alike([*groups[0][0], *groups[0][1]], metric):
        first = first_by_mean(table, metric, *groups[0])
        means = "its mean" if len(first) == 1 else "their equal means"
        if first:
            named = " and ".join(quoted(names[cell]) for cell in first)
            yield f"Best by {means}, not significantly: {named}."
        else:
            yield "No row is significantly best."


def first_by_mean(
    table: pd.DataFrame, metric: str, own: Sequence[str], beside: Sequence[str]
) -> list[str]:
    """The rows with the best mean at shared seeds; none where one from elsewhere is better."""
    direction, unfinished = columns_of(table)[metric].direction, untested_cells(table)
    found = by_cell(table, metric)
    if direction is None:
        return []
    values = {cell: found[cell] for cell in own if cell in found and cell not in unfinished}
    first = leaders(values, direction)
    outside = [fmean(found[cell].values()) for cell in beside if cell in found]
    better = [is_better(mean, best, direction) for mean in outside for best in first.values()]
    return [] if any(better) else list(first)


def of_all_rows(
    table: pd.DataFrame,
    names: Mapping[str, str],
    metric: str,
    compared: Sequence[tuple[str, str]],
    tests: Mapping[Key, Outcome],
) -> Iterator[str]:
    """Which rows differ from the reference."""
    values, column = by_cell(table, metric), columns_of(table)[metric]
    tested = [(cell, other) for cell, other in compared if (metric, cell) in tests]
    if len(tested) < 2:
        return
    found: dict[str, list[str]] = {BETTER: [], WORSE: [], OPEN: []}
    for cell, other in tested:
        difference = paired_difference(values[cell], values[other])
        assert difference is not None, "what is tested was measured of both"
        verdict, _ = judged(difference, column, tests[metric, cell])
        found[verdict].append(names[cell])
    others = {other for _, other in tested}
    whom = quoted(names[others.pop()]) if len(others) == 1 else "the reference, all else equal"
    parts = [f"{verdict}: {some(found[verdict])}" for verdict in (BETTER, WORSE)]
    parts += [f"not settled: {len(found[OPEN])}"] if found[OPEN] else []
    yield f"Against {whom}, significantly {'; '.join(parts)}."


def quoted(name: str) -> str:
    return f"“{name}”"


def some(names: Sequence[str]) -> str:
    """``none``, ``2 (“A”, “B”)``, of many the first."""
    if not names:
        return "none"
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    return f"{len(names)} ({', '.join([*map(quoted, names[:NAMED]), *more])})"
