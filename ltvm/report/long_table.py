"""The long table: one row per run and value; everything shown anywhere is computed from it.

record.json (training) + evaluations/*.json -> rows with the value, what it is and where it is from
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ltvm.errors import InputError, UnreadableError
from ltvm.metrics.columns import Column
from ltvm.report.costs import COSTS, cost_of_evaluations, costs_of_training
from ltvm.runs.store import Run, Store

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

TRIALS = "tuning_trials"  # there where the settings of any run were tuned
SAMPLER, SAMPLER_LABEL = "sampler", "sampler_label"  # there where any row has another than its own

Row = dict[str, Any]


def long_table_of_manifest(manifest: dict[str, Any], results: Path) -> pd.DataFrame:
    """The long table of an ablation; runs that are not done are rows too.

    A run has one row per metric: of the first of its evaluations in the manifest that has it.
    It is done where its training and all of these evaluations are.
    """
    rows: list[Row] = []
    tuned = any(entry.get("tuned") for entry in manifest["runs"])
    sampled = any(entry.get("sampler") for entry in manifest["runs"])
    for entry in manifest["runs"]:
        sampler = entry.get("sampler") or {"name": "prior", "label": None}
        keys = {
            "data": entry["data"],
            "method": entry["method"],
            "label": entry["label"],
            "note": entry["note"],
            **{key: value for key, value in entry["values"].items() if key != "method"},
            "cell": entry["cell"],
            "seed": entry["seed"],
            **({TRIALS: (entry.get("tuned") or {}).get("trials", 0)} if tuned else {}),
            **({SAMPLER: sampler["name"], SAMPLER_LABEL: sampler["label"]} if sampled else {}),
        }
        run = Run(results / entry["path"])
        rows += rows_of_entry(run, keys | {"path": entry["path"]}, entry["evaluations"])
    return pd.DataFrame(rows)


def rows_of_entry(run: Run, keys: Row, wanted: Sequence[str]) -> list[Row]:
    """The rows of one run of an ablation; without values, one row that says its status."""
    try:
        found = {identity: run.evaluation(identity) for identity in wanted}
        record, status, reason = run.record(), str(run.status()), None
    except UnreadableError as error:
        status, reason = "unreadable", f"{error.path.name} {error.what}"
        return [keys | {"status": status, "reason": reason, "metric": None, "value": None}]
    if record is not None:
        reason = record.get("reason")
    if status == "done":
        status, reason = status_of_all(run, found)
    shared = keys | {"status": status, "reason": reason} | columns_of_record(record)
    values: dict[str, Row] = {}
    done = [e for e in found.values() if e is not None and e["status"] == "done"]
    for evaluation in done:
        for row in rows_of_evaluation(evaluation, shared):
            values.setdefault(row["metric"], row)
    rows = list(values.values())
    if record is not None and record["status"] == "done":
        rows += rows_of_costs(costs_of_training(record) | cost_of_evaluations(done), shared)
    return rows or [shared | {"metric": None, "value": None}]


def status_of_all(run: Run, found: dict[str, dict[str, Any] | None]) -> tuple[str, str | None]:
    """(status, reason) of a trained run: that of its evaluation that is furthest from done."""
    unfinished: dict[str, str] = {}
    for identity, evaluation in found.items():
        if evaluation is None:
            unfinished.setdefault("pending", f"evaluation {identity} is missing")
            continue
        status = status_of_evaluation(run, evaluation)
        if status != "done":
            name = f"evaluation {evaluation['name']} ({identity})"
            reason = evaluation.get("reason")
            unfinished.setdefault(status, f"{name}: {reason}" if reason else f"{name} is {status}")
    status = next((status for status in UNFINISHED if status in unfinished), "done")
    return status, unfinished.get(status)


def status_of_evaluation(run: Run, evaluation: dict[str, Any]) -> str:
    """Its status, where a ``running`` one of a run that nobody holds is ``interrupted``."""
    status = str(evaluation["status"])
    return "interrupted" if status == "running" and run.holder() is None else status


def long_table_of_store(results: Path) -> pd.DataFrame:
    """The long table of everything below a results directory, varying keys as columns.

    Keys of the training come from the run's configuration, keys of ``evaluation`` from that of
    each evaluation. A value that several evaluations of a run give has a row for each.
    """
    runs = readable(Store(results).runs())
    trained = varying_keys([training_keys(config) for _, config, _ in runs])
    evaluated = varying_keys(
        [evaluation_keys(e) for _, _, evaluations in runs for e in evaluations.values()]
    )
    rows: list[Row] = []
    for run, config, evaluations in runs:
        keys = {
            "data": config["data.name"],
            "method": config["method.name"],
            **{key: config.get(key) for key in trained},
            "cell": run.directory.parent.name,
            "seed": config["seed"],
            "path": str(run.directory),
        }
        rows += rows_of_stored(run, keys, evaluations, evaluated)
    return pd.DataFrame(rows)


def readable(runs: Iterable[Run]) -> list[tuple[Run, Row, dict[str, dict[str, Any]]]]:
    """Runs with their flat configurations and evaluations; a damaged one is named and left out."""
    found = []
    for run in runs:
        try:
            run.record()
            found.append((run, flatten(run.config()), run.evaluations()))
        except InputError as error:
            warnings.warn(f"left out of the table: {error}", stacklevel=2)
    return found


def rows_of_stored(
    run: Run, keys: Row, evaluations: dict[str, dict[str, Any]], evaluated: Sequence[str]
) -> list[Row]:
    """The rows of one run and all its evaluations, with those keys of the latter that vary."""
    record = run.record()
    assert record is not None, "a store lists runs that have a record"
    shared = keys | {"status": str(run.status()), "reason": record.get("reason")}
    shared |= columns_of_record(record)
    rows: list[Row] = []
    if record["status"] == "done":
        rows += rows_of_costs(costs_of_training(record), shared)
    for evaluation in evaluations.values():
        config = evaluation_keys(evaluation)
        own = shared | {key: config.get(key) for key in evaluated}
        own |= columns_of_evaluation(evaluation)
        status = status_of_evaluation(run, evaluation)
        if status == "done":
            rows += rows_of_evaluation(evaluation, own)
            rows += rows_of_costs(cost_of_evaluations([evaluation]), own)
        else:
            own |= {"status": status, "reason": evaluation.get("reason")}
            rows.append(own | {"metric": None, "value": None})
    return rows or [shared | {"metric": None, "value": None}]


def columns_of_record(record: dict[str, Any] | None) -> Row:
    """What a record says of all its run's values."""
    if record is None:
        return {}
    first, last = record.get("temperature") or (None, None)
    return {
        **{column: record.get(column) for column in RECORD_COLUMNS},
        "temperature_first": first,
        "temperature_last": last,
        "identity": record["identity"],
        "fingerprint": record.get("fingerprints", {}).get("train"),
        "torch": record["versions"].get("torch"),
    }


def columns_of_evaluation(evaluation: dict[str, Any]) -> Row:
    """What an evaluation says of all its values."""
    return {
        "evaluation": evaluation["identity"],
        "evaluation_name": evaluation["name"],
        **{f"evaluation_{column}": evaluation.get(column) for column in EVALUATION_COLUMNS},
        "evaluation_torch": evaluation["versions"].get("torch"),
    }


def rows_of_evaluation(evaluation: dict[str, Any], shared: Row) -> list[Row]:
    """One row per value of an evaluation that is done, in its order."""
    rows = []
    for name, content in evaluation["values"].items():
        stated = {key: value for key, value in content.items() if key != "value"}
        rows.append(
            columns_of_evaluation(evaluation)
            | shared  # where ``evaluation`` is swept, that column has the swept names
            | {"metric": name, "value": content["value"], **evaluation["columns"][name]}
            | {key: content.get(key) for key in PROVENANCE}
            | {"provenance": json.dumps(stated, sort_keys=True, separators=(",", ":"))}
        )
    return rows


def rows_of_costs(costs: dict[str, float], shared: Row) -> list[Row]:
    """One row per cost, in the order of ``COSTS``."""
    return [shared | cost_row(name, COSTS[name], costs[name]) for name in COSTS if name in costs]


def cost_row(name: str, column: Column, value: float) -> Row:
    return {"metric": name, "value": value, **column.as_dict()}


def training_keys(config: Row) -> Row:
    """Of a flat configuration, what belongs to the training and is no name, seed or path."""
    own = ("evaluation.", "sampler.", "protocol.evaluation.", "paths.", "method.tuning.")
    named = {"seed", "data.name", "method.name", "method._target_", "evaluation"}
    return {k: v for k, v in config.items() if k not in named and not k.startswith(own)}


def evaluation_keys(evaluation: dict[str, Any]) -> Row:
    """The flat configuration of an evaluation; its name has a column of its own."""
    config = flatten(evaluation.get("config") or {}, "evaluation.")
    sampler = (evaluation.get("sampler") or {}).get("stated") or {"name": "prior"}
    own = {key: value for key, value in sampler.items() if key not in ("name", "n", "found")}
    config |= {SAMPLER: sampler["name"]} | flatten(own, f"{SAMPLER}.")
    return {key: value for key, value in config.items() if key != "evaluation.name"}


def varying_keys(configs: Iterable[Row]) -> list[str]:
    """Keys that have more than one value, an absent one counting as None."""
    configs = list(configs)
    keys = sorted({key for config in configs for key in config})
    return [key for key in keys if len({repr(config.get(key)) for config in configs}) > 1]


def flatten(config: dict[str, Any], prefix: str = "") -> Row:
    """{"a": {"b": 1}} -> {"a.b": 1}; lists become text."""
    flat: Row = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value) if isinstance(value, list) else value
    return flat
