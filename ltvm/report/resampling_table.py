"""Two kinds of spread: over seeds, and over the draw of samples at a fixed model."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd

from ltvm.report.tables import by_cell, cell_names, title


def resampling_errors(table: pd.DataFrame, metric: str) -> dict[str, list[float]]:
    """cell -> the resampling error of every run whose record states one.

    It stands in the number's provenance as ``resampling_sd``, or beside it as a value of its
    own, ``<metric>_error``.
    """
    found: dict[str, list[float]] = {}
    if "provenance" in table:
        rows = table[table["metric"] == metric].dropna(subset=["provenance"])
        for cell, text in zip(rows["cell"], rows["provenance"], strict=True):
            error = json.loads(text).get("resampling_sd")
            if error is not None:
                found.setdefault(str(cell), []).append(float(error))
    beside = by_cell(table, f"{metric}_error")
    return found or {cell: list(values.values()) for cell, values in beside.items()}


def resampling_table(
    table: pd.DataFrame, manifest: dict[str, Any], metrics: list[str]
) -> pd.DataFrame | None:
    """Standard deviations over seeds, and over draws of the sample; None where no record has it.

    The second is the root mean square over the cell's runs. The first contains it: every seed
    draws its own sample.
    """
    names = cell_names(table, manifest)
    columns: dict[str, list[str]] = {}
    for metric in metrics:
        errors = resampling_errors(table, metric)
        if not errors:
            continue
        values = {cell: list(seeds.values()) for cell, seeds in by_cell(table, metric).items()}
        columns[f"{title(metric)}: sd over seeds"] = [
            f"{np.std(values[cell], ddof=1):.3g}" if len(values.get(cell, [])) > 1 else "-"
            for cell in names
        ]
        columns[f"{title(metric)}: sd over draws"] = [
            f"{math.sqrt(np.square(errors[cell]).mean()):.3g}" if cell in errors else "-"
            for cell in names
        ]
    return pd.DataFrame({"cell": list(names.values()), **columns}) if columns else None
