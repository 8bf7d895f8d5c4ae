"""The long table: one row per run and metric; everything shown anywhere is computed from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ltvm.runs.store import Run, Store
from ltvm.runtime.clock import PHASES

PROVENANCE = ("n", "split", "extractor", "checksum", "dimension", "resize", "restarts", "units")
RECORD_COLUMNS = (
    "protocol", "device", "precision", "execution", "commit", "command", "started",
)  # fmt: skip


def rows_of_run(run: Run, keys: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one run; a run without values gives one row that says its status."""
    record = run.record()
    status = run.status()
    shared: dict[str, Any] = {**keys, "status": status, "reason": None, "path": str(run.directory)}
    if record is None:
        return [{**shared, "metric": None, "value": None}]
    shared |= {column: record.get(column) for column in RECORD_COLUMNS}
    shared |= {"reason": record.get("reason"), "identity": record["identity"]}
    shared["fingerprint"] = record["fingerprints"]["train"]
    shared["torch"] = record["versions"].get("torch")
    if status != "done":
        return [{**shared, "metric": None, "value": None}]
    rows = []
    for name, content in record["metrics"].items():
        provenance = {key: content.get(key) for key in PROVENANCE}
        stated = {k: v for k, v in content.items() if k not in ("value", "lower_is_better")}
        rows.append(
            {
                **shared,
                "metric": name,
                "value": content["value"],
                "lower_is_better": content.get("lower_is_better"),
                **provenance,
                "provenance": json.dumps(stated, sort_keys=True),
            }
        )
    costs = {
        "passes": record["passes"],
        "decoder_updates": record["decoder_updates"],
        **{f"{phase}_seconds": record["seconds"].get(phase) for phase in PHASES},
        "peak_memory_mb": record["peak_memory_mb"]["process"],
        "peak_gpu_memory_mb": record["peak_memory_mb"].get("gpu"),
    }
    training = [record["seconds"].get(phase, 0.0) for phase in PHASES if phase != "evaluation"]
    costs["training_seconds"] = sum(training)
    rows += [
        {**shared, "metric": name, "value": value, "lower_is_better": None}
        for name, value in costs.items()
        if value is not None
    ]
    return rows


def long_table_of_manifest(manifest: dict[str, Any], results: Path) -> pd.DataFrame:
    """The long table of an ablation; runs that are not done are rows too."""
    rows: list[dict[str, Any]] = []
    for entry in manifest["runs"]:
        keys = {
            "data": entry["data"],
            "method": entry["method"],
            "label": entry["label"],
            "note": entry["note"],
            **{key: value for key, value in entry["values"].items() if key != "method"},
            "cell": entry["cell"],
            "seed": entry["seed"],
        }
        run = Run(results / entry["path"])
        rows += [{**row, "path": entry["path"]} for row in rows_of_run(run, keys)]
    return pd.DataFrame(rows)


def long_table_of_store(results: Path) -> pd.DataFrame:
    """The long table of everything below a results directory, varying keys as columns."""
    configs, rows = [], []
    runs = Store(results).runs()
    for run in runs:
        config = yaml.safe_load((run.directory / "config.yaml").read_text())
        configs.append(flatten(config))
    varying = sorted(
        {key for config in configs for key in config}
        - {"seed", "data.name", "method.name", "method._target_"}
    )
    varying = [key for key in varying if len({repr(c.get(key)) for c in configs}) > 1]
    for run, config in zip(runs, configs, strict=True):
        keys = {
            "data": config["data.name"],
            "method": config["method.name"],
            **{key: config.get(key) for key in varying if not key.startswith("paths.")},
            "cell": run.directory.parent.name,
            "seed": config["seed"],
        }
        rows += rows_of_run(run, keys)
    return pd.DataFrame(rows)


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}; lists become text."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value) if isinstance(value, list) else value
    return flat
