"""Numbers in one column must be of one kind: what differs, where, and whether it is meant to.

Every number's provenance stands in its record. Within a data set and metric all of it must
agree, except what is only noted (``NOTED``). A difference is meant where the ablation sweeps
what is evaluated and the field follows the swept value: then the report says so. Any other is
refused, or marked where the user asks for that. Rows that spent unequal budgets are compared with
a mark, and neither tested nor best.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ltvm.errors import InputError
from ltvm.report.values.equal_terms import Spent, are_equal, spent_by_cell
from ltvm.runs.words import note_words

MIXED = "†"
WARNED = "‡"
UNEQUAL = "§"

# Who computed a number, and what was found along with it: no part of what the number is. A
# metric puts anything else that it found rather than chose under ``found``.
NOTED = frozenset(
    {"version", "commit", "device", "execution", "warning", "standard_error", "bandwidth", "reason",
     "inference_precision", "found"}
)  # fmt: skip

# What is compared, as methods are: a row has one sampler, or is external, and its name says so.
COMPARED = frozenset({"sampler", "external"})

# Keys that decide what is evaluated. Others change the model alone, never what a number is.
EVALUATED = (
    "data", "evaluation", "model.sigma", "protocol.evaluation", "protocol.train_images",
    "protocol.test_images",
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """One field of provenance that has several values in one column."""

    data: str
    metric: str
    field: str
    cells: dict[str, list[str]]  # value -> names of the cells that have it
    values: dict[str, frozenset[str]]  # cell -> its values (its seeds may differ)
    odd: frozenset[str]  # cells with another value than most numbers have; all, at a tie
    swept: str | None  # the swept key that the field follows; None: not meant

    @property
    def who_has_what(self) -> str:
        """``1000 ("VAE"); 500 ("ABP", "SRI" seed 0)``"""
        return "; ".join(f"{value} ({', '.join(cells)})" for value, cells in self.cells.items())


def differences(
    table: pd.DataFrame, names: dict[str, str], swept: Sequence[str]
) -> list[Difference]:
    """Every field of provenance that differs within a data set and metric of a long table.

    ``names`` are the cells' names, ``swept`` the ablation's axes.
    """
    found: list[Difference] = []
    if "provenance" not in table:
        return found
    stated = table[["data", "metric", "provenance"]].dropna()
    texts = stated.drop_duplicates().groupby(["data", "metric"], sort=False).size()
    for (data, metric), number in zip(texts.index.tolist(), texts.tolist(), strict=True):
        if number == 1:
            continue
        own = (table["data"] == data) & (table["metric"] == metric) & table["provenance"].notna()
        rows = table[own]
        contents = [json.loads(text) for text in rows["provenance"]]
        for field in dict.fromkeys(key for content in contents for key in content):
            if field in NOTED | COMPARED:
                continue
            said = [field in content or "external" not in content for content in contents]
            values = [json.dumps(content.get(field), sort_keys=True) for content in contents]
            of_field = rows.assign(field=values)[said]  # images from elsewhere have no decoder
            if of_field["field"].nunique() > 1:
                found.append(difference(str(data), str(metric), field, of_field, names, swept))
    return found


def difference(
    data: str,
    metric: str,
    field: str,
    rows: pd.DataFrame,
    names: dict[str, str],
    swept: Sequence[str],
) -> Difference:
    """Who has which value; ``rows`` have it in their column ``field``."""
    counts = Counter(rows["field"]).most_common()
    usual = counts[0][0] if counts[0][1] > counts[1][1] else None  # a tie: none is
    seeds = dict(rows.groupby("cell")["seed"].nunique())
    cells: dict[str, list[str]] = {}
    for (value, cell), part in rows.groupby(["field", "cell"], sort=False):
        some = part["seed"].nunique() < seeds[cell]
        which = f" seed {', '.join(str(s) for s in sorted(part['seed']))}" if some else ""
        cells.setdefault(readable(str(value)), []).append(f'"{names[str(cell)]}"{which}')
    values = {str(cell): frozenset(part) for cell, part in rows.groupby("cell")["field"]}
    odd = frozenset(rows[rows["field"] != usual]["cell"])
    return Difference(data, metric, field, cells, values, odd, followed_key(rows, swept))


def followed_key(rows: pd.DataFrame, swept: Sequence[str]) -> str | None:
    """The swept key of what is evaluated whose value decides the column ``field``, or None.

    Further cells of an ablation count with the overrides that make them.
    """
    keys = {key: rows[key].map(repr) for key in swept if decides_what_is_evaluated(key)}
    notes = rows["note"].fillna("") if "note" in rows else pd.Series("", index=rows.index)
    further = notes.map(lambda note: note if evaluated_keys(note) else "")
    if (further != "").any():
        own = dict.fromkeys(key for note in further for key in evaluated_keys(note))
        keys[", ".join(own)] = further
    varying = {key: values for key, values in keys.items() if values.nunique() > 1}
    for key, values in varying.items():
        if rows.groupby(values)["field"].nunique().max() == 1:
            return key
    if len(varying) > 1 and rows.groupby(list(varying.values()))["field"].nunique().max() == 1:
        return ", ".join(varying)
    return None


def decides_what_is_evaluated(key: str) -> bool:
    key = key.lstrip("+")
    return key == "protocol" or any(key == own or key.startswith(f"{own}.") for own in EVALUATED)


def evaluated_keys(note: str) -> list[str]:
    """The keys that decide what is evaluated among a further cell's overrides."""
    keys = [key for key, value in note_words(note) if value is not None]
    return [key for key in keys if decides_what_is_evaluated(key)]


def readable(value: str) -> str:
    """A field's value, from its JSON; a hash by its first digits."""
    content = json.loads(value)
    if content is None:
        return "not stated"
    if not isinstance(content, str):
        return value
    return content[:12] if len(content) == 64 and " " not in content else content


def refuse_mixed(found: Sequence[Difference], name: str) -> None:
    """Raise :class:`ltvm.errors.InputError` for differences that are not meant.

    The message says which field differs, its values, their cells, and the metrics.
    """
    lines = list(by_field([d for d in found if d.swept is None]))
    if lines:
        more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
        raise InputError(
            f"report {name}: numbers of different provenance in one column: "
            + "; ".join(lines[:3])
            + more
            + ".\nallowed: one value each, or --allow-mixed, which marks them"
        )


def by_field(found: Sequence[Difference]) -> Iterator[str]:
    """A sentence for each field and split of the cells, with all metrics that it concerns."""
    metrics: dict[tuple[str, str], list[str]] = {}
    for d in found:
        metrics.setdefault((d.data, f"{d.field} is {d.who_has_what}"), []).append(d.metric)
    for (data, text), concerned in metrics.items():
        yield f"{text} in {', '.join(concerned)} on {data}"


@dataclass(frozen=True)
class Marks:
    """What tables and figures do about provenance: signs at numbers, and where nothing is best."""

    found: Sequence[Difference] = ()
    warned: dict[str, dict[str, set[str]]] = dataclasses.field(default_factory=dict)
    spent: Mapping[str, Spent] = dataclasses.field(default_factory=dict)

    def signs(self, metric: str, cell: str) -> str:
        """The signs of a cell's number."""
        mixed = any(cell in d.odd for d in self.found if d.metric == metric and d.swept is None)
        warned = any(cell in cells for cells in self.warned.get(metric, {}).values())
        return (MIXED if mixed else "") + (WARNED if warned else "")

    def pair(self, metric: str, cell: str, other: str) -> tuple[bool, str]:
        """Whether two cells' numbers may be subtracted, and the signs of their difference.

        Not where a sweep makes them different things; with a sign where they are mixed, or on
        unequal terms (``is_tested``).
        """
        mixed = False
        for d in self.found:
            of_both = [d.values[c] for c in (cell, other) if c in d.values]
            if d.metric == metric and len(frozenset().union(*of_both)) > 1:
                if d.swept is not None:
                    return False, ""
                mixed = True
        warned = WARNED in self.signs(metric, cell) + self.signs(metric, other)
        signs = (MIXED if mixed else "") + (WARNED if warned else "")
        return True, signs + ("" if self.equal_terms((cell, other)) else UNEQUAL)

    def equal_terms(self, cells: Iterable[str]) -> bool:
        """Whether these cells spent alike; what is not known of one is taken to be."""
        return are_equal(self.spent[cell] for cell in cells if cell in self.spent)

    def alike(self, cells: Iterable[str], metric: str) -> bool:
        """Whether these cells' numbers are all of one kind and terms, so that one can be best."""
        own = [d for d in self.found if d.metric == metric]
        cells = set(cells)
        return self.equal_terms(cells) and all(
            len(frozenset().union(*(values for cell, values in d.values.items() if cell in cells)))
            <= 1
            for d in own
        )

    def panel_sign(self, metric: str) -> str:
        """The sign of a figure's panel that shows mixed numbers."""
        mixed = any(d.metric == metric and d.swept is None for d in self.found)
        return f" {MIXED}" if mixed else ""


def is_tested(signs: str) -> bool:
    """Whether a difference with these signs is tested: its numbers are of one kind and terms."""
    return not {MIXED, UNEQUAL} & set(signs)


def marks_of(table: pd.DataFrame, found: Sequence[Difference]) -> Marks:
    """The marks of a long table, of which ``found`` are the ``differences``."""
    return Marks(found, warned_cells(table), spent_by_cell(table))


def warned_cells(table: pd.DataFrame) -> dict[str, dict[str, set[str]]]:
    """metric -> warning -> cells whose number carries it."""
    warned: dict[str, dict[str, set[str]]] = {}
    if "provenance" not in table:
        return warned
    rows = table[["metric", "cell", "provenance"]].dropna(subset=["metric", "provenance"])
    rows = rows[rows["provenance"].str.contains('"warning":', regex=False)]
    for metric, cell, text in zip(rows["metric"], rows["cell"], rows["provenance"], strict=True):
        warning = str(json.loads(text)["warning"])
        warned.setdefault(str(metric), {}).setdefault(warning, set()).add(str(cell))
    return warned
