"""Published figures, each with its source; facts from the literature, never our own runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

FILE = Path(__file__).with_name("published.csv")


def published(data: str) -> pd.DataFrame:
    """Published rows for a data set (``mnist5k`` counts as its own and has none)."""
    table = pd.read_csv(FILE, dtype={"table": str, "our_method": str})
    return table[table["data"] == data].drop(columns=["data"]).reset_index(drop=True)
