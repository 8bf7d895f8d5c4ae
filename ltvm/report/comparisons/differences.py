"""Every cell against the reference method, on shared seeds: differences and improvement."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from ltvm.report.comparisons.hypotheses import (
    Key,
    Outcome,
    correct,
    families_of_tests,
    untested_cells,
)
from ltvm.report.comparisons.statistics import (
    Estimate,
    Improvement,
    decides,
    format_estimate,
    format_p,
    paired_difference,
    paired_p_value,
    probability_of_improvement,
)
from ltvm.report.values.cells import (
    by_cell,
    cell_names,
    cell_records,
    external_cells,
    swept_keys,
)
from ltvm.report.values.comparability import Marks, is_tested
from ltvm.report.values.declared import columns_of, headings
from ltvm.report.values.long_table import SAMPLER, SAMPLER_LABEL

AGAIN = "= "


def pairs(table: pd.DataFrame, manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(cell, its reference): the first cell of the reference method, other swept keys equal.

    Further cells of that method, such as the same with settings found by a search, are compared
    with its first one. Where it has cells of several precisions, a row is compared with the first
    of its own, or the first of all where none is.
    The reference samples of itself, where any row does: its own cells with another sampler are
    compared with it as those of any method are. Cells without a reference, such as a baseline
    beside a swept key, and such from elsewhere are left out.
    """
    keys = ["data", *swept_keys(manifest)]
    external = external_cells(table)
    rows, reference = cell_records(table), manifest.get("reference")
    own = [row for row in rows if row["method"] == reference and row["cell"] not in external]
    if SAMPLER_LABEL in table:
        of_itself = [row for row in own if pd.isna(row[SAMPLER_LABEL])]
        if not of_itself:  # rows are compared with those that sample alike
            keys = [*keys, SAMPLER]
        else:
            own = of_itself
    references: dict[tuple[Hashable, ...], str] = {}
    precise: dict[tuple[Hashable, ...], str] = {}  # by place and precision
    firsts: dict[tuple[Hashable, ...], Hashable] = {}  # their precision
    for row in own:
        place, precision = place_of(row, keys), precision_of(row)
        references.setdefault(place, str(row["cell"]))
        if None not in (firsts.setdefault(place, precision), precision):
            precise.setdefault((place, precision), str(row["cell"]))
    left_out = {*references.values(), *precise.values(), *external}
    for row in rows:
        place = place_of(row, keys)
        other = precise.get((place, precision_of(row)), references.get(place))
        if other is not None and row["cell"] not in left_out:
            yield str(row["cell"]), other


def tested_pairs(table: pd.DataFrame, manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """``pairs`` of cells whose runs are all done: what is inferred is inferred of them alone."""
    untested = untested_cells(table)
    return [pair for pair in pairs(table, manifest) if not untested.intersection(pair)]


def precision_of(row: Mapping[Any, Any]) -> Hashable:
    """None for a row without a record, and in tables without any."""
    precision = row.get("precision")
    return None if pd.isna(precision) else str(precision)


def place_of(row: Mapping[Any, Any], keys: Sequence[str]) -> tuple[Hashable, ...]:
    """The values of a cell's keys; None for a key that it has not."""

    def comparable(value: Any) -> Hashable:
        if isinstance(value, list | dict):
            return repr(value)
        return None if pd.isna(value) else value

    return tuple(comparable(row[key]) for key in keys)


def difference_tests(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    metrics: list[str],
    marks: Marks | None = None,
) -> dict[Key, Outcome]:
    """(metric, cell) -> the paired t test of its difference to the reference, corrected.

    Not tested: numbers that are of different kinds or on unequal terms, and cells with a run that
    is not done.
    """
    marks = marks or Marks()
    families = families_of_tests(columns_of(table), metrics)
    compared = tested_pairs(table, manifest)
    p_values: dict[Key, float | None] = {}
    same: dict[Key, Key] = {}
    for metric in [m for names in families.values() for m in names]:
        values = by_cell(table, metric)
        first: dict[str, Key] = {}  # differences -> the comparison that has them first
        for cell, other in compared:
            subtract, signs = marks.pair(metric, cell, other)
            if subtract and is_tested(signs):
                own, others = values.get(cell, {}), values.get(other, {})
                p_values[metric, cell] = paired_p_value(own, others)
                one = first.setdefault(repr(sorted(paired(own, others).items())), (metric, cell))
                if one != (metric, cell):
                    same[metric, cell] = one
    return correct(p_values, families, same)


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, Any]:
    """seed -> both values, of the seeds that both have."""
    return {seed: (first[seed], second[seed]) for seed in first if seed in second}


def differences_table(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    metrics: list[str],
    marks: Marks | None = None,
    interval: str = "t",
    tests: Mapping[Key, Outcome] | None = None,
) -> pd.DataFrame | None:
    """Paired differences to the reference on shared seeds; None without a reference,
    or without any value.

    ``metrics`` are those of which a difference says something (``declared.compared_metrics``).
    A difference is in ``**`` where its test of ``tests``, by default ``difference_tests``, stands
    after correction.
    Numbers that a sweep makes different things are not subtracted.
    """
    marks = marks or Marks()
    compared = list(pairs(table, manifest))
    names = cell_names(table, manifest)
    titles = headings(columns_of(table))
    tests = difference_tests(table, manifest, metrics, marks) if tests is None else tests
    columns = {"cell": [names[cell] for cell, _ in compared]}
    for metric in metrics:
        values = by_cell(table, metric)
        texts = []
        for cell, other in compared:
            subtract, signs = marks.pair(metric, cell, other)
            first, second = values.get(cell, {}), values.get(other, {})
            estimate = paired_difference(first, second, interval) if subtract else None
            test = tests.get((metric, cell))
            bold = test is not None and test.stands
            texts.append(signed(estimate, bold, signs) if estimate else "-")
        columns[titles[metric]] = texts
    return pd.DataFrame(columns) if compared and metrics else None


def p_value_tables(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    metrics: list[str],
    tests: Mapping[Key, Outcome] | None = None,
) -> dict[str, pd.DataFrame]:
    """Family of tests -> ``0.023 (0.16)``, p alone and corrected, by cell and metric.

    ``tests`` as for ``differences_table``. A family without any test is left out.
    """
    tests = difference_tests(table, manifest, metrics) if tests is None else tests
    names = cell_names(table, manifest)
    declared = columns_of(table)
    titles = headings(declared)
    compared = [cell for cell, _ in pairs(table, manifest)]
    frames = {}
    for family, own in families_of_tests(declared, metrics).items():
        shown = [metric for metric in own if any((metric, cell) in tests for cell in compared)]
        columns = {
            titles[metric]: [test_text(tests.get((metric, cell))) for cell in compared]
            for metric in shown
        }
        if shown:
            frames[family] = pd.DataFrame({"cell": [names[c] for c in compared], **columns})
    return frames


def test_text(test: Outcome | None) -> str:
    """``0.023 (0.16)``, bold where it stands; ``AGAIN`` before that of an earlier comparison."""
    if test is None:
        return "-"
    text = f"{AGAIN if test.again else ''}{format_p(test.p)} ({format_p(test.corrected)})"
    return f"**{text}**" if test.stands else text


def signed(estimate: Estimate, bold: bool, signs: str = "") -> str:
    """``-87 ± 40``, ``+48 ± 34``; of what is rounded to zero without a sign."""
    text = format_estimate(estimate, bold, signs)
    number = text.strip("*(").split(" ")[0]
    if number.startswith("-") or not number.strip("0."):
        return text
    return text.replace("**", "**+", 1) if "**" in text else "+" + text


def improvement_table(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    metrics: list[str],
    marks: Marks | None = None,
) -> pd.DataFrame | None:
    """The probability of being better than the reference at the same seed, with its interval.

    For metrics that have a better direction, and cells whose runs are all done. None where no
    comparison has seeds enough that its interval could exclude one half.
    """
    marks = marks or Marks()
    compared = tested_pairs(table, manifest)
    names = cell_names(table, manifest)
    declared = columns_of(table)
    titles = headings(declared)
    columns = {"cell": [names[cell] for cell, _ in compared]}
    enough = False
    for metric in metrics:
        direction = declared[metric].direction
        if direction is None:
            continue
        values = by_cell(table, metric)
        texts = []
        for cell, other in compared:
            subtract, signs = marks.pair(metric, cell, other)
            first, second = values.get(cell, {}), values.get(other, {})
            found = probability_of_improvement(first, second, direction) if subtract else None
            enough = enough or (found is not None and decides(found.n))
            texts.append(improvement_text(found, signs))
        columns[titles[metric]] = texts
    return pd.DataFrame(columns) if enough else None


def improvement_text(found: Improvement | None, signs: str = "") -> str:
    """``0.83 [0.36, 1.00]``"""
    if found is None:
        return "-"
    text = f"{found.probability:.2f} [{found.low:.2f}, {found.high:.2f}]"
    return f"{text} {signs}" if signs else text
