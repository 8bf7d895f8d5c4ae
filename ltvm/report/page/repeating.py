"""What all runs of a report took together, as recorded: what it would take to do them again."""

from __future__ import annotations

import pandas as pd

from ltvm.report.values.long_table import STUDY

ONCE = ("training_seconds", "curve_seconds")  # of a run, however many rows are measured of it
EACH = ("evaluation_seconds",)  # of a run in every row
TUNING = ("tuning_seconds",)  # of settings, for all their seeds and rows
MINUTE = 60


def duration(seconds: float) -> str:
    """``48 s``, ``13 min``, ``1 h 51 min``: to the second below two minutes, else to the minute.

    >>> [duration(s) for s in (0.4, 119.4, 119.5, 3570, 6690)]
    ['0 s', '119 s', '2 min', '1 h', '1 h 52 min']
    """
    if round(seconds) < 2 * MINUTE:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / MINUTE), 60)
    return " ".join([f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0))


def repeating_text(table: pd.DataFrame) -> str:
    """The sums over runs, on which devices; empty where no run says what it took."""
    costs = table[table["value"].notna()]
    training = total(costs, ONCE, ["path", "metric"])
    if not training:
        return ""
    measuring = total(costs, EACH, ["path", "cell", "metric"])
    runs = costs[costs["metric"].isin(ONCE)].drop_duplicates("path")
    devices = runs["device"].fillna("unknown").value_counts(sort=False)
    places = ", ".join(f"{name} ({number} of them)" for name, number in devices.items())
    text = (
        f"As recorded, the {len(runs)} runs took {duration(training + measuring)} one after the "
        f"other, {duration(measuring)} of it to measure what was made; on "
        f"{places if len(devices) > 1 else devices.index[0]}."
    )
    once = [STUDY] if STUDY in costs else ["identity"]
    trials = total(costs, TUNING, [*once, "metric"])
    if trials:
        text += f" The trials that found settings took {duration(trials)} of training before."
    return text + "\n"


def total(costs: pd.DataFrame, metrics: tuple[str, ...], once: list[str]) -> float:
    """The sum of values, each counted once for what it is a value of."""
    return float(costs[costs["metric"].isin(metrics)].drop_duplicates(once)["value"].sum())
