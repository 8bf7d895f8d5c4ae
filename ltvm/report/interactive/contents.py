"""What the page shows, as plain values: the one thing that its script reads."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ltvm.metrics.columns import FAMILIES, Column
from ltvm.report.comparisons.differences import difference_tests, pairs, signed
from ltvm.report.comparisons.hypotheses import Key, Outcome, best_cells
from ltvm.report.comparisons.statistics import (
    INTERVALS,
    Estimate,
    format_estimate,
    format_p,
    paired_difference,
)
from ltvm.report.interactive.pictures import ROOM, pictures_of
from ltvm.report.plots.history_figures import (
    AFTER,
    BEFORE,
    ENDED,
    corrections,
    curve_runs,
    declared_curves,
    ended_early,
    history_table,
    shared_iterations,
)
from ltvm.report.plots.styles import cell_styles, method_styles
from ltvm.report.values.cells import (
    by_cell,
    cell_names,
    drawn_cells,
    method_text,
    runs_texts,
    short_names,
    swept_keys,
    trained_rows,
)
from ltvm.report.values.comparability import Marks
from ltvm.report.values.costs import CURRENCIES
from ltvm.report.values.declared import (
    columns_of,
    compared_metrics,
    headings,
    main_metrics,
    names_of,
)
from ltvm.report.values.long_table import EXTERNAL, STORED
from ltvm.runs.files.reading import DISK, Files

Json = dict[str, Any]
ROWS = 150  # of the table, or as many as there is room for
CURVED = 12  # rows whose curves are shown
LARGEST = 1_900_000  # characters of all of it
LEFT = 400_000  # of them for pictures, at least
DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 3 2 3 2 3", "10 4")
OF_RUN = ("status", "reason", "path", "command", "commit", "device", "precision", "execution",
          "torch", "started", "identity")  # fmt: skip
OF_SOME = (EXTERNAL, STORED)  # there where a run has it


def contents(
    manifest: Json,
    table: pd.DataFrame,
    marks: Marks,
    interval: str,
    results: Path,
    files: Files = DISK,
    tests: Mapping[Key, Outcome] | None = None,
) -> Json:
    """Everything; strings are what people wrote, to be escaped by whoever shows them."""
    columns = columns_of(table)
    names, (short, common) = cell_names(table, manifest), short_names(table, manifest)
    metrics = [*main_metrics(columns), *names_of(columns, "cost")]
    if tests is None:
        tests = difference_tests(table, manifest, compared_metrics(columns), marks)
    first = set(drawn_cells(table, ROWS))
    values = values_of(table, metrics, first, columns, marks, interval)
    differences = differences_of(table, manifest, first, columns, marks, interval, tests)
    of_all = {
        "columns": [column_facts(metric, columns) for metric in metrics],
        "keys": swept_keys(manifest),
        "currencies": [cost for cost in CURRENCIES.values() if cost in columns],
        "reference": reference_of(manifest, table, short),
        "common": common,
        "command": manifest["command"],
        "curves": curves_of(manifest, table, interval, results, files),
    }
    most = ROWS
    while True:
        rows = drawn_cells(table, most)
        own, shown = {cell: names[cell] for cell in rows}, table[table["cell"].isin(rows)]
        found = of_all | {
            "cells": cell_facts(manifest, table, own, short),
            "values": of_rows(values, rows),
            "differences": of_rows(differences, rows),
            "pairs": {cell: other for cell, other in pairs(table, manifest) if cell in own},
            "runs": runs_of(manifest, shown),
            "provenance": provenance_of(shown, metrics),
            "warnings": warnings_of(marks, columns, own),
            "left_out": len(names) - len(rows),
        }
        size = len(json.dumps(found, ensure_ascii=False, separators=(",", ":")))
        if size <= LARGEST - LEFT or len(rows) == 1:
            break
        most = len(rows) * 3 // 4
    return found | {"pictures": pictures_of(manifest, table, results, min(LARGEST - size, ROOM))}


def of_rows(values: Json, rows: list[str]) -> Json:
    """metric -> cell -> facts, of these cells."""
    wanted = set(rows)
    return {
        metric: {cell: facts for cell, facts in cells.items() if cell in wanted}
        for metric, cells in values.items()
    }


def reference_of(manifest: Json, table: pd.DataFrame, names: dict[str, str]) -> str:
    """The row that differences are taken to, by its name; of several, by their method's."""
    others = {other for _, other in pairs(table, manifest)}
    if len(others) == 1:
        return names[others.pop()]
    own = table[table["method"] == manifest.get("reference")]
    return "" if own.empty else f"{method_text(own.iloc[0].to_dict())}, all else equal"


def column_facts(metric: str, columns: dict[str, Column]) -> Json:
    column = columns[metric]
    return {
        "id": metric,
        "title": headings(columns)[metric],
        "definition": column.definition
        if column.definition.endswith(".")
        else f"{column.definition}.",
        "unit": column.unit,
        "family": column.family,
        "rank": FAMILIES.index(column.family),
        "direction": column.direction,
        "better": "" if column.direction is None else f"{column.direction.title()} is better.",
        "headline": column.headline,
        "role": column.role,
    }


def cell_facts(
    manifest: Json, table: pd.DataFrame, names: dict[str, str], short: dict[str, str]
) -> list[Json]:
    styles = cell_styles(table, method_styles(manifest))
    first = table.drop_duplicates("cell").set_index("cell")
    keys, texts = swept_keys(manifest), runs_texts(table)
    facts = []
    for number, (cell, name) in enumerate(names.items()):
        row = first.loc[cell]
        colour, marker = styles[cell]
        facts.append({
            "id": cell, "name": name, "short": short[cell],
            "method": str(row["method"]), "data": str(row["data"]),
            "protocol": text_or(row.get("protocol")), "equal": text_or(row.get("equal")),
            "runs": texts[cell], "colour": colour, "marker": marker,
            "dash": DASHES[number % len(DASHES)],
            "keys": {key: plain(row.get(key)) for key in keys},
        })  # fmt: skip
    return facts


def text_or(value: object, other: str = "") -> str:
    return value if isinstance(value, str) else other


def plain(value: Any) -> Any:
    """A value as JSON has it; None for what is absent."""
    if value is None or (isinstance(value, float) and pd.isna(value)) or value is pd.NA:
        return None
    item = getattr(value, "item", None)
    value = item() if item is not None else value
    return value if isinstance(value, bool | int | float | str) else str(value)


def estimate_facts(estimate: Estimate, text: str) -> Json:
    below, above = estimate.errors
    return {
        "text": text,
        "mean": short(estimate.mean),
        "low": short(estimate.mean - below),
        "high": short(estimate.mean + above),
    }


def short(value: float) -> float:
    """Seven digits: more than a figure shows, in half the characters."""
    return float(f"{value:.7g}")


def values_of(
    table: pd.DataFrame,
    shown: list[str],
    cells: Collection[str],
    columns: dict[str, Column],
    marks: Marks,
    interval: str,
) -> Json:
    """metric -> cell -> text, mean, interval, seeds, whether it is significantly best of all."""
    best = best_cells(table, main_metrics(columns), columns, marks)
    values: Json = {}
    for metric in shown:
        for cell, by_seed in by_cell(table, metric).items():
            if cell not in cells:
                continue
            estimate = INTERVALS[interval](list(by_seed.values()))
            signs = marks.signs(metric, cell)
            values.setdefault(metric, {})[cell] = {
                **estimate_facts(estimate, format_estimate(estimate, signs=signs)),
                "best": (metric, cell) in best,
                "seeds": {str(seed): short(value) for seed, value in by_seed.items()},
            }
    return values


def differences_of(
    table: pd.DataFrame,
    manifest: Json,
    cells: Collection[str],
    columns: dict[str, Column],
    marks: Marks,
    interval: str,
    tests: Mapping[Key, Outcome],
) -> Json:
    """metric -> cell -> the paired difference to the reference and its test."""
    of_cells = [pair for pair in pairs(table, manifest) if pair[0] in cells]
    found: Json = {}
    for metric in compared_metrics(columns):
        values = by_cell(table, metric)
        for cell, other in of_cells:
            subtract, signs = marks.pair(metric, cell, other)
            first, second = values.get(cell, {}), values.get(other, {})
            estimate = paired_difference(first, second, interval) if subtract else None
            if estimate is None:
                continue
            test = tests.get((metric, cell))
            found.setdefault(metric, {})[cell] = {
                **estimate_facts(estimate, signed(estimate, False, signs)),
                "stands": test is not None and test.stands,
                "p": None if test is None else f"{format_p(test.p)} ({format_p(test.corrected)})",
            }
    return found


def runs_of(manifest: Json, table: pd.DataFrame) -> Json:
    """cell -> its runs, with what each says of itself."""
    commands = {(entry["cell"], entry["seed"]): entry["command"] for entry in manifest["runs"]}
    found: Json = {}
    for row in table.drop_duplicates(["cell", "seed"]).to_dict("records"):
        facts = {key: plain(row.get(key)) for key in OF_RUN}
        facts |= {key: row[key] for key in OF_SOME if isinstance(row.get(key), str)}
        facts["command"] = commands.get((row["cell"], row["seed"])) or facts["command"]
        found.setdefault(str(row["cell"]), []).append({"seed": plain(row["seed"]), **facts})
    return found


def provenance_of(table: pd.DataFrame, shown: list[str]) -> Json:
    """metric -> cell -> what its numbers say of themselves, each distinct text once."""
    if "provenance" not in table:
        return {"texts": [], "of": {}}
    stated = table[["metric", "cell", "provenance"]].dropna().drop_duplicates(["metric", "cell"])
    texts: dict[str, int] = {}
    of: Json = {}
    for metric, cell, text in stated.itertuples(index=False):
        if metric in shown:
            of.setdefault(str(metric), {})[str(cell)] = texts.setdefault(str(text), len(texts))
    return {"texts": [json.loads(text) for text in texts], "of": of}


def warnings_of(marks: Marks, columns: dict[str, Column], names: dict[str, str]) -> list[Json]:
    """Marks and what they mean."""
    titles = headings(columns)
    found = [
        {
            "metric": metric,
            "title": titles.get(metric, metric),
            "cells": [c for c in names if c in cells],
            "text": f"‡ {warning}",
        }
        for metric, warnings in marks.warned.items()
        for warning, cells in warnings.items()
    ]
    for difference in marks.found:
        sign = "" if difference.swept else "† "
        reason = f" with {difference.swept}" if difference.swept else ""
        text = f"{sign}{difference.field} differs{reason}: {difference.who_has_what}"
        title = titles.get(difference.metric, difference.metric)
        about = {"metric": difference.metric, "title": title}
        found.append({**about, "cells": list(names), "text": text})
    return found


def curves_of(
    manifest: Json, table: pd.DataFrame, interval: str, results: Path, files: Files = DISK
) -> Json:
    """column -> title and, by cell, its mean and interval over seeds after each shared iteration.

    ``ended`` is there where a mean ends before one of its seeds does.
    """
    table = trained_rows(table)
    cells = drawn_cells(table, CURVED)
    runs = curve_runs(manifest, table, cells)
    histories = history_table(runs, results, [], files)  # what cannot be read, the page says
    declared = declared_curves(runs, results, histories, files)
    axes = [name for name in ("flops", "passes", "iteration") if name in histories]
    found: Json = {}
    for name, title in headings(declared).items():
        if not declared[name].headline:
            continue
        curve: Json = {}
        for cell, of_cell in shared_iterations(histories, name).groupby("cell", sort=False):
            curve[str(cell)] = [
                {
                    **{axis: short(part[axis].mean()) for axis in axes},
                    **estimate_facts(INTERVALS[interval](list(part[name])), ""),
                    "seeds": [short(value) for value in part[name]],
                }
                for _, part in of_cell.groupby("iteration")
            ]
        rank = FAMILIES.index(declared[name].family)
        found[name] = {"title": title, "rank": rank, "cells": curve}
    effects = [
        {"id": effect, "title": title, "before": effect + BEFORE, "after": effect + AFTER}
        for effect, title in corrections(declared).items()
    ]
    left_out = table["cell"].nunique() - len(cells)
    ended = {"ended": ENDED} if ended_early(histories, found) else {}
    return {"axes": axes, "left_out": left_out, "of": found, "effects": effects, **ended}
