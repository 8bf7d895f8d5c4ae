"""What a page says before its numbers: seeds done, and in which currency terms are equal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from ltvm.report.comparisons.differences import pairs
from ltvm.report.comparisons.hypotheses import OUTSTANDING
from ltvm.report.sentences.notes import SAID
from ltvm.report.values.cells import (
    cell_names,
    cells_by_data,
    data_keys,
    runs_texts,
    temperatures,
    tuning_trials,
)
from ltvm.report.values.comparability import UNEQUAL
from ltvm.report.values.costs import COSTS, CURRENCIES
from ltvm.report.values.equal_terms import TOLERANCE, Spent, are_equal, extremes, spent_by_cell
from ltvm.report.values.long_table import SAMPLER_LABEL, SEEDS, STORED, STUDY

PROTOCOL = (
    "Every value is of the last state of training, for all methods alike: no early stopping, and "
    "never a selection on the test images.\n"
)
HOT = (
    "Chain temperature: tau²/(2 eta) at the first and last iteration. 1: short steps sample the "
    "posterior; above it codes spread further than posterior and prior.\n"
)
TUNED = (
    "Tuning trials: settings that were tried for a row, each trained without some training "
    "images and scored on those; the test images had no part in it. 0: as the protocol has them. "
    "Every trial stands in `tuning/found` beside the records. "
    "What the trials cost stands beside the costs of training, and in none of those."
)
SAMPLED = (
    "A row with a plus samples from a density in place of its prior, fitted to the run's codes "
    "when training was over; nothing was trained again. A dash: samples have no part in the value, "
    "which is that of the row without the density.\n"
)


def state_text(table: pd.DataFrame, manifest: dict[str, Any]) -> list[str]:
    """``1 of 3 seeds`` and which rows lack what, while runs are to come; one seed says so.

    So do rows that have another budget than what they are compared with.
    """
    parts = [*progress_text(table, manifest), *unequal_text(table, manifest)]
    if table[table["status"] == "done"]["seed"].nunique() == 1:
        parts.append("One seed: no interval, and nothing is tested.\n")
    return parts


def unequal_text(table: pd.DataFrame, manifest: dict[str, Any]) -> Iterator[str]:
    """Which rows are not on the terms of their reference, and what they spend of its currency.

    Where it is other rows of a data set that differ, that none of them is best.
    """
    spent, names = spent_by_cell(table), cell_names(table, manifest)
    said = [
        f"“{names[cell]}” against “{names[other]}” ({ratio_text(spent[cell], spent[other])})"
        for cell, other in pairs(table, manifest)
        if {cell, other} <= set(spent) and not are_equal((spent[cell], spent[other]))
    ]
    if said:
        more = f"; and {len(said) - SAID} more rows" if len(said) > SAID else ""
        yield (
            f"**Not on equal terms** ({UNEQUAL}), and not tested: {'; '.join(said[:SAID])}{more}. "
            "Nor is a row best, or keeps another off a frontier, where it spends more or less.\n"
        )
        return
    own = [[spent[c] for c in cells if c in spent] for _, cells in cells_by_data(table)]
    unequal = [rows for rows in own if not are_equal(rows)]
    if any(len({one.currency for one in rows}) > 1 for rows in unequal):
        yield "Rows have several currencies of equal terms, so that none of them is best.\n"
    elif unequal:
        ratio = max(map(ratio_of, unequal))
        title = COSTS[CURRENCIES[unequal[0][0].equal]].title
        yield (
            f"Rows are compared within equal budgets. Over all of them budgets differ ({title}: up "
            f"to {ratio:.3g} times as much), so that none of them is best.\n"
        )


def ratio_text(own: Spent, reference: Spent) -> str:
    """``training, FLOP: 4 times as much``, or the currencies where they are two."""
    if own.currency != reference.currency:
        return f"equal {own.currency} and equal {reference.currency}"
    ratio = own.amount / reference.amount if reference.amount else math.inf
    return f"{COSTS[CURRENCIES[own.equal]].title}: {ratio:.3g} times as much"


def reading_text(table: pd.DataFrame) -> list[str]:
    """How to read what the page has: its values, trials, rows with a density, hot chains."""
    parts = [PROTOCOL]
    parts += [TUNED + searched_text(table)] if tuning_trials(table) else []
    parts += [SAMPLED] if SAMPLER_LABEL in table else []
    return [*parts, HOT] if temperatures(table) else parts


def searched_text(table: pd.DataFrame) -> str:
    """In which trials differed from the runs that have their settings: protocol, seeds, density."""
    rows = table.dropna(subset=[STUDY, "protocol"]).drop_duplicates("cell")
    studies = rows[["method", "data", STUDY]].itertuples(index=False)
    protocols = [  # METHOD-DATA-PROTOCOL-DIGEST
        study.rpartition("-")[0].removeprefix(f"{method}-{data}-")
        for method, data, study in studies
    ]
    pairs = zip(protocols, rows["protocol"], strict=True)
    other = dict.fromkeys(trials for trials, own in pairs if trials != own)
    said = [f"The trials were at another protocol: {', '.join(other)}."] if other else []
    if SEEDS in rows and rows[SEEDS].notna().any():
        said.append("x n seeds: each was trained with n seeds, and its value is their mean.")
    if SAMPLER_LABEL in rows:
        sampled = rows[SAMPLER_LABEL].notna()
        if set(rows.loc[sampled, STUDY]) & set(rows.loc[~sampled, STUDY]):
            said.append("Rows with a plus and the same rows without share one search.")
    return "".join(f" {one}" for one in said) + "\n"


def progress_text(table: pd.DataFrame, manifest: dict[str, Any]) -> Iterator[str]:
    """The seeds at which every row is done, and the rows that are not; none where all are."""
    outstanding = table[table["status"].isin(OUTSTANDING)]
    if outstanding.empty:
        return
    seeds = sorted(set(table["seed"]))
    done = len(set(seeds) - set(outstanding["seed"]))
    names = cell_names(table, manifest)
    cells, texts = [str(cell) for cell in outstanding["cell"].unique()], runs_texts(table)
    rows = "; ".join(f"{names[cell]}: {texts[cell]}" for cell in cells[:SAID])
    if len(cells) > SAID:
        rows += f"; and {len(cells) - SAID} more rows"
    yield (
        f"**{done} of {len(seeds)} seeds**: runs are still to come. Nothing is tested or marked "
        f"in these rows until then: {rows}.\n"
    )


def equal_text(table: pd.DataFrame) -> str:
    """On which currency the terms are equal, and how nearly, by ``protocol.equal``."""
    if "equal" not in table:
        return ""
    parts = []
    several = table["equal"].nunique() > 1
    for equal, rows in table.dropna(subset=["equal"]).groupby("equal", sort=False):
        if equal not in CURRENCIES:  # of another version
            continue
        title = COSTS[CURRENCIES[str(equal)]].title
        alike = rows.groupby(terms_keys(rows), dropna=False)
        ratio = max((ratio_of(spent_by_cell(part).values()) for _, part in alike), default=1.0)
        agree = f"rows agree within {100 * (ratio - 1):.2g} %"
        if ratio > 1 + TOLERANCE:
            agree = f"of rows with another budget up to {ratio:.3g} times as much"
        parts.append(f"{title} (`protocol.equal={equal!s}`; {agree})")
    if not parts:
        return ""
    return (
        f"Terms are equal in one currency: {'; '.join(parts)}. The others are what that came to. "
        + ("Compare rows of one currency only. " if several else "")
        + machines_text(table)
    )


def terms_keys(rows: pd.DataFrame) -> list[str]:
    """The columns that say which rows' terms are the same: images, how many, and the protocol."""
    own = [c for c in rows.columns if str(c) in ("protocol", "protocol.train_images")]
    return [*data_keys(rows), *map(str, own)]


def machines_text(table: pd.DataFrame) -> str:
    """What seconds are good for where they are of several machines; nothing where they are not."""
    runs = table.dropna(subset=["device"])
    stored = runs[STORED].notna() if STORED in runs else False
    if len(runs.assign(stored=stored)[["device", "stored"]].drop_duplicates()) <= 1:
        return ""
    unequal = " and are no equal terms" if "seconds" in set(table["equal"].dropna()) else ""
    return f"Seconds are of several machines{unequal}: compare them within one device only. "


def ratio_of(spent: Iterable[Spent]) -> float:
    """The most that is spent over the least; 1 where nothing says what any spent."""
    least, most = extremes(spent)
    if math.isnan(least) or most == least:
        return 1.0
    return most / least if least else math.inf
