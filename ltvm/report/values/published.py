"""Published figures, each with its source; facts from the literature, never our own runs.

``published.csv`` says of every figure what its source declares of its protocol: extractor, n,
split, share of positives, device; an empty field is not stated. Whether a figure can be held
against our value is decided by comparing that with the provenance of ours, field by field.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

FILE = Path(__file__).with_name("published.csv")

# Data sets with a digit left out: which data set's published rows they are compared with.
HELD_OUT = {"mnist_without": "mnist", "mnist5k_without": "mnist"}

# Published metric -> our values for it, the first that is there; and what must agree.
COUNTERPARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "fid": (("fid_inception2048", "fd_digits"), ("extractor", "n", "split")),
    "mse": (("mse_test",), ("n", "split")),
    "auprc_heldout": (("auprc_heldout",), ("n", "split", "positives")),
    "minutes_inference_per_iteration": (("inference_seconds",), ("device",)),
    "minutes_transport_per_iteration": (("transport_seconds",), ("device",)),
    "minutes_learning_per_iteration": (("learning_seconds",), ("device",)),
}
NAMES = {"positives": "share of positives"}
DECLARED = ("extractor", "n", "split", "positives", "device")
AGAINST = "against ours"  # the column beside the value


def published(data: str, table: pd.DataFrame | None = None) -> pd.DataFrame:
    """Published rows for a data set (``mnist5k`` counts as its own and has none).

    Data with a digit left out get the rows on detecting it. With a long ``table``, the column
    ``AGAINST`` says of each row in what its protocol differs from that of our value on this data.
    """
    text = dict.fromkeys(("table", "our_method", "left_out", *DECLARED), str)
    rows = pd.read_csv(FILE, dtype=text)
    rows = rows[rows["data"] == HELD_OUT.get(data, data)]
    if data in HELD_OUT:
        rows = rows[rows["left_out"].notna()]
    if table is not None:
        ours = table[table["data"] == data]
        said = [against_ours(row, ours, data) for row in rows.to_dict("records")]
        rows.insert(list(rows).index("value") + 1, AGAINST, said)
    return rows.drop(columns=["data"]).reset_index(drop=True)


def against_ours(row: dict[Any, Any], ours: pd.DataFrame, data: str) -> str:
    """In what the protocol of a published figure differs from our value's, or is not known to
    agree with it; ``as ours`` where all of it agrees.

    ``ours`` is the long table on ``data``.
    """
    digit = row["left_out"] if isinstance(row["left_out"], str) else None
    names, fields = COUNTERPARTS[row["metric"].removesuffix(f"_{digit}")]
    present = set(ours["metric"].dropna())
    name = next((name for name in names if name in present), None)
    found = [f"data {row['data']}, ours {data}"] if data == "mnist5k_without" else []
    if name is None:
        return "; ".join([*found, "not measured here"])
    if digit is not None and "data.load.digit" in ours:
        ours = ours[ours["data.load.digit"].astype(str) == digit]
    unknown = []
    for field in fields:
        own, stated = ours_of(ours, name, field), row[field]
        if not isinstance(stated, str):
            unknown.append(NAMES.get(field, field))
        elif stated not in own or len(own) > 1:
            found.append(f"{NAMES.get(field, field)} {stated}, ours {' or '.join(own)}")
    found += [f"{', '.join(unknown)} not stated"] if unknown else []
    return "; ".join(found) or "as ours"


def ours_of(ours: pd.DataFrame, metric: str, field: str) -> list[str]:
    """The distinct values of a field of our value's provenance; ``unknown`` without any."""
    rows = ours[ours["metric"] == metric]
    values: Iterable[Any]
    if field == "positives":  # what a random score gets is the share of positives
        floors = ours[ours["metric"] == f"{metric}_floor"]["value"].unique()
        values = [f"{value:.3g}" for value in floors]
    else:
        values = rows[field].dropna().unique() if field in rows else []
    texts = [str(int(v)) if isinstance(v, float) else str(v) for v in values]
    return texts or ["unknown"]


def published_frames(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Published rows as texts, as they are; of digits left out, one column for each digit."""
    hidden = [c for c in ("resolution", "left_out", *DECLARED) if c in rows]
    plain = rows.drop(columns=hidden).astype(object).fillna("").map(str)
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
    return pivot.reset_index().rename_axis(columns=None).fillna("-")
