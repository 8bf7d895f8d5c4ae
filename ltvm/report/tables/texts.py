"""From the long table to paper-style tables: texts such as ``457 ± 12``, one row per cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ltvm.metrics.columns import FAMILIES, Column
from ltvm.report.comparisons.hypotheses import best_cells
from ltvm.report.comparisons.statistics import INTERVALS, format_estimate
from ltvm.report.values.cells import (
    by_cell,
    cell_names,
    crossed_key,
    external_cells,
    first_rows,
    runs_texts,
    stored_texts,
    temperatures,
    tuning_trials,
    value_text,
)
from ltvm.report.values.comparability import Marks
from ltvm.report.values.declared import columns_of, headings
from ltvm.report.values.long_table import STORED

TEMPERATURE = "chain temperature"
TUNING = "tuning trials"
WIDEST = 10  # metrics that one table shows


def estimates_table(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    metrics: Sequence[str],
    mark_best: bool,
    marks: Marks | None = None,
    interval: str = "t",
) -> pd.DataFrame:
    """One row per cell, one column per metric, texts such as ``457 ± 12``.

    Where a chain has another temperature than the posterior's, a column says each row's; so it does
    of the trials that found a row's settings, where any were tuned.
    A cell whose runs are not all done says so in the column ``runs``; a cell without any value
    keeps its row. The best value of a column is in ``**``, where ``best_cells`` finds one among
    cells that are all done and whose numbers are of one kind; ``marks`` adds footnote signs.
    ``interval`` is a key of ``INTERVALS``.
    """
    marks = marks or Marks()
    names = cell_names(table, manifest)
    declared = columns_of(table)
    titles = headings(declared)
    best = best_cells(table, metrics, declared, marks) if mark_best else set()
    columns: dict[str, dict[str, str]] = {"runs": runs_texts(table)}
    if trials := tuning_trials(table):
        columns[TUNING] = trials
    if hot := temperatures(table):
        columns[TEMPERATURE] = hot
    for metric in metrics:
        values = by_cell(table, metric)
        columns[titles[metric]] = {
            cell: format_estimate(
                INTERVALS[interval](list(values[cell].values())),
                (metric, cell) in best,
                marks.signs(metric, cell),
            )
            if cell in values
            else "-"
            for cell in names
        }
    frame = pd.DataFrame(columns).reindex(list(names))
    frame.index = pd.Index([names[cell] for cell in frame.index], name="cell")
    return frame.reset_index()


def with_devices(frame: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """A table of costs, with each row's device where there are several, or stored rows."""
    if STORED not in table and ("device" not in table or table["device"].nunique(dropna=False) < 2):
        return frame
    devices = devices_of(table)
    if len(set(devices.values())) <= 1 and STORED not in table:
        return frame
    frame.insert(list(frame).index("runs") + 1, "device", list(devices.values()))
    return frame


def devices_of(table: pd.DataFrame) -> dict[str, str]:
    """cell -> the devices of its runs, ``-`` where no run says."""
    if "device" not in table:
        return {str(cell): "-" for cell in table["cell"].unique()}
    return {
        str(cell): " or ".join(rows.dropna().unique()) or "-"
        for cell, rows in table.groupby("cell", sort=False)["device"]
    }


def by_family(
    frame: pd.DataFrame, metrics: Sequence[str], columns: Mapping[str, Column]
) -> dict[str, pd.DataFrame]:
    """A table of ``metrics`` as it is ({"": frame}), or one per family where it is too wide.

    ``columns`` declares all that the long table has, so that titles are as in ``frame``.
    """
    titles = headings(columns)
    shown = {titles[metric]: columns[metric].family for metric in metrics}
    shown = {heading: family for heading, family in shown.items() if heading in frame}
    if len(shown) <= WIDEST:
        return {"": frame}
    lead = [column for column in frame.columns if column not in shown]
    families = {
        family: [heading for heading, own in shown.items() if own == family] for family in FAMILIES
    }
    return {family: frame[lead + chosen] for family, chosen in families.items() if chosen}


def crossed_table(
    table: pd.DataFrame, manifest: dict[str, Any], estimates: pd.DataFrame, heading: str
) -> pd.DataFrame:
    """One metric, methods by values of the swept key, from the texts of ``estimates_table``.

    Rows from elsewhere have no such value.
    """
    key = crossed_key(manifest)
    cells = first_rows(table)
    cells = cells[~cells["cell"].isin(external_cells(table))]
    texts = dict(zip(estimates["cell"], estimates[heading], strict=True))
    names, shipped = cell_names(table, manifest), stored_texts(table)
    frame = pd.DataFrame(
        {
            "method": cells["method"],
            "value": cells[key].map(value_text),
            "text": [texts[names[c]] + shipped.get(c, "") for c in cells["cell"]],
        }
    )
    rows = frame.pivot_table(
        index="method", columns="value", values="text", aggfunc="first", sort=False
    )
    labels = dict(zip(cells["method"], cells["label"].fillna(cells["method"]), strict=True))
    return rows.rename(index=labels).reset_index().rename_axis(columns=None)
