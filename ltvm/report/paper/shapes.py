"""How cells become a table: rows of cells, methods by data, pairs, a grid of two keys, costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ltvm.report.comparisons.differences import (
    difference_tests,
    differences_table,
    pairs,
    signed,
    test_text,
)
from ltvm.report.comparisons.hypotheses import Key, Outcome, best_p_values, outstanding_cells
from ltvm.report.comparisons.statistics import (
    CONFIDENCE,
    INTERVALS,
    format_estimate,
    holm,
    paired_difference,
)
from ltvm.report.paper.sources import Source
from ltvm.report.tables.texts import estimates_table
from ltvm.report.values.cells import (
    by_cell,
    cell_names,
    method_text,
    note_texts,
    swept_keys,
    swept_texts,
    value_text,
)
from ltvm.report.values.declared import columns_of, compared_metrics, headings, headline_metrics
from ltvm.report.values.published import COUNTERPARTS, published
from ltvm.runs.files.store import Run
from ltvm.runtime.phases import PHASES

Frames = dict[str, pd.DataFrame]  # what it is of, or "" -> a table
MISSING = "missing"
SHORTEST = 1e-5  # minutes of a phase: less is that of looking at the clock
UNPLANNED = "-"  # no cell of any ablation that the table is made of, or nothing to tell
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


def text_of(
    values: dict[int, float],
    planned: int,
    best: bool = False,
    signs: str = "",
    absent: str = MISSING,
) -> str:
    """An estimate over the seeds that there are; says so where some are missing."""
    if not values:
        return absent
    text = format_estimate(INTERVALS["t"](list(values.values())), best, signs)
    some = 1 < len(values) < planned
    return f"{text} ({len(values)} of {planned} seeds)" if some else text


def absent_text(cell: str, to_come: Set[str]) -> str:
    return MISSING if cell in to_come else UNPLANNED


def seeds_of(source: Source, cell: str) -> int:
    return sum(run["cell"] == cell for run in source.manifest["runs"])


def rows(sources: Sequence[Source]) -> Frames:
    """A row for every cell, a column for every headline metric; then differences, if to any."""
    (one,) = sources
    columns = columns_of(one.table)
    metrics = headline_metrics(columns) if columns else []
    titles = [headings(columns)[metric] for metric in metrics] or [FD, MSE]
    frame = estimates_table(one.table, one.manifest, metrics, True, one.marks)
    names, to_come = cell_names(one.table, one.manifest), outstanding_cells(one.table)
    whole = {name: cell not in to_come for cell, name in names.items()}
    frames = {"": told(frame, titles, whole)}
    compared = [metric for metric in metrics if metric in compared_metrics(columns)]
    tests: dict[tuple[str, str], Outcome] | None = None if one.whole else {}
    between = differences_table(one.table, one.manifest, compared, one.marks, tests=tests)
    if between is not None:
        frames["differences"] = told(between, [headings(columns)[m] for m in compared], whole)
    return frames


def told(frame: pd.DataFrame, titles: Sequence[str], whole: dict[str, bool]) -> pd.DataFrame:
    """A frame whose dashes are said to be missing in rows with runs to come."""
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


@dataclass(frozen=True)
class Part:
    """What a source has on one data set (and digit): a column of a crossed table."""

    source: Source
    place: tuple[Any, ...]
    table: pd.DataFrame
    metric: str | None
    heading: str

    @property
    def best_p_values(self) -> dict[Key, float | None]:
        if self.metric is None:
            return {}
        columns = columns_of(self.table)
        return best_p_values(self.table, [self.metric], columns, self.source.marks)


def parts_of(source: Source, family: str, keys: Sequence[str]) -> Iterator[Part]:
    protocols = {run["cell"]: run["protocol"] for run in source.manifest["runs"]}
    for place, part in source.table.groupby(list(keys), sort=False):
        metric = metric_of(part, family)
        title = headings(columns_of(part))[metric] if metric else USUAL[family]
        data, *digit = (value_text(value) for value in place)
        heading = f"{data}, {protocols[str(part['cell'].iloc[0])]}"
        heading += "".join(f", without {d}" for d in digit)
        yield Part(source, place, part, metric, f"{heading}: {title}")


def crossed(sources: Sequence[Source], family: str, keys: Sequence[str]) -> Frames:
    """Methods by the values of ``keys``, of one value; then what was published of it.

    The best of every column: Holm's adjustment is over all columns.
    """
    parts = [part for one in sources for part in parts_of(one, family, keys)]
    p_values = {
        (place, cell): p
        for place, part in enumerate(parts)
        for (_, cell), p in part.best_p_values.items()
        if p is not None
    }
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    best = {key for key, p in corrected.items() if p < 1 - CONFIDENCE}
    found: dict[str, dict[str, str]] = {}  # row -> column -> text
    for place, part in enumerate(parts):
        values = by_cell(part.table, part.metric) if part.metric else {}
        of_place = [key for key in swept_keys(part.source.manifest) if key not in keys]
        to_come = outstanding_cells(part.table)
        for row in part.table.drop_duplicates("cell").to_dict("records"):
            cell = str(row["cell"])
            name = ", ".join([method_text(row), *swept_texts(row, of_place), *note_texts(row)])
            signs = part.source.marks.signs(part.metric, cell) if part.metric else ""
            texts = found.setdefault(name, {})
            if texts.get(part.heading, MISSING) == MISSING:
                seeds, absent = seeds_of(part.source, cell), absent_text(cell, to_come)
                texts[part.heading] = text_of(
                    values.get(cell, {}), seeds, (place, cell) in best, signs, absent
                )
    ours = pd.concat([one.table for one in sources])
    for part in parts:
        data, *digit = (value_text(value) for value in part.place)
        for name, text in matching(data, ours, family, digit):
            found.setdefault(name, {}).setdefault(part.heading, text)
    shown = list(dict.fromkeys(part.heading for part in parts))
    return {
        "": pd.DataFrame(
            [
                {"method": name, **{h: texts.get(h, UNPLANNED) for h in shown}}
                for name, texts in found.items()
            ]
        )
    }


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
        to_come = outstanding_cells(one.table)
        for cell, other in pairs(one.table, one.manifest):
            place = f"{runs[cell]['data']}, {runs[cell]['protocol']}"
            for metric in metrics:
                values = by_cell(one.table, metric)
                first, second = values.get(cell, {}), values.get(other, {})
                subtract, signs = one.marks.pair(metric, cell, other)
                estimate = paired_difference(first, second) if subtract else None
                if (metric, cell) in tests:
                    tested[len(found)] = tests[metric, cell].p
                seeds = {c: seeds_of(one, c) for c in (cell, other)}
                absent = {c: absent_text(c, to_come) for c in (cell, other)}
                of_both = MISSING if MISSING in absent.values() else UNPLANNED
                found.append({
                    "data, protocol": place,
                    "value": headings(columns)[metric],
                    "with": text_of(first, seeds[cell], absent=absent[cell]),
                    "without": text_of(second, seeds[other], absent=absent[other]),
                    "difference": signed(estimate, False, signs) if estimate else of_both,
                    "p (adjusted)": of_both,
                })  # fmt: skip
            missing = dict.fromkeys(("with", "without", "difference", "p (adjusted)"), MISSING)
            if not metrics:
                found += [{"data, protocol": place, "value": v, **missing} for v in (FD, MSE)]
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    whole = all(one.whole for one in sources)
    for number, p in tested.items():
        text = test_text(Outcome(p, corrected[number]))
        found[number]["p (adjusted)"] = text if whole else text.strip("*")
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
