"""What the page shows, as plain values: the one thing that its script reads."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from ltvm.metrics.columns import FAMILIES, Column
from ltvm.report.cells import (
    by_cell,
    cell_names,
    drawn_cells,
    runs_texts,
    swept_keys,
    trained_rows,
)
from ltvm.report.comparability import Marks
from ltvm.report.costs import CURRENCIES
from ltvm.report.declared import columns_of, compared_metrics, headings, main_metrics, names_of
from ltvm.report.differences import difference_tests, pairs, signed
from ltvm.report.history_figures import declared_curves, history_table
from ltvm.report.hypotheses import best_cells
from ltvm.report.long_table import EXTERNAL, STORED
from ltvm.report.picture_pages import sampled_pictures
from ltvm.report.statistics import INTERVALS, Estimate, format_estimate, format_p, paired_difference
from ltvm.report.styles import cell_styles, method_styles
from ltvm.runs.reading import DISK, Files
from ltvm.runtime.images import read_picture

Json = dict[str, Any]
PICTURED = 12  # cells whose samples and reconstructions are shown
CURVED = 12  # cells whose curves are shown
WIDEST_PICTURE = 480  # pixels
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4")
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
) -> Json:
    """Everything; strings are what people wrote, to be escaped by whoever shows them."""
    columns = columns_of(table)
    names = cell_names(table, manifest)
    shown = [*main_metrics(columns), *names_of(columns, "cost")]
    return {
        "columns": [column_facts(metric, columns) for metric in shown],
        "cells": cell_facts(manifest, table, names),
        "keys": swept_keys(manifest),
        "currencies": [cost for cost in CURRENCIES.values() if cost in columns],
        "values": values_of(table, shown, columns, marks, interval),
        "differences": differences_of(table, manifest, columns, marks, interval),
        "reference": manifest["reference"],
        "runs": runs_of(manifest, table),
        "provenance": provenance_of(table, shown),
        "warnings": warnings_of(marks, names),
        "curves": curves_of(manifest, table, interval, results, files),
        "pictures": pictures_of(manifest, table, results),
    }


def column_facts(metric: str, columns: dict[str, Column]) -> Json:
    column = columns[metric]
    return {
        "id": metric,
        "title": headings(columns)[metric],
        "definition": column.definition,
        "unit": column.unit,
        "family": column.family,
        "rank": FAMILIES.index(column.family),
        "direction": column.direction,
        "headline": column.headline,
        "role": column.role,
    }


def cell_facts(manifest: Json, table: pd.DataFrame, names: dict[str, str]) -> list[Json]:
    styles = cell_styles(table, method_styles(manifest))
    first = table.drop_duplicates("cell").set_index("cell")
    keys, texts = swept_keys(manifest), runs_texts(table)
    facts = []
    for number, (cell, name) in enumerate(names.items()):
        row = first.loc[cell]
        colour, marker = styles[cell]
        facts.append({
            "id": cell, "name": name, "method": str(row["method"]), "data": str(row["data"]),
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
        "mean": estimate.mean,
        "low": estimate.mean - below,
        "high": estimate.mean + above,
    }


def values_of(
    table: pd.DataFrame, shown: list[str], columns: dict[str, Column], marks: Marks, interval: str
) -> Json:
    """metric -> cell -> text, mean, interval, seeds, whether it is best beyond doubt."""
    best = best_cells(table, main_metrics(columns), columns, marks)
    values: Json = {}
    for metric in shown:
        for cell, by_seed in by_cell(table, metric).items():
            estimate = INTERVALS[interval](list(by_seed.values()))
            signs = marks.signs(metric, cell)
            values.setdefault(metric, {})[cell] = {
                **estimate_facts(estimate, format_estimate(estimate, signs=signs)),
                "best": (metric, cell) in best,
                "seeds": {str(seed): value for seed, value in by_seed.items()},
            }
    return values


def differences_of(
    table: pd.DataFrame, manifest: Json, columns: dict[str, Column], marks: Marks, interval: str
) -> Json:
    """metric -> cell -> the paired difference to the reference and its test."""
    compared, of_cells = compared_metrics(columns), list(pairs(table, manifest))
    tests = difference_tests(table, manifest, compared, marks)
    found: Json = {}
    for metric in compared:
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


def warnings_of(marks: Marks, names: dict[str, str]) -> list[Json]:
    """Marks and what they mean."""
    found = [
        {"metric": metric, "cells": [c for c in names if c in cells], "text": f"‡ {warning}"}
        for metric, warnings in marks.warned.items()
        for warning, cells in warnings.items()
    ]
    for difference in marks.found:
        sign = "" if difference.swept else "† "
        reason = f" with {difference.swept}" if difference.swept else ""
        text = f"{sign}{difference.field} differs{reason}: {difference.who_has_what}"
        found.append({"metric": difference.metric, "cells": list(names), "text": text})
    return found


def curves_of(
    manifest: Json, table: pd.DataFrame, interval: str, results: Path, files: Files = DISK
) -> Json:
    """column -> title and, by cell, its mean and interval over seeds after each iteration."""
    table = trained_rows(table)
    cells = drawn_cells(table, CURVED)
    runs = [entry for entry in manifest["runs"] if entry["cell"] in cells]
    histories = history_table(runs, results, [], files)  # what cannot be read, the page says
    declared = declared_curves(runs, results, histories, files)
    axes = [name for name in ("flops", "passes", "iteration") if name in histories]
    found: Json = {}
    for name, title in headings(declared).items():
        if not declared[name].headline:
            continue
        curve: Json = {}
        for cell, of_cell in histories.dropna(subset=[name]).groupby("cell", sort=False):
            curve[str(cell)] = [
                {
                    **{axis: float(part[axis].mean()) for axis in axes},
                    **estimate_facts(INTERVALS[interval](list(part[name])), ""),
                }
                for _, part in of_cell.groupby("iteration")
            ]
        rank = FAMILIES.index(declared[name].family)
        found[name] = {"title": title, "rank": rank, "cells": curve}
    return {"axes": axes, "left_out": table["cell"].nunique() - len(cells), "of": found}


def pictures_of(manifest: Json, table: pd.DataFrame, results: Path) -> Json:
    """Samples and reconstructions of each cell's first seed; readable ones of the first cells."""
    first = table[["cell", "seed", "path"]].sort_values("seed", kind="stable")
    first = first.drop_duplicates("cell")
    first = first.set_index("cell").loc[list(dict.fromkeys(table["cell"]))]
    chosen = first.loc[list(drawn_cells(table, PICTURED))]
    sampled = sampled_pictures(manifest, table, results)
    found: Json = {}
    for kind in ("samples", "reconstructions"):
        of_cells = {}
        for cell, row in chosen.iterrows():
            file = results / str(row["path"]) / f"{kind}.png"
            picture = embedded(sampled.get(str(cell), file) if kind == "samples" else file)
            if picture is not None:
                of_cells[str(cell)] = picture
        found[kind] = of_cells
    seeds = sorted({int(seed) for seed in chosen["seed"]})
    return {"of": found, "seeds": seeds, "left_out": len(first) - len(chosen)}


def embedded(file: Path) -> str | None:
    """A picture as a data URI, at most ``WIDEST_PICTURE`` wide; None where there is none."""
    try:
        picture = read_picture(file)
    except (OSError, ValueError, SyntaxError):
        return None
    if picture.width > WIDEST_PICTURE:
        height = round(picture.height * WIDEST_PICTURE / picture.width)
        picture = picture.resize((WIDEST_PICTURE, height), Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
