"""Published figures, each with its source; facts from the literature, never our own runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

FILE = Path(__file__).with_name("published.csv")


# Data sets with a digit left out: which data set's published rows they are compared with.
HELD_OUT = {"mnist_without": "mnist", "mnist5k_without": "mnist"}


def published(data: str) -> pd.DataFrame:
    """Published rows for a data set (``mnist5k`` counts as its own and has none).

    Data with a digit left out get the rows on detecting it; for ``mnist5k_without`` a note says
    that those were trained and tested on MNIST in full.
    """
    text = dict.fromkeys(("table", "our_method", "left_out"), str)
    table = pd.read_csv(FILE, dtype=text)
    rows = table[table["data"] == HELD_OUT.get(data, data)]
    if data in HELD_OUT:
        rows = rows[rows["left_out"].notna()]
    rows = rows.drop(columns=["data"]).reset_index(drop=True)
    if data == "mnist5k_without":
        notes = rows["note"].fillna("").map(lambda note: f"{note}; " if note else "")
        rows = rows.assign(note=notes + "on MNIST in full")
    return rows


def published_frames(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Published rows as texts, as they are; of digits left out, one column for each digit."""
    plain = rows.drop(columns=["resolution", "left_out"]).astype(object).fillna("").map(str)
    detected = rows["left_out"].notna()
    frames = [plain[~detected].reset_index(drop=True)] if not detected.all() else []
    if detected.any():
        frames.append(by_digit(plain[detected], rows[detected]))
    return frames


def by_digit(plain: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """One row per method and source, ``mean ± spread`` for each digit that was left out."""
    texts = [
        f"{value:.3f}" + ("" if pd.isna(spread) else f" ± {spread:.3f}")
        for value, spread in zip(rows["value"], rows["std"], strict=True)
    ]
    pivot = plain.assign(text=texts).pivot_table(
        index=[c for c in plain.columns if c not in ("metric", "value", "std")],
        columns="metric", values="text", aggfunc="first", sort=False,
    )  # fmt: skip
    return pivot.reset_index().rename_axis(columns=None)
