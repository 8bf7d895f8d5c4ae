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
    table = pd.read_csv(FILE, dtype={"table": str, "our_method": str})
    rows = table[table["data"] == HELD_OUT.get(data, data)]
    if data in HELD_OUT:
        rows = rows[rows["metric"].str.startswith("auprc_heldout")]
    rows = rows.drop(columns=["data"]).reset_index(drop=True)
    return rows.assign(note="on MNIST in full") if data == "mnist5k_without" else rows
