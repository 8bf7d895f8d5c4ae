"""What a reader of a report must know before comparing its numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from ltvm.metrics.columns import Column
from ltvm.report.comparisons.hypotheses import outstanding_cells
from ltvm.report.values.cells import cells_by_data, data_keys, external_cells
from ltvm.report.values.comparability import MIXED, WARNED, Marks
from ltvm.report.values.declared import columns_of, headings, main_metrics
from ltvm.report.values.long_table import EXTERNAL, SAMPLER_LABEL, STORED

SAID = 30  # runs, or files, that are named one by one

# Where these differ within a data set, a reader is told; numbers are compared all the same.
NOTED_COLUMNS = ("device", "precision", "execution", "torch", "fingerprint", "commit",
                 "evaluation_device", "evaluation_execution", "evaluation_torch")  # fmt: skip


def notes(
    table: pd.DataFrame, marks: Marks, names: dict[str, str], unread: Sequence[str] = ()
) -> list[str]:
    """The list below the quality table; ``names`` are the cells' names.

    ``unread`` says which histories and pictures could not be read.
    """
    columns = columns_of(table)
    titles = headings(columns)
    lines = list(provenance_notes(marks, names, titles))
    if "smoke" in set(table["protocol"].dropna()):
        lines.append("- The smoke protocol only shows that everything runs: ignore its numbers.")
    lines += [*stored_notes(table, names), *external_notes(table, names)]
    lines += floor_notes(table, columns, titles)
    lines += sampler_notes(table)
    lines += definition_notes(columns, titles)
    lines += size_notes(table, columns, titles)
    for column in NOTED_COLUMNS:
        mixed = mixed_values(table, column)
        what = column.replace("_", " ")
        lines += [f"- Mixed {what} on {data}: {', '.join(v)}." for data, v in mixed.items()]
    lines += [f"- {line}." for line in unequal_seeds(table, names)]
    lines += unfinished_notes(table)
    lines += [f"- Left out: {line}." for line in unread[:SAID]]
    lines += [f"- Left out, too: {len(unread) - SAID} more files."] if unread[SAID:] else []
    return [*lines, ""]


def stored_notes(table: pd.DataFrame, names: Mapping[str, str]) -> Iterator[str]:
    """Which rows ship with the package, made on what, and in what those trained here differ."""
    if STORED not in table:
        return
    runs = table.dropna(subset=["identity"]).drop_duplicates(["cell", "seed"])
    runs = runs[~runs["cell"].isin(external_cells(table))]
    here = runs[runs[STORED].isna()]
    facts = ["device", "commit", "torch"]
    for (whose, *made), rows in runs.groupby([STORED, *facts], sort=False):
        rows_of = ", ".join(names[str(cell)] for cell in rows["cell"].unique())
        said = "; ".join(f"{fact} {short(value)}" for fact, value in zip(facts, made, strict=True))
        other = [f for f, value in zip(facts, made, strict=True) if set(here[f].dropna()) - {value}]
        differs = f" Rows trained here have another {', '.join(other)}." if other else ""
        yield f"- Stored with {whose}, not trained here: {rows_of} ({said}).{differs}"


def short(value: object) -> str:
    """A commit by its first digits."""
    text = str(value)
    return text[:12] if len(text) >= 40 and " " not in text else text


def external_notes(table: pd.DataFrame, names: Mapping[str, str]) -> Iterator[str]:
    """Where the rows from elsewhere are from, and what is not done with them."""
    cells = table[["cell", EXTERNAL]].dropna().drop_duplicates() if EXTERNAL in table else None
    if cells is None:
        return
    for cell, text in zip(cells["cell"], cells[EXTERNAL], strict=True):
        yield f"- {names[str(cell)]}: {text}."
    yield (
        "- External: images made elsewhere, as uint8, scored here by the same code against the "
        "same images. Such a row shares no seed with the others and spent what its card says: "
        "nothing of it is tested, and no best is marked beside a better one."
    )


def sampler_notes(table: pd.DataFrame) -> Iterator[str]:
    """What the densities are that rows sample from in place of a prior."""
    if not {SAMPLER_LABEL, "provenance"} <= set(table):  # no sampler, or no value at all
        return
    stated = table.dropna(subset=[SAMPLER_LABEL, "provenance"])
    said: dict[str, None] = {}
    for label, text in zip(stated[SAMPLER_LABEL], stated["provenance"], strict=True):
        sampler = json.loads(text).get("sampler")
        if not isinstance(sampler, dict) or not {"n", "codes"} <= set(sampler):
            continue
        own = {k: v for k, v in sampler.items() if k not in ("name", "codes", "n", "found")}
        settings = "".join(f", {key} = {value}" for key, value in own.items())
        said[f"- {label}: fitted to {sampler['n']} {sampler['codes']}{settings}."] = None
    yield from said


def definition_notes(columns: Mapping[str, Column], titles: Mapping[str, str]) -> Iterator[str]:
    """What each column of the main table is, in its metric's words; alike ones together."""
    alike: dict[str, list[str]] = {}
    for metric in main_metrics(columns):
        column = columns[metric]
        unit = f" In {column.unit}." if column.unit else ""
        alike.setdefault(sentence(column.definition) + unit, []).append(titles[metric])
    for text, concerned in alike.items():
        yield f"- {'; '.join(concerned)}: {text}"


def sentence(text: str) -> str:
    return text.rstrip(". ") + "."


def floor_notes(
    table: pd.DataFrame, columns: Mapping[str, Column], titles: Mapping[str, str]
) -> Iterator[str]:
    """What a perfect model would get, by data set and the swept keys of the data."""
    several = table["data"].nunique() > 1
    swept = data_keys(table)[1:]
    of_floors = table["metric"].isin([m for m, c in columns.items() if c.role == "floor"])
    if not of_floors.any():  # where no run has a value, nothing says of how many images
        return
    floors = table.loc[of_floors, ["metric", "data", "n", "cell", "value", *swept]]
    said: dict[tuple[str, str], list[str]] = {}  # (floor, its value) -> the swept keys it is for
    for (name, data, _, *key), rows in floors.groupby(
        ["metric", "data", "n", *swept], dropna=False
    ):
        metric = str(name)
        of = columns[metric].of
        assert of is not None, "a floor is one of a value"
        base = titles.get(of, of) + (f" on {data}" if several else "")
        own = [f"{k} = {v}" for k, v in zip(swept, key, strict=True) if str(v) != "nan"]
        what = columns[metric].definition.rstrip(". ")
        values = table.loc[table["metric"] == of, ["cell", "n"]]
        values = values[values["cell"].isin(list(rows["cell"].unique()))]
        text = f"{rows['value'].mean():.4g} ({what}{floor_size(rows, values)})"
        said.setdefault((base, text), []).append(", ".join(own))
    bases = [base for base, _ in said]
    for (base, text), keys in said.items():
        where = f", {'; '.join(keys)}" if bases.count(base) > 1 and any(keys) else ""
        yield f"- Floor of {base}{where}: {text}."


def floor_size(floors: pd.DataFrame, values: pd.DataFrame) -> str:
    """The n of a floor, and whether the values it belongs to have another."""
    n, ours = floors["n"].dropna(), values["n"].dropna()
    if not len(n):
        return ""
    other = "; another n than the values': not comparable" if set(ours) - set(n) else ""
    return f", n = {int(n.iloc[0])}{other}"


def size_notes(
    table: pd.DataFrame, columns: Mapping[str, Column], titles: Mapping[str, str]
) -> Iterator[str]:
    """How many images or codes of which split each column is of, and by which extractor."""
    several = table["data"].nunique() > 1
    alike: dict[str, list[str]] = {}
    stated = ["metric", "data", "n", "split", "extractor", "checksum"]
    sized = table[stated].dropna(subset=["metric", "n"]) if "n" in table else table.iloc[:0]
    for (metric, data), rows in sized.drop_duplicates().groupby(["metric", "data"]):
        if columns[str(metric)].role in ("floor", "point"):
            continue
        used = rows.dropna(subset=["extractor"])
        networks = (
            used["extractor"].astype(str) + " (" + used["checksum"].astype(str).str[:12] + ")"
        )
        features = f", extractor {either(networks)}" if len(networks) else ""
        sizes = either(int(n) for n in sorted(rows["n"]))
        text = f"n = {sizes}, {either(rows['split'])} split{features}"
        text += f", on {data}" if several else ""
        alike.setdefault(text, []).append(titles[str(metric)])
    for text, concerned in alike.items():
        yield f"- {text}: {'; '.join(concerned)}."


def unfinished_notes(table: pd.DataFrame) -> Iterator[str]:
    """Runs that stopped, and evaluations that did or are missing, with the reason.

    Of more than ``SAID`` the first, and how many more there are of each status.
    """
    rows = table[(table["status"] != "done") & table["reason"].notna()]
    rows = rows[["path", "cell", "status", "reason"]].drop_duplicates(["path", "cell"])
    for row in rows.head(SAID).to_dict("records"):
        yield f"- `{row['path']}` {row['status']}: {' '.join(str(row['reason']).split())}"
    more = Counter(rows["status"].iloc[SAID:].tolist())
    if more:
        counts = ", ".join(f"{count} {status}" for status, count in more.items())
        yield f"- Not named here: {counts} (`reason` in the long table)."


def unequal_seeds(table: pd.DataFrame, names: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each data set on which rows that are final are of different seeds.

    Not while runs are to come, which the head of a page tells; nor of rows from elsewhere, which
    are not paired.
    """
    waiting = outstanding_cells(table)
    external = external_cells(table)
    table = table[~table["cell"].isin(external)] if external else table
    done = table.loc[table["status"] == "done", ["cell", "seed"]].drop_duplicates()
    own_seeds = done.groupby("cell")["seed"].agg(frozenset)
    for data, cells in cells_by_data(table):
        if waiting.intersection(cells):
            continue
        seeds = {cell: own_seeds.get(cell, frozenset[int]()) for cell in cells}
        every = frozenset().union(*seeds.values())
        odd = {cell: own for cell, own in seeds.items() if own != every}
        if odd:
            said = ", ".join(f"{names[c]} has {listed_seeds(own)}" for c, own in odd.items())
            yield (
                f"Unequal seeds on {data}: {said} of {listed_seeds(every)}; differences and tests "
                "are of the seeds that both rows have"
            )


def listed_seeds(seeds: Iterable[int]) -> str:
    return ", ".join(str(int(seed)) for seed in sorted(seeds)) or "none"


def unreadable_notes(table: pd.DataFrame) -> list[str]:
    """``path: why`` of every run whose record or evaluation cannot be read."""
    rows = table[table["status"] == "unreadable"].drop_duplicates("path")
    return [f"{row['path']}: {row['reason']}" for row in rows.to_dict("records")]


def mixed_values(table: pd.DataFrame, column: str) -> dict[str, list[str]]:
    """Data set -> the values of a column, where there are several on one data set.

    Images differ by design between values of a swept key of the data.
    """
    if column not in table:
        return {}
    swept = data_keys(table) if column == "fingerprint" else ["data"]
    mixed: dict[str, list[str]] = {}
    stated = table[list({"data", *swept, column})].drop_duplicates().dropna(subset=[column])
    for _, rows in stated.groupby(swept, sort=False, dropna=False):
        values = [str(value) for value in rows[column].unique()]
        if len(values) > 1:
            mixed[str(rows["data"].iloc[0])] = values
    return mixed


def either(values: Iterable[object]) -> str:
    """Distinct values in their order; one, where provenance is the same throughout."""
    return " or ".join(dict.fromkeys(map(str, values)))


def provenance_notes(
    marks: Marks, names: Mapping[str, str], titles: Mapping[str, str]
) -> Iterator[str]:
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
        alike.setdefault((sign, d.data, text), []).append(titles[d.metric])
    for (sign, data, text), concerned in alike.items():
        yield f"- {sign}{'; '.join(concerned)} on {data}: {text}"
    for metric, warnings in marks.warned.items():
        for warning, cells in warnings.items():
            where = ", ".join(name for cell, name in names.items() if cell in cells)
            yield f"- {WARNED} {titles[metric]}, {where}: {warning}."
