"""Two kinds of spread: over seeds, and over the draw of samples at a fixed model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ltvm.metrics.columns import Column
from ltvm.report.values.cells import by_cell, cell_names
from ltvm.report.values.declared import columns_of, headings, names_of


def errors_of(columns: Mapping[str, Column]) -> dict[str, str]:
    """value -> the metric that is its error, where both are there."""
    errors = names_of(columns, "error")
    return {of: name for name in errors if (of := columns[name].of) is not None and of in columns}


def resampling_table(table: pd.DataFrame, manifest: dict[str, Any]) -> pd.DataFrame | None:
    """Standard deviations over seeds, and over draws of the sample; None without the latter.

    The second is the root mean square over the cell's runs. The first contains it: every seed
    draws its own sample.
    """
    names = cell_names(table, manifest)
    declared = columns_of(table)
    titles = headings(declared)
    columns: dict[str, list[str]] = {}
    for metric, error in errors_of(declared).items():
        values = {cell: list(seeds.values()) for cell, seeds in by_cell(table, metric).items()}
        errors = {cell: list(seeds.values()) for cell, seeds in by_cell(table, error).items()}
        columns[f"{titles[metric]}: sd over seeds"] = [
            f"{np.std(values[cell], ddof=1):.3g}" if len(values.get(cell, [])) > 1 else "-"
            for cell in names
        ]
        columns[f"{titles[metric]}: sd over draws"] = [
            f"{math.sqrt(np.square(errors[cell]).mean()):.3g}" if cell in errors else "-"
            for cell in names
        ]
    return pd.DataFrame({"cell": list(names.values()), **columns}) if columns else None
