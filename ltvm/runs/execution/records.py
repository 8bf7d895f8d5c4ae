"""What a record says: how a training began, what it computes with, how it ended."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from ltvm.config import Config
from ltvm.methods.base import Method
from ltvm.methods.chain_method import ChainMethod
from ltvm.metrics.base import Metric
from ltvm.runs.ablations.ablation import tuned_of
from ltvm.runs.environment import commit, now, versions
from ltvm.runs.execution.evaluate import Trained
from ltvm.runs.execution.intact import checksum_of
from ltvm.runs.files.store import FINAL, Run
from ltvm.runs.identity import NUMERICS, identity
from ltvm.runtime import devices
from ltvm.runtime.files import sha256_of, write_text
from ltvm.runtime.phases import PHASES
from ltvm.training.checkpoint import delete_checkpoints
from ltvm.training.trainer import Trainer


def begun(config: Config, command: str) -> dict[str, Any]:
    """The record of a training that begins, before anything is built for it."""
    return {
        "status": "running",
        "reason": None,
        "data": config["data"]["name"],
        "method": config["method"]["name"],
        "label": config["method"].get("label", config["method"]["name"]),
        "style": config["method"].get("style") or {},
        "protocol": config["protocol"]["name"],
        **tuned_of(config),
        "identity": identity(config),
        "seed": config["seed"],
        "command": command,
        "started": now(),
        "versions": versions(),
        "commit": commit(),
        "numerics": NUMERICS,
        "config_sha256": checksum_of(config),
    }


def about(config: Config, trained: Trained, metrics: dict[str, Metric]) -> dict[str, Any]:
    """What a record says of the device, the images, the method's chain and its curves."""
    problem, data = trained.method.problem, trained.data
    curves = {
        name: column.as_dict()
        for metric in metrics.values()
        for name, column in metric.curve_columns().items()
    }
    return {
        "device": devices.describe(problem.device),
        "device_type": problem.device.type,
        "precision": problem.execution.precision,
        "processes": problem.world.size,
        "execution": problem.describe_execution(),
        "execution_settings": asdict(problem.execution),
        "fingerprints": data.fingerprints,
        "images": {"train": len(data.train), "test": len(data.test)},
        "equal": problem.budget.equal,
        "temperature": temperature(trained.method, config["protocol"]["iterations"]),
        "curves": curves,
    }


def temperature(method: Method, iterations: int) -> list[float] | None:
    """Of a method's chain at its first and last iteration; 1 is the posterior's; None: no chain,
    or none that samples at a temperature.
    """
    if not isinstance(method, ChainMethod):
        return None
    first, last = (method.kernel.temperature(at) for at in (0, iterations - 1))
    return None if first is None or last is None else [first, last]


def finish(record: dict[str, Any], config: Config, run: Run, trainer: Trainer) -> None:
    """Write how a training ended and what it took."""
    method, clock = trainer.method, trainer.method.problem.clock
    if record["status"] in FINAL:
        history = run.directory / "history.csv"
        write_text(history, pd.DataFrame(trainer.history).to_csv(index=False))
        record["history_sha256"] = sha256_of(history)
    record |= {
        "finished": now(),
        "commit": " then ".join(trainer.commits),
        "execution": " then ".join(trainer.executions),
        "iterations_done": method.iteration,
        "passes": method.passes,
        "decoder_updates": method.decoder_updates,
        "flops": method.flops,
        "seconds": {phase: clock.seconds.get(phase, 0.0) for phase in PHASES},
        "peak_memory_mb": devices.peak_memory_mb(method.problem.device),
    }
    run.write_record(record)
    if record["status"] in FINAL and config["keep"] == "final":
        delete_checkpoints(run.checkpoint_file)
