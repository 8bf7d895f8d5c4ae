"""Cells of an ablation: their names, their swept keys, and which of them compete."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from ltvm.report.long_table import SAMPLER, SAMPLER_LABEL, TRIALS


def swept_keys(manifest: dict[str, Any]) -> list[str]:
    """What is swept beside what a row's name begins with: method, sampler and data."""
    return [key for key in manifest["axes"] if key not in ("method", SAMPLER, "data")]


def method_text(row: pd.Series) -> str:
    """``VAE``, or ``VAE + GMM`` where another sampler than its own prior makes the images."""
    sampler = row.get(SAMPLER_LABEL)
    text = str(row["label"] or row["method"])
    return text if sampler is None or pd.isna(sampler) else f"{text} + {sampler}"


def cell_names(table: pd.DataFrame, manifest: dict[str, Any]) -> dict[str, str]:
    """A name for every cell: its method's label and its swept values."""
    several_data = table["data"].nunique() > 1
    several_methods = table["method"].nunique() > 1 or SAMPLER in table
    keys = swept_keys(manifest)
    names: dict[str, str] = {}
    for cell, rows in table.groupby("cell", sort=False):
        first = rows.iloc[0]
        parts = [str(first["data"])] if several_data else []
        if several_methods or not keys:
            parts.append(method_text(first))
        parts += swept_texts(first, keys)
        names[str(cell)] = ", ".join([*parts, *filter(None, [first.get("note")])])
    repeated = [name for name, count in Counter(names.values()).items() if count > 1]
    return {c: f"{name} [{c}]" if name in repeated else name for c, name in names.items()}


def swept_texts(row: pd.Series, keys: list[str]) -> list[str]:
    """``["alpha = 0.5"]``: the swept keys that a cell has, without their group."""
    return [
        f"{key.split('.', 1)[-1]} = {value_text(row[key])}" for key in keys if not pd.isna(row[key])
    ]


def value_text(value: Any) -> str:
    if isinstance(value, float) and not isinstance(value, bool):
        return f"{value:g}"
    return str(value)


def by_cell(table: pd.DataFrame, metric: str) -> dict[str, dict[int, float]]:
    """cell -> seed -> value of one metric."""
    chosen = table[table["metric"] == metric]
    return {
        str(cell): {int(s): float(v) for s, v in zip(rows["seed"], rows["value"], strict=True)}
        for cell, rows in chosen.groupby("cell", sort=False)
    }


def data_keys(table: pd.DataFrame) -> list[str]:
    """The columns that say which images: the data set, and its keys where they are swept."""
    return ["data", *[str(c) for c in table.columns if str(c).startswith("data.")]]


def cells_by_data(table: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Cells of each data set and its swept keys: values on different data do not compete."""
    return [
        (str(rows["data"].iloc[0]), [str(cell) for cell in rows["cell"].unique()])
        for _, rows in table.groupby(data_keys(table), sort=False, dropna=False)
    ]


def runs_text(table: pd.DataFrame, cell: str) -> str:
    """``3`` if all runs are done, else how many and what the others are."""
    status = table[table["cell"] == cell].groupby("seed")["status"].first()
    done = int((status == "done").sum())
    others = status[status != "done"].value_counts()
    text = ", ".join(f"{count} {name}" for name, count in others.items())
    return f"{done}" if not text else f"{done} of {len(status)} ({text})"


def temperatures(table: pd.DataFrame) -> dict[str, str]:
    """cell -> ``3 to 0.75``, the chain's temperature at the first and last iteration.

    Empty where no chain has another than the posterior's, 1; ``-`` for a method without a chain,
    or without a record.
    """
    columns = ["temperature_first", "temperature_last"]
    if not set(columns) <= set(table):
        return {}
    found = table.dropna(subset=columns).drop_duplicates("cell").set_index("cell")[columns]
    texts = {
        str(cell): " to ".join(dict.fromkeys(f"{float(value):.3g}" for value in row))
        for cell, row in found.iterrows()
    }
    if set(texts.values()) <= {"1"}:
        return {}
    return {str(cell): texts.get(str(cell), "-") for cell in table["cell"].unique()}


def tuning_trials(table: pd.DataFrame) -> dict[str, str]:
    """cell -> ``20``, the trials that found its settings; empty where none was tuned."""
    if TRIALS not in table:
        return {}
    first = table.drop_duplicates("cell")
    return {str(c): str(int(n)) for c, n in zip(first["cell"], first[TRIALS], strict=True)}


def crossed_key(manifest: dict[str, Any]) -> str | None:
    """The one key that is swept for every method, or None: then tables cross method and key."""
    keys = [key for key in manifest["axes"] if key not in ("method", "data")]
    crossed = "method" in manifest["axes"] and manifest["combine"] == "product" and len(keys) == 1
    return keys[0] if crossed and not manifest.get("extra") else None
