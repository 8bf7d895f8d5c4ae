"""What a reader of a report must know before comparing its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from ltvm.report import tables
from ltvm.report.comparability import MIXED, WARNED, Marks

FLOORS = {  # what a floor is, by its split
    "test against train": "test images against training images",
    "Marchenko-Pastur": "edge of the Marchenko-Pastur law for that n and d",
    "prior draws": "as many draws of the prior",
    "chance": "the share of positives: a random score",
}


def notes(table: pd.DataFrame, marks: Marks, names: dict[str, str]) -> list[str]:
    """The list below the quality table; ``names`` are the cells' names."""
    lines = list(provenance_notes(marks, names))
    protocols = set(table["protocol"].dropna())
    if "smoke" in protocols:
        lines.append("- The smoke protocol only shows that everything runs: ignore its numbers.")
    several = table["data"].nunique() > 1
    floors = table[table["metric"].fillna("").str.endswith("_floor")]
    swept = tables.data_keys(table)[1:]
    said: dict[tuple[str, str], list[str]] = {}  # (floor, its value) -> the swept keys it is for
    for (metric, data, _, *key), rows in floors.groupby(
        ["metric", "data", "n", *swept], dropna=False
    ):
        n = rows["n"].dropna()
        size = f", n = {int(n.iloc[0])}" if len(n) else ""
        values = table[table["metric"] == str(metric).removesuffix("_floor")]
        ours = values[values["cell"].isin(rows["cell"])]["n"].dropna()
        if len(n) and len(ours) and set(ours) != set(n):
            size += "; another n than the values': not comparable"
        base = tables.title(str(metric).removesuffix("_floor")) + (f" on {data}" if several else "")
        own = [f"{k} = {v}" for k, v in zip(swept, key, strict=True) if str(v) != "nan"]
        split = str(rows["split"].iloc[0]) if "split" in rows else ""
        what = FLOORS.get(split, "two draws of the prior")
        text = f"{rows['value'].mean():.4g} ({what}{size})"
        said.setdefault((base, text), []).append(", ".join(own))
    varying = [base for base, _ in said if [b for b, _ in said].count(base) > 1]
    for (base, text), keys in said.items():
        where = f", {'; '.join(keys)}" if base in varying and any(keys) else ""
        lines.append(f"- Floor of {base}{where}: {text}.")
    if "mse_train" in set(table["metric"]):
        lines.append(
            "- MSE of training images is that of their own codes as training leaves them: blended "
            "with the prior after a correction, a chain's last state, a VAE's posterior mean. No "
            "best is marked."
        )
        lines.append(
            "- MSE of unseen images: a chain's last state includes its noise, a VAE decodes its "
            "posterior mean, for which restarts change nothing."
        )
        lines.append("- Codes are compared with the prior as inferred, before the last correction.")
    sized = table.dropna(subset=["metric", "n"])
    alike: dict[str, list[str]] = {}
    for (metric, data), rows in sized.groupby(["metric", "data"]):
        if str(metric).endswith("_floor") or tables.CURVE.fullmatch(str(metric)):
            continue
        used = rows.dropna(subset=["extractor"])
        networks = (
            used["extractor"].astype(str) + " (" + used["checksum"].astype(str).str[:12] + ")"
        )
        features = f", extractor {either(networks)}" if len(networks) else ""
        sizes = either(int(n) for n in sorted(rows["n"]))
        text = f"n = {sizes}, {either(rows['split'])} split{features}"
        text += f", on {data}" if several else ""
        alike.setdefault(text, []).append(tables.title(str(metric)))
    lines += [f"- {text}: {'; '.join(titles)}." for text, titles in alike.items()]
    for column in ("device", "execution", "torch", "fingerprint", "commit"):
        mixed = mixed_values(table, column)
        lines += [f"- Mixed {column} on {data}: {', '.join(v)}." for data, v in mixed.items()]
    unfinished = table[table["status"].isin(["diverged", "failed", "interrupted"])]
    for _, row in unfinished.drop_duplicates("path").iterrows():
        lines.append(f"- `{row['path']}` {row['status']}: {row['reason']}")
    return [*lines, ""]


def mixed_values(table: pd.DataFrame, column: str) -> dict[str, list[str]]:
    """Data set -> the values of a column, where there are several on one data set.

    Images differ by design between values of a swept key of the data.
    """
    swept = tables.data_keys(table) if column == "fingerprint" else ["data"]
    mixed: dict[str, list[str]] = {}
    for _, rows in table.dropna(subset=[column]).groupby(swept, sort=False, dropna=False):
        values = [str(value) for value in rows[column].unique()]
        if len(values) > 1:
            mixed[str(rows["data"].iloc[0])] = values
    return mixed


def either(values: Iterable[object]) -> str:
    """Distinct values in their order; one, where provenance is the same throughout."""
    return " or ".join(dict.fromkeys(map(str, values)))


def provenance_notes(marks: Marks, names: dict[str, str]) -> Iterator[str]:
    """What was swept, what is mixed, what carries a warning."""
    alike: dict[tuple[str, str, str], list[str]] = {}  # (sign, data, text) -> metrics
    for d in marks.found:
        if d.swept is not None:
            text = (
                f"**{d.field} varies with {d.swept}**: {', '.join(d.cells)}. "
                "Compare rows of one value only; no best is marked."
            )
        else:
            text = (
                f"**{d.field} differs**: {d.who_has_what}. "
                f"Another {d.field}, another number: they do not compare, and no best is marked."
            )
        sign = "" if d.swept is not None else f"{MIXED} "
        alike.setdefault((sign, d.data, text), []).append(tables.title(d.metric))
    for (sign, data, text), titles in alike.items():
        yield f"- {sign}{'; '.join(titles)} on {data}: {text}"
    for metric, warnings in marks.warned.items():
        for warning, cells in warnings.items():
            where = ", ".join(name for cell, name in names.items() if cell in cells)
            yield f"- {WARNED} {tables.title(metric)}, {where}: {warning}."
