"""How cells become a table: rows of cells, methods by data, pairs, a grid of two keys, costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ltvm.report.comparisons.differences import (
    difference_tests,
    differences_table,
    pairs,
    signed,
    test_text,
)
from ltvm.report.comparisons.hypotheses import Outcome, best_cells
from ltvm.report.comparisons.statistics import INTERVALS, format_estimate, holm, paired_difference
from ltvm.report.paper.sources import Source
from ltvm.report.tables.texts import estimates_table
from ltvm.report.values.cells import by_cell, value_text
from ltvm.report.values.declared import columns_of, compared_metrics, headings, headline_metrics
from ltvm.report.values.published import COUNTERPARTS, published
from ltvm.runs.files.store import Run
from ltvm.runtime.phases import PHASES

Frames = dict[str, pd.DataFrame]  # what it is of, or "" -> a table
MISSING = "missing"
SHORTEST = 1e-5  # minutes of a phase: less is that of looking at the clock
UNPLANNED = "-"  # no cell of any ablation that the table is made of
FD, MSE = "FD ↓", "MSE, unseen images ↓"  # where no run says what it measures
USUAL = {"generation": FD, "reconstruction": MSE, "detection": "AUPRC ↑"}
QUALITY = {  # what tables of one value show: the first that is there
    "generation": COUNTERPARTS["fid"][0],
    "reconstruction": COUNTERPARTS["mse"][0],
    "detection": COUNTERPARTS["auprc_heldout"][0],
}


def metric_of(table: pd.DataFrame, family: str) -> str | None:
    """The value that stands for a family, of those that a long table has."""
    present = set(table["metric"].dropna())
    return next((name for name in QUALITY[family] if name in present), None)


def text_of(values: dict[int, float], planned: int, best: bool = False, signs: str = "") -> str:
    """An estimate over the seeds that there are; says so where some are missing."""
    if not values:
        return MISSING
    text = format_estimate(INTERVALS["t"](list(values.values())), best, signs)
    some = 1 < len(values) < planned
    return f"{text} ({len(values)} of {planned} seeds)" if some else text


def seeds_of(source: Source, cell: str) -> int:
    return sum(run["cell"] == cell for run in source.manifest["runs"])


def rows(sources: Sequence[Source]) -> Frames:
    """A row for every cell, a column for every headline metric; then differences, if to any."""
    (one,) = sources
    columns = columns_of(one.table)
    metrics = headline_metrics(columns) if columns else []
    titles = [headings(columns)[metric] for metric in metrics] or [FD, MSE]
    frame = estimates_table(one.table, one.manifest, metrics, True, one.marks)
    whole = dict(zip(frame["cell"], frame["runs"].str.fullmatch(r"\d+"), strict=True))
    frames = {"": told(frame, titles, whole)}
    compared = [metric for metric in metrics if metric in compared_metrics(columns)]
    tests: dict[tuple[str, str], Outcome] | None = None if one.whole else {}
    between = differences_table(one.table, one.manifest, compared, one.marks, tests=tests)
    if between is not None:
        frames["differences"] = told(between, [headings(columns)[m] for m in compared], whole)
    return frames


def told(frame: pd.DataFrame, titles: Sequence[str], whole: dict[str, bool]) -> pd.DataFrame:
    """A frame whose dashes are said to be missing in rows that are not done."""
    done = frame["cell"].map(whole)
    for title in titles:
        own = frame[title] if title in frame else pd.Series(UNPLANNED, frame.index)
        frame[title] = own.where(done | (own != UNPLANNED), MISSING)
    return frame


def generation(sources: Sequence[Source]) -> Frames:
    """Methods by data sets: the distance of samples."""
    return crossed(sources, "generation", ["data"])


def reconstruction(sources: Sequence[Source]) -> Frames:
    """Methods by data sets: the error on unseen images."""
    return crossed(sources, "reconstruction", ["data"])


def by_digit(sources: Sequence[Source]) -> Frames:
    """Methods by the digit that training never saw."""
    return crossed(sources, "detection", ["data", "data.load.digit"])


def crossed(sources: Sequence[Source], family: str, keys: Sequence[str]) -> Frames:
    """Methods by the values of ``keys``, of one value; then what was published of it."""
    found: dict[str, dict[str, str]] = {}  # row -> column -> text
    labels: dict[str, str] = {}
    columns: dict[tuple[Any, ...], str] = {}
    for one in sources:
        protocols = {run["cell"]: run["protocol"] for run in one.manifest["runs"]}
        for place, part in one.table.groupby(list(keys), sort=False):
            metric, declared = metric_of(part, family), columns_of(part)
            title = headings(declared)[metric] if metric else USUAL[family]
            data, *digit = (value_text(value) for value in place)
            protocol = protocols[str(part["cell"].iloc[0])]
            heading = f"{data}, {protocol}" + "".join(f", without {d}" for d in digit)
            columns[place] = f"{heading}: {title}"
            values = by_cell(part, metric) if metric else {}
            best = best_cells(part, [metric], declared, one.marks) if metric else set()
            for row in part.drop_duplicates("cell").to_dict("records"):
                cell = str(row["cell"])
                signs = one.marks.signs(metric, cell) if metric else ""
                labels.setdefault(row["method"], str(row["label"] or row["method"]))
                found.setdefault(row["method"], {})[columns[place]] = text_of(
                    values.get(cell, {}), seeds_of(one, cell), (metric, cell) in best, signs
                )
    named = {labels[method]: texts for method, texts in found.items()}
    for place, heading in columns.items():
        part = pd.concat([one.table for one in sources])
        for name, text in matching(str(place[0]), part, family, [value_text(v) for v in place[1:]]):
            named.setdefault(name, {}).setdefault(heading, text)
    frame = pd.DataFrame(
        [
            {"method": name, **{h: t.get(h, UNPLANNED) for h in columns.values()}}
            for name, t in named.items()
        ]
    )
    return {"": frame}


def matching(
    data: str, table: pd.DataFrame, family: str, digit: list[str]
) -> list[tuple[str, str]]:
    """(row, text) of published figures whose protocol may be that of ours."""
    known = published(data, table)
    names = {name for name, (ours, _) in COUNTERPARTS.items() if ours == QUALITY[family]}
    found: list[tuple[str, str]] = []
    for row in known.to_dict("records"):
        name = row["metric"].removesuffix(f"_{row['left_out']}")
        here = not digit or row["left_out"] == digit[0]
        if name in names and here and can_match(row["against ours"]):
            spread = "" if pd.isna(row["std"]) else f" ± {row['std']:g}"
            name = published_name(row["method"], row["source"])
            if name in dict(found) and isinstance(row["note"], str):
                name += f": {row['note']}"  # one method in two ways
            found.append((name, f"{row['value']:g}{spread}"))
    return found


def published_name(method: object, source: object) -> str:
    return f"{method}, as published ({str(source).split(' (')[0]})"


def can_match(against: str) -> bool:
    """Whether nothing that both declare differs (see ``published.against_ours``)."""
    return ", ours " not in against


def paired(sources: Sequence[Source]) -> Frames:
    """With and without the correction on each data set: both, their paired difference, its test.

    Holm's adjustment is over all tests of the table.
    """
    found: list[dict[str, str]] = []
    tested: dict[int, float] = {}  # row -> p
    for one in sources:
        columns = columns_of(one.table)
        metrics = [m for m in headline_metrics(columns) if columns[m].direction] if columns else []
        tests = difference_tests(one.table, one.manifest, metrics, one.marks)
        runs = {run["cell"]: run for run in one.manifest["runs"]}
        for cell, other in pairs(one.table, one.manifest):
            place = f"{runs[cell]['data']}, {runs[cell]['protocol']}"
            for metric in metrics:
                values = by_cell(one.table, metric)
                first, second = values.get(cell, {}), values.get(other, {})
                estimate = paired_difference(first, second)
                if (metric, cell) in tests:
                    tested[len(found)] = tests[metric, cell].p
                found.append({
                    "data, protocol": place,
                    "value": headings(columns)[metric],
                    "with": text_of(first, seeds_of(one, cell)),
                    "without": text_of(second, seeds_of(one, other)),
                    "difference": signed(estimate, False) if estimate else MISSING,
                })  # fmt: skip
            missing = dict.fromkeys(("with", "without", "difference"), MISSING)
            if not metrics:
                found += [{"data, protocol": place, "value": v, **missing} for v in (FD, MSE)]
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    whole = all(one.whole for one in sources)
    for number, row in enumerate(found):
        outcome = Outcome(tested[number], corrected[number]) if number in tested else None
        text = test_text(outcome)
        row["p (adjusted)"] = MISSING if outcome is None else text if whole else text.strip("*")
    return {"": pd.DataFrame(found)}


def grids(sources: Sequence[Source]) -> Frames:
    """The first swept key by the second, a table for generation and one for reconstruction."""
    (one,) = sources
    first, second = [key for key in one.manifest["axes"] if key not in ("method", "data")]
    frames = {}
    for family in ("generation", "reconstruction"):
        metric = metric_of(one.table, family)
        values = by_cell(one.table, metric) if metric else {}
        found: dict[str, dict[str, str]] = {}
        for row in one.table.drop_duplicates("cell").to_dict("records"):
            cell = str(row["cell"])
            column = f"{short(second)} = {value_text(row[second])}"
            text = text_of(values.get(cell, {}), seeds_of(one, cell))
            found.setdefault(value_text(row[first]), {})[column] = text
        frame = pd.DataFrame.from_dict(found, orient="index")
        frame.index = pd.Index(frame.index, name=short(first))
        frames[family] = frame.reset_index()
    return frames


def short(key: str) -> str:
    return key.split(".", 1)[-1]


def costs(sources: Sequence[Source]) -> Frames:
    """Minutes per iteration of every phase, beside those that were published."""
    phases = [phase for phase in PHASES if phase != "evaluation"]
    found = []
    for one in sources:
        minutes = {phase: per_iteration(one, f"{phase}_seconds") for phase in phases}
        protocols = {run["cell"]: run["protocol"] for run in one.manifest["runs"]}
        for row in one.table.drop_duplicates("cell").to_dict("records"):
            cell, device = str(row["cell"]), row.get("device")
            texts = {p: text_of(minutes[p].get(cell, {}), seeds_of(one, cell)) for p in phases}
            found.append({
                "method": str(row["label"] or row["method"]),
                "data, protocol": f"{row['data']}, {protocols[cell]}",
                **{f"{phase}, min": text for phase, text in texts.items()},
                "device": device if isinstance(device, str) else MISSING,
            })  # fmt: skip
    return {"": pd.DataFrame([*found, *published_minutes(phases)])}


def per_iteration(source: Source, metric: str) -> dict[str, dict[int, float]]:
    """cell -> seed -> minutes of an iteration."""
    paths = {(run["cell"], run["seed"]): run["path"] for run in source.manifest["runs"]}
    found: dict[str, dict[int, float]] = {}
    for cell, seeds in by_cell(source.table, metric).items():
        for seed, seconds in seeds.items():
            record = Run(source.results / paths[cell, seed]).record() or {}
            if record.get("iterations_done"):
                minutes = seconds / 60 / record["iterations_done"]
                found.setdefault(cell, {})[seed] = minutes if minutes > SHORTEST else 0.0
    return found


def published_minutes(phases: Sequence[str]) -> list[dict[str, str]]:
    """The paper's own minutes: another device, stated in the row."""
    known = published("svhn")
    names = {phase: f"minutes_{phase}_per_iteration" for phase in phases}
    own = known[known["metric"].isin(names.values())]
    found = []
    for (source, method, device), part in own.groupby(["source", "method", "device"], sort=False):
        values = dict(zip(part["metric"], part["value"], strict=True))
        texts = {p: f"{values[n]:g}" if n in values else UNPLANNED for p, n in names.items()}
        found.append({
            "method": published_name(method, source),
            "data, protocol": "svhn, cost",
            **{f"{phase}, min": text for phase, text in texts.items()},
            "device": str(device),
        })  # fmt: skip
    return found
