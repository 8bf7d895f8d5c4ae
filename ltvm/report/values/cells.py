"""Cells of an ablation: their names, their swept keys, and which of them compete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from ltvm.report.values.long_table import EXTERNAL, SAMPLER, SAMPLER_LABEL, SEEDS, STORED, TRIALS
from ltvm.report.values.remembered import remembered
from ltvm.runs.words import note_words

MOST = 0.6  # of the rows have what a short name leaves out


def swept_keys(manifest: dict[str, Any]) -> list[str]:
    """What is swept beside what a row's name begins with: method, sampler and data."""
    return [key for key in manifest["axes"] if key not in ("method", SAMPLER, "data")]


def trained_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first cell of every run, without samplers: what training alone decides."""
    if SAMPLER_LABEL not in table:
        return table
    first = table.drop_duplicates("path")["cell"]
    return table[table["cell"].isin(list(first))].drop(columns=SAMPLER_LABEL)


def external_cells(table: pd.DataFrame) -> set[str]:
    """Cells whose images were made elsewhere: they share no seed with the others."""
    return set() if EXTERNAL not in table else set(table[table[EXTERNAL].notna()]["cell"])


def stored_texts(table: pd.DataFrame) -> dict[str, str]:
    """cell -> `` (stored)``, or `` (2 of 3 stored)``: of runs that ship with the package."""
    if STORED not in table:
        return {}
    runs = table.drop_duplicates(["cell", "seed"])
    counts = runs.groupby("cell", sort=False)[STORED].agg(["count", "size"])
    return {
        str(cell): " (stored)" if own == every else f" ({own} of {every} stored)"
        for cell, own, every in counts.itertuples()
        if own
    }


def method_text(row: Mapping[Any, Any]) -> str:
    """``VAE``, or ``VAE + GMM`` where another sampler than its own prior makes the images.

    ``My GAN (external)`` where the images are from elsewhere.
    """
    sampler = row.get(SAMPLER_LABEL)
    text = str(row["label"] or row["method"])
    if isinstance(row.get(EXTERNAL), str):
        return f"{text} (external)"
    return text if sampler is None or pd.isna(sampler) else f"{text} + {sampler}"


@remembered
def first_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The first row of every cell, in their order."""
    return table.drop_duplicates("cell")


@remembered
def cell_records(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """The same as dictionaries."""
    return first_rows(table).to_dict("records")


def cell_names(table: pd.DataFrame, manifest: dict[str, Any]) -> dict[str, str]:
    """A name for every cell: its method's label and its swept values."""
    cells = first_rows(table)
    several_data = cells["data"].nunique() > 1
    several_methods = cells["method"].nunique() > 1 or SAMPLER in cells
    keys = swept_keys(manifest)
    names: dict[str, str] = {}
    shipped = stored_texts(table)
    for first in cell_records(table):
        parts = [str(first["data"])] if several_data else []
        if several_methods or not keys:
            parts.append(method_text(first))
        parts += swept_texts(first, keys)
        name = ", ".join([*parts, *note_texts(first)])
        names[str(first["cell"])] = name + shipped.get(str(first["cell"]), "")
    count = Counter(names.values())
    return {c: f"{name} [{c}]" if count[name] > 1 else name for c, name in names.items()}


def short_names(table: pd.DataFrame, manifest: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Names without what most rows have in common, and that: ``["batchnorm = batch"]``.

    The full names, and nothing, where rows would no longer be told apart.
    """
    names, keys = cell_names(table, manifest), swept_keys(manifest)
    count = Counter(text for row in cell_records(table) for text in swept_texts(row, keys))
    common = [text for text, n in count.items() if len(names) > 3 and n > MOST * len(names)]
    short = dict(names)
    for cell, name in names.items():
        parts = name.split(", ")
        short[cell] = ", ".join(part for part in parts if part not in common)
    if not common or not all(short.values()) or len(set(short.values())) < len(short):
        return names, []
    return short, common


def swept_texts(row: Mapping[Any, Any], keys: list[str]) -> list[str]:
    """``["alpha = 0.5"]``: the swept keys that a cell has, without their group."""
    return [
        f"{key.split('.', 1)[-1]} = {value_text(row[key])}" for key in keys if not pd.isna(row[key])
    ]


def note_texts(row: Mapping[Any, Any]) -> list[str]:
    """``["solver = bsp", "alpha = 0.3"]``: what a further cell sets, but for what its label says:
    method and sampler.
    """
    return [
        word if value is None else f"{word.split('.', 1)[-1]} = {value}"
        for word, value in note_words(row.get("note"))
        if value is None or word not in ("method", "sampler")
    ]


def value_text(value: Any) -> str:
    if isinstance(value, float) and not isinstance(value, bool):
        return f"{value:g}"
    return str(value)


def by_cell(table: pd.DataFrame, metric: str) -> dict[str, dict[int, float]]:
    """cell -> seed -> value of one metric."""
    return by_metric(table).get(metric, {})


@remembered
def by_metric(table: pd.DataFrame) -> dict[str, dict[str, dict[int, float]]]:
    """The same of every metric."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    columns = [table[name].tolist() for name in ("metric", "cell", "seed", "value")]
    for metric, cell, seed, value in zip(*columns, strict=True):
        if isinstance(metric, str):
            found.setdefault(metric, {}).setdefault(str(cell), {})[int(seed)] = float(value)
    return found


def data_keys(table: pd.DataFrame) -> list[str]:
    """The columns that say which images: the data set, and its keys where they are swept."""
    return ["data", *[str(c) for c in table.columns if str(c).startswith("data.")]]


def cells_by_data(table: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Cells of each data set and its swept keys: values on different data do not compete."""
    cells = first_rows(table)
    return [
        (str(rows["data"].iloc[0]), [str(cell) for cell in rows["cell"]])
        for _, rows in cells.groupby(data_keys(table), sort=False, dropna=False)
    ]


def runs_texts(table: pd.DataFrame) -> dict[str, str]:
    """cell -> ``3`` if all its runs are done, else how many and what the others are."""
    runs = table[["cell", "seed", "status"]].drop_duplicates(["cell", "seed"]).sort_values("seed")
    counts: dict[str, Counter[str]] = {str(cell): Counter() for cell in table["cell"].unique()}
    for cell, status in zip(runs["cell"].tolist(), runs["status"].tolist(), strict=True):
        counts[str(cell)][status] += 1
    return {cell: text_of_runs(count) for cell, count in counts.items()}


def text_of_runs(count: Counter[str]) -> str:
    others = [(status, n) for status, n in count.most_common() if status != "done"]
    if not others:
        return str(count["done"])
    text = ", ".join(f"{n} {status}" for status, n in others)
    return f"{count['done']} of {count.total()} ({text})"


def drawn_cells(table: pd.DataFrame, most: int, column: str = "cell") -> list[str]:
    """The cells of a figure, in their order: all, or of more than ``most`` some of each method.

    Those are the first cells of each, equally many. ``column`` may name another one than that of
    the cells, such as that of lines.
    """
    rows = table.drop_duplicates(column)
    if len(rows) > most:
        methods = rows["method"].nunique()
        rows = rows[rows.groupby("method").cumcount() < max(most // methods, 1)].head(most)
    return [str(cell) for cell in rows[column]]


def some_of(shown: int, every: int, noun: str = "cells") -> str:
    """``, 9 of 25 cells`` for a heading; nothing where all are shown."""
    return f", {shown} of {every} {noun}" if shown < every else ""


def temperatures(table: pd.DataFrame) -> dict[str, str]:
    """cell -> ``3 to 0.75``, the chain's temperature at the first and last iteration.

    Empty where no chain has another than the posterior's, 1; ``-`` for a method without a chain,
    or without a record.
    """
    columns = ["temperature_first", "temperature_last"]
    if not set(columns) <= set(table):
        return {}
    found = table[["cell", *columns]].dropna().drop_duplicates("cell").set_index("cell")
    texts = {
        str(cell): " to ".join(dict.fromkeys(f"{float(value):.3g}" for value in row))
        for cell, row in found.iterrows()
    }
    if set(texts.values()) <= {"1"}:
        return {}
    return {str(cell): texts.get(str(cell), "-") for cell in table["cell"].unique()}


def tuning_trials(table: pd.DataFrame) -> dict[str, str]:
    """cell -> ``20``, the trials that found its settings, or ``20 x 3 seeds``.

    Empty where none was tuned.
    """
    if TRIALS not in table:
        return {}
    first = first_rows(table)
    seeds = first[SEEDS] if SEEDS in first else [None] * len(first)
    return {
        str(cell): f"{int(trials)}" if pd.isna(of) else f"{int(trials)} x {int(of)} seeds"
        for cell, trials, of in zip(first["cell"], first[TRIALS], seeds, strict=True)
    }


def crossed_key(manifest: dict[str, Any]) -> str | None:
    """The one key that is swept for every method, or None: then tables cross method and key.

    None, too, where a method has more than one cell at a value (another data set, a density, a
    further cell), since one text could not stand for all of them.
    """
    keys = [key for key in manifest["axes"] if key not in ("method", "data")]
    if "method" not in manifest["axes"] or manifest["combine"] != "product" or len(keys) != 1:
        return None
    runs = manifest.get("runs", [])
    places = {
        run["cell"]: (run["method"], repr(run["values"][keys[0]]))
        for run in runs
        if keys[0] in run.get("values", {})  # rows from elsewhere have no such value
    }
    further = any(run.get("note") for run in runs)
    return None if further or len(set(places.values())) < len(places) else keys[0]
