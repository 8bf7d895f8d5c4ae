"""What values are, as whoever measured them declared it: no metric is known here by its name."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ltvm.metrics.columns import FAMILIES, Column
from ltvm.report.values.remembered import remembered

FIELDS = tuple(field.name for field in dataclasses.fields(Column))
ARROWS = {"lower": " ↓", "higher": " ↑", None: ""}
BESIDE = ("error", "floor")  # belong to another value: no columns of the main table


@remembered
def columns_of(table: pd.DataFrame) -> dict[str, Column]:
    """metric -> its declaration, from a long table: in the order in which metrics appear.

    Where runs declare one metric in several ways, the first counts.
    """
    named = table.drop_duplicates("metric").dropna(subset=["metric"])
    return {str(row["metric"]): column_of(row) for row in named.to_dict("records")}


def column_of(fields: Mapping[Any, Any]) -> Column:
    """The declaration that stands in a row of a long table, or in a record."""
    stated = {name: fields[name] for name in FIELDS if name in fields}
    known = {name: value for name, value in stated.items() if not pd.isna(value)}
    return Column(**known | {"headline": bool(known.get("headline", False))})


def names_of(columns: Mapping[str, Column], *roles: str) -> list[str]:
    """Metrics of these roles: headline ones first, then by family, else in their order."""
    names = [name for name, column in columns.items() if column.role in roles]
    place = {family: number for number, family in enumerate(FAMILIES)}
    return sorted(names, key=lambda n: (not columns[n].headline, place[columns[n].family]))


def main_metrics(columns: Mapping[str, Column]) -> list[str]:
    """What the main table shows: values, diagnostics, and errors of nothing else that is here."""
    alone = {
        name
        for name, column in columns.items()
        if column.role == "error" and column.of not in columns
    }
    shown = {*names_of(columns, "value", "diagnostic"), *alone}
    return [n for n in names_of(columns, "value", "diagnostic", "error") if n in shown]


def compared_metrics(columns: Mapping[str, Column]) -> list[str]:
    """Values: a difference of two says something, as of two diagnostics it does not."""
    return names_of(columns, "value")


def headline_metrics(columns: Mapping[str, Column]) -> list[str]:
    """What figures show: the headline values, or the first three of the main table."""
    chosen = [name for name in compared_metrics(columns) if columns[name].headline]
    return chosen or main_metrics(columns)[:3]


def headings(columns: Mapping[str, Column]) -> dict[str, str]:
    """metric -> its title with an arrow towards better; a repeated one says its metric too."""
    texts = {name: column.title + ARROWS[column.direction] for name, column in columns.items()}
    count = Counter((columns[name].role in BESIDE, text) for name, text in texts.items())
    return {
        name: f"{text} [{name}]" if count[columns[name].role in BESIDE, text] > 1 else text
        for name, text in texts.items()
    }
