"""The long table: one row per run and value; everything shown anywhere is computed from it.

record.json (training) + evaluations/*.json -> rows with the value, what it is and where it is from
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from ltvm.errors import UnreadableError
from ltvm.metrics.columns import Column
from ltvm.report.values.costs import (
    COSTS,
    cost_of_evaluations,
    cost_of_tuning,
    costs_of_training,
)
from ltvm.report.values.flat import Flattener, flatten, varying_keys
from ltvm.report.values.readable import readable, readable_evaluation
from ltvm.report.values.rows import Row, Rows
from ltvm.runs.files.index import indexed, uncollected
from ltvm.runs.files.reading import DISK, Files
from ltvm.runs.files.store import Run, Store

PROVENANCE = ("n", "split", "extractor", "checksum", "dimension", "resize", "restarts", "units")
RECORD_COLUMNS = (
    "protocol", "device", "precision", "execution", "commit", "command", "started",
    "equal",
)  # fmt: skip
EVALUATION_COLUMNS = ("device", "execution")  # with ``evaluation_`` before the name
UNFINISHED = (
    "diverged",
    "failed",
    "unreadable",
    "interrupted",
    "running",
    "pending",
)  # what is said first

EXTERNAL = "external"  # there where any row is from elsewhere: what its card says
STORED = "stored"  # there where any run ships with the package: with which version
# There where the settings of any run were tuned: how many trials, of how many seeds each, and what
# the search is called.
TRIALS, SEEDS, STUDY = "tuning_trials", "tuning_seeds", "tuning_study"
SAMPLER, SAMPLER_LABEL = "sampler", "sampler_label"  # there where any row has another than its own

NO_VALUE: Row = {"metric": None, "value": None}


def long_table_of_manifest(
    manifest: dict[str, Any], results: Path, files: Files = DISK
) -> pd.DataFrame:
    """The long table of an ablation; runs that are not done are rows too.

    A run has one row per metric: of the first of its evaluations in the manifest that has it.
    It is done where its training and all of these evaluations are.
    """
    with uncollected():
        rows = rows_of_manifest(manifest, results, files)
        files.look_again()  # what was read is in the rows
        return rows.frame()


def rows_of_manifest(manifest: dict[str, Any], results: Path, files: Files) -> Rows:
    rows = Rows()
    tuned = any(entry.get("tuned") for entry in manifest["runs"])
    sampled = any(entry.get("sampler") for entry in manifest["runs"])
    for entry in manifest["runs"]:
        sampler = entry.get("sampler") or {}
        label = sampler.get("label") or sampler.get("name")
        keys = {
            "data": entry["data"],
            "method": entry["method"],
            "label": entry["label"],
            "note": entry["note"],
            **{key: value for key, value in entry["values"].items() if key != "method"},
            "cell": entry["cell"],
            "seed": entry["seed"],
            **(trials_of(entry.get("tuned") or {}) if tuned else {}),
            **({SAMPLER: sampler.get("name", "prior"), SAMPLER_LABEL: label} if sampled else {}),
        }
        run = Run(results / entry["path"], files)
        spent = cost_of_tuning(entry.get("tuned"))
        add_entry(rows, run, keys | {"path": entry["path"]}, entry["evaluations"], spent)
    return rows


def trials_of(tuned: dict[str, Any]) -> Row:
    """``SEEDS`` only where trials have several."""
    seeds = {SEEDS: tuned["seeds"]} if tuned.get("seeds", 1) > 1 else {}
    return {TRIALS: tuned.get("trials", 0), STUDY: tuned.get("study"), **seeds}


def add_entry(
    rows: Rows, run: Run, keys: Row, wanted: Sequence[str], spent: dict[str, float]
) -> None:
    """Add the rows of one run of an ablation; without values, one row that says its status.

    ``spent`` are costs that stand in no file of the run.
    """
    try:
        found = {identity: readable_evaluation(run, identity) for identity in wanted}
        record = run.record()
    except UnreadableError as error:
        damage = f"{error.path.name} {error.what}"
        add_no_value(rows, keys | {"status": "unreadable", "reason": damage})
        return
    status: str = "pending"
    reason: str | None = None
    if record is not None:
        status, reason = str(run.as_it_is(record["status"])), record.get("reason")
    if status == "done":
        status, reason = status_of_all(run, found)
    keys |= all_images(keys, record)
    shared = keys | {"status": status, "reason": reason} | columns_of_record(record)
    done = [e for e in found.values() if e is not None and e["status"] == "done"]
    before, known = len(rows), set[str]()
    for evaluation in done:
        add_evaluation(rows, evaluation, shared, known)
        known |= set(evaluation["values"])
    if record is not None and record["status"] == "done":
        add_costs(rows, costs_of_training(record) | cost_of_evaluations(done) | spent, shared)
    if len(rows) == before:
        add_no_value(rows, shared)


def all_images(keys: Row, record: dict[str, Any] | None) -> Row:
    """Where null images are asked for, which means all: as many as there were."""
    there = (record or {}).get("images") or {}
    asked = {f"protocol.{split}_images": count for split, count in there.items()}
    return {key: asked[key] for key, value in keys.items() if value is None and key in asked}


def status_of_all(run: Run, found: dict[str, dict[str, Any] | None]) -> tuple[str, str | None]:
    """(status, reason) of a trained run: that of its evaluation that is furthest from done."""
    unfinished: dict[str, str] = {}
    for identity, evaluation in found.items():
        if evaluation is None:
            unfinished.setdefault("pending", f"evaluation {identity} is missing")
            continue
        status = str(run.as_it_is(evaluation["status"]))
        if status != "done":
            name = f"evaluation {evaluation['name']} ({identity})"
            reason = evaluation.get("reason")
            unfinished.setdefault(status, f"{name}: {reason}" if reason else f"{name} is {status}")
    status = next((status for status in UNFINISHED if status in unfinished), "done")
    return status, unfinished.get(status)


def long_table_of_store(results: Path) -> pd.DataFrame:
    """The long table of everything below a results directory, varying keys as columns.

    Keys of the training come from the run's configuration, keys of ``evaluation`` from that of
    each evaluation. A value that several evaluations of a run give has a row for each.
    """
    with uncollected(), indexed(results) as index:
        runs = readable(Store(results, index).runs())
        flat = Flattener()
        own = [config for _, config, _ in runs if not is_external(config)]
        trained = varying_keys([training_keys(config) for config in own])
        evaluated = varying_keys(
            [evaluation_keys(e, flat) for _, _, evaluations in runs for e in evaluations.values()]
        )
        rows = Rows()
        for run, config, evaluations in runs:
            keys = {
                "data": config["data.name"],
                "method": config["method.name"],
                **{key: config.get(key) for key in trained},
                "cell": run.directory.parent.name,
                "seed": config["seed"],
                "path": str(run.directory),
            }
            add_stored(rows, run, keys, evaluations, evaluated, flat)
        return rows.frame()


def add_stored(
    rows: Rows,
    run: Run,
    keys: Row,
    evaluations: dict[str, dict[str, Any]],
    evaluated: Sequence[str],
    flat: Flattener,
) -> None:
    """Add the rows of one run and all its evaluations, with those keys of the latter that vary."""
    record = run.record()
    assert record is not None, "a store lists runs that have a record"
    shared = keys | {"status": str(run.as_it_is(record["status"])), "reason": record.get("reason")}
    shared |= columns_of_record(record)
    before = len(rows)
    if record["status"] == "done":
        add_costs(rows, costs_of_training(record), shared)
    for evaluation in evaluations.values():
        config = evaluation_keys(evaluation, flat)
        own = shared | {key: config.get(key) for key in evaluated}
        own |= columns_of_evaluation(evaluation)
        status = str(run.as_it_is(evaluation["status"]))
        if status == "done":
            add_evaluation(rows, evaluation, own)
            add_costs(rows, cost_of_evaluations([evaluation]), own)
        else:
            add_no_value(rows, own | {"status": status, "reason": evaluation.get("reason")})
    if len(rows) == before:
        add_no_value(rows, shared)


def columns_of_record(record: dict[str, Any] | None) -> Row:
    """What a record says of all its run's values."""
    if record is None:
        return {}
    first, last = record.get("temperature") or (None, None)
    return {
        **{column: record.get(column) for column in RECORD_COLUMNS},
        "temperature_first": first,
        "temperature_last": last,
        "identity": record.get("identity"),
        "fingerprint": record.get("fingerprints", {}).get("train"),
        "torch": record.get("versions", {}).get("torch"),
        **({EXTERNAL: card_text(record["external"])} if record.get("external") else {}),
        **({STORED: record["stored"]} if record.get("stored") else {}),
    }


def card_text(card: dict[str, Any]) -> str:
    """``https://...; 1000 images; cost as its card says: flops 1e+12, device one A100``"""
    cost = card.get("cost")
    stated = cost.items() if isinstance(cost, dict) else ()
    costs = ", ".join(str(v) if key == "text" else f"{key} {v}" for key, v in stated)
    text = f"{card.get('source')}; {card.get('n')} images; cost as its card says: "
    return " ".join((text + (costs or "not stated")).split())


def columns_of_evaluation(evaluation: dict[str, Any]) -> Row:
    """What an evaluation says of all its values."""
    return {
        "evaluation": evaluation["identity"],
        "evaluation_name": evaluation["name"],
        **{f"evaluation_{column}": evaluation.get(column) for column in EVALUATION_COLUMNS},
        "evaluation_torch": evaluation["versions"].get("torch"),
    }


def add_no_value(rows: Rows, shared: Row) -> None:
    """Add the one row of a run, or an evaluation, that has no value."""
    rows.add(rows.head(shared), rows.kind((), lambda: NO_VALUE), None)


def add_evaluation(
    rows: Rows, evaluation: dict[str, Any], shared: Row, known: Collection[str] = ()
) -> None:
    """Add one row per value of an evaluation that is done, in its order, without ``known`` ones."""
    # Where ``evaluation`` is swept, that column has the swept names.
    head = rows.head(columns_of_evaluation(evaluation) | shared)
    for name, content in evaluation["values"].items():
        if name in known:
            continue
        stated = {key: value for key, value in content.items() if key != "value"}
        column = evaluation["columns"][name]
        kind = rows.kind((name, stated, column), partial(row_of_value, name, stated, column))
        rows.add(head, kind, content["value"])


def row_of_value(name: str, stated: dict[str, Any], column: dict[str, Any]) -> Row:
    """What a row says of its value, which has its place."""
    return {
        **NO_VALUE, "metric": name, **column,
        **{key: stated.get(key) for key in PROVENANCE},
        "provenance": json.dumps(stated, sort_keys=True, separators=(",", ":")),
    }  # fmt: skip


def add_costs(rows: Rows, costs: dict[str, float], shared: Row) -> None:
    """Add one row per cost, in the order of ``COSTS``."""
    head = rows.head(shared)
    for name, column in COSTS.items():
        if name in costs:
            rows.add(head, rows.kind((name,), partial(row_of_cost, name, column)), costs[name])


def row_of_cost(name: str, column: Column) -> Row:
    return {**NO_VALUE, "metric": name, **column.as_dict()}


def training_keys(config: Row) -> Row:
    """Of a flat configuration, what belongs to the training and is no name, seed or path."""
    return {key: value for key, value in config.items() if is_of_training(key)}


@cache
def is_of_training(key: str) -> bool:
    others = ("evaluation.", "sampler.", "protocol.evaluation.", "paths.", "method.tuning.")
    named = {"seed", "data.name", "method.name", "method._target_", "evaluation"}
    return key not in named and not key.startswith(others)


def is_external(config: Row) -> bool:
    """Whether a flat configuration is that of images from elsewhere, which has hardly a key."""
    return f"{EXTERNAL}.source" in config


def evaluation_keys(evaluation: dict[str, Any], flat: Flattener) -> Row:
    """The flat configuration of an evaluation; its name has a column of its own."""
    config = flat({"evaluation": evaluation.get("config") or {}})
    sampler = (evaluation.get("sampler") or {}).get("stated") or {"name": "prior"}
    own = {key: value for key, value in sampler.items() if key not in ("name", "n", "found")}
    config |= {SAMPLER: sampler["name"]} | flatten(own, f"{SAMPLER}.")
    return {key: value for key, value in config.items() if key != "evaluation.name"}
