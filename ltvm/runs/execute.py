"""One run, from its configuration to its record."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
import traceback
from pathlib import Path
from typing import Any

import torch

from ltvm.chain.execution import Execution
from ltvm.config import Config
from ltvm.data.cache import load_data
from ltvm.data.image_set import DataSet, ImageSet
from ltvm.errors import DivergedError, InputError
from ltvm.methods.base import EVALUATION_BATCH, Method
from ltvm.metrics.base import Context, Measurement, Metric
from ltvm.runs.build import build_method, build_metrics, build_problem
from ltvm.runs.environment import commit, versions
from ltvm.runs.identity import NUMERICS, identity
from ltvm.runs.pictures import save_reconstructions, save_samples
from ltvm.runs.progress import current_reporter
from ltvm.runs.store import FINAL, Run, Store
from ltvm.runtime import devices
from ltvm.runtime.clock import PHASES
from ltvm.runtime.files import write_text
from ltvm.training.trainer import Trainer

_metric_cache: dict[Any, Any] = {}  # features of the data, keyed by its fingerprint


def execute(config: Config, command: str) -> dict[str, Any]:
    """Do a run unless it is final, resuming it where it stopped; returns its record.

    A run that fails is recorded as ``failed`` with its traceback and does not raise, so that
    the others go on; bad input and Ctrl-C raise, the latter after the record says
    ``interrupted``.
    """
    run = Store(Path(config["paths"]["results"])).run(config)
    with run.held() as mine:
        record = run.record()
        if not mine:
            return {"status": "running", "reason": "another process is at it"}
        if record is not None and record["status"] in FINAL:
            return record
        return _execute_held(config, run, command)


def _execute_held(config: Config, run: Run, command: str) -> dict[str, Any]:
    reporter = current_reporter()
    devices.use_full_float32()
    devices.keep_freed_memory()
    device = devices.resolve_device(config["device"])
    data = load_data(config).to(device)
    problem = build_problem(config, data)
    metrics = build_metrics(config, problem.device)
    method = build_method(config, problem)
    reporter.start_run(label_of(config, command))
    record = new_record(config, command, data, problem.execution)
    run.write_config(config)
    run.write_record(record)

    iterations = config["protocol"]["iterations"]
    context = Context(config["seed"], device, _metric_cache)
    trainer = Trainer(
        method,
        iterations,
        run.checkpoint_file,
        curve=lambda m: curve_of(metrics, m, data, context),
        every=config["evaluation"]["every"],
        made_with={
            "data": data.train.fingerprint,
            "device": device.type,
            "execution": str(problem.execution),
            "torch": str(torch.__version__),
            "numerics": str(NUMERICS),
        },
        commits=[str(commit())],
        after_iteration=lambda: reporter.line(f"iteration {method.iteration} of {iterations}"),
    )
    problem.progress = lambda done, doing: reporter.update(
        (method.iteration + done) / (iterations + 1),
        f"{min(method.iteration + 1, iterations)}/{iterations} {doing}",
    )
    try:
        trainer.resume()
        trainer.fit()
        write_history(run, trainer.history)
        reporter.update(iterations / (iterations + 1), "final evaluation")
        with problem.clock.phase("evaluation"):
            record["metrics"] = measure(metrics, method, data, context)
            save_samples(run.directory / "samples.png", method, context)
            save_reconstructions(run.directory / "reconstructions.png", method, data, context)
        record["status"] = "done"
    except DivergedError as error:
        write_history(run, trainer.history)
        record |= {"status": "diverged", "reason": str(error)}
    except KeyboardInterrupt:
        record |= {"status": "interrupted", "reason": "interrupted by the user"}
        raise
    except InputError as error:
        record |= {"status": "failed", "reason": str(error)}
        raise
    except Exception as error:
        record |= {
            "status": "failed",
            "reason": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(),
        }
    finally:
        record |= {
            "finished": now(),
            "commit": " then ".join(trainer.commits),
            "iterations_done": method.iteration,
            "passes": method.passes,
            "decoder_updates": method.decoder_updates,
            "seconds": {phase: problem.clock.seconds.get(phase, 0.0) for phase in PHASES},
            "peak_memory_mb": devices.peak_memory_mb(device),
        }
        run.write_record(record)
        reporter.finish_run(
            record["status"] + (f" ({record['reason']})" if record.get("reason") else "")
        )
    return record


def label_of(config: Config, command: str) -> str:
    """What is running, in words: the method, the single keys overridden, the seed."""
    usual = ("data=", "method=", "protocol=", "evaluation=", "paths.", "device=", "seed=")
    keys = [word for word in shlex.split(command)[2:] if not word.startswith(usual)]
    return " ".join([config["method"]["name"], *keys, f"seed={config['seed']}"])


def check_input(config: Config) -> None:
    """Raise :class:`InputError` for anything about a configuration that a run would refuse.

    Loads the data and builds the method, so that bad input is found before any record is
    written and before other runs of an ablation have spent their time.
    """
    data = load_data(config)
    problem = build_problem(config, data, trial=False)
    for metric in build_metrics(config, problem.device).values():
        check = getattr(metric, "check", None)
        if check is not None:
            check(data.to(problem.device), Context(config["seed"], problem.device, _metric_cache))
    build_method(config, problem)


def new_record(config: Config, command: str, data: DataSet, execution: Execution) -> dict[str, Any]:
    device = devices.resolve_device(config["device"])
    return {
        "status": "running",
        "reason": None,
        "data": config["data"]["name"],
        "method": config["method"]["name"],
        "label": config["method"].get("label", config["method"]["name"]),
        "protocol": config["protocol"]["name"],
        "identity": identity(config),
        "seed": config["seed"],
        "command": command,
        "started": now(),
        "device": devices.describe(device),
        "device_type": device.type,
        "precision": execution.precision,
        "execution": str(execution),
        "versions": versions(),
        "commit": commit(),
        "fingerprints": {"train": data.train.fingerprint, "test": data.test.fingerprint},
        "images": {"train": len(data.train), "test": len(data.test)},
        "metrics": {},
    }


def measure(
    metrics: dict[str, Metric], method: Method, data: DataSet, context: Context
) -> dict[str, Any]:
    """Every metric's values with their provenance, as they stand in the record."""
    values: dict[str, Any] = {}
    context = dataclasses.replace(context, scratch={})
    for metric in metrics.values():
        measured: dict[str, Measurement] = metric(method, data, context)
        for name, measurement in measured.items():
            if not torch.isfinite(torch.tensor(measurement.value)):
                raise DivergedError(f"metric {name} is {measurement.value}")
            if name in values:
                raise InputError(f"evaluation.metrics: two metrics give a value named {name}")
            tested = measurement.provenance.get("split") == "test"
            values[name] = {
                "value": measurement.value,
                "lower_is_better": metric.lower_is_better.get(name),
                **provenance_of_all(method, data.test if tested else data.train),
                **measurement.provenance,
            }
    return values


def provenance_of_all(method: Method, images: ImageSet) -> dict[str, Any]:
    """What every number says about itself, unless its metric says otherwise.

    ``data`` is the fingerprint of the split's images; ``dtype`` that of the decoder, hence of
    images and codes in evaluation; ``batch`` the evaluation batch; ``numerics``, ``version`` and
    ``commit`` the code.
    """
    return {
        "data": images.fingerprint,
        "dtype": str(next(method.decoder.parameters()).dtype).removeprefix("torch."),
        "batch": EVALUATION_BATCH,
        "numerics": NUMERICS,
        "version": versions()["ltvm"],
        "commit": commit(),
    }


def curve_of(
    metrics: dict[str, Metric], method: Method, data: DataSet, context: Context
) -> dict[str, float]:
    """The learning-curve values of the metrics that offer any."""
    values: dict[str, float] = {}
    for metric in metrics.values():
        curve = getattr(metric, "curve", None)
        if curve is not None:
            values |= curve(method, data, context)
    return values


def write_history(run: Run, history: list[dict[str, Any]]) -> None:
    import pandas as pd

    write_text(run.directory / "history.csv", pd.DataFrame(history).to_csv(index=False))


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
