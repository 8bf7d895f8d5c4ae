"""One run, from its configuration to its record: trained once, then evaluated as is asked.

configuration -> training (resumed where it stopped) -> final weights -> evaluation -> record
"""

from __future__ import annotations

import shlex
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ltvm.config import Config
from ltvm.data.cache import load_data
from ltvm.errors import DivergedError, InputError
from ltvm.methods.base import Method
from ltvm.methods.chain_method import ChainMethod
from ltvm.metrics.base import Context, Metric
from ltvm.runs.build import build_method, build_metrics, build_problem
from ltvm.runs.environment import commit, now, versions
from ltvm.runs.evaluate import Trained, evaluate_run
from ltvm.runs.forecast import kind_of
from ltvm.runs.identity import evaluation_identity, identity
from ltvm.runs.load import load_method
from ltvm.runs.pictures import save_reconstructions, save_samples
from ltvm.runs.progress import current_reporter
from ltvm.runs.resuming import made_with
from ltvm.runs.store import FINAL, Run, Store, with_evaluation
from ltvm.runs.trained import save_trained
from ltvm.runtime import devices
from ltvm.runtime.clock import PHASES
from ltvm.runtime.files import write_text
from ltvm.training.trainer import Trainer

_metric_cache: dict[Any, Any] = {}  # features of the data, keyed by its fingerprint


def execute(config: Config, command: str) -> dict[str, Any]:
    """Do what is not done of a run and its evaluation; returns the record with the values.

    A run that fails is recorded as ``failed`` with its traceback and does not raise, so that
    the others go on; bad input and Ctrl-C raise, the latter after the record says
    ``interrupted``.
    """
    run = Store(Path(config["paths"]["results"])).run(config)
    evaluation = evaluation_identity(config)
    with run.held() as mine:
        if not mine:
            return {"status": "running", "reason": "another process is at it"}
        if run.status(evaluation) in FINAL:
            return with_evaluation(run, evaluation)
        devices.use_full_float32()
        devices.keep_freed_memory()
        reporter = current_reporter()
        reporter.start_run(label_of(config, command), kind_of(config))
        try:
            if run.status() not in FINAL:
                trained, metrics = train(config, run, command)
            else:
                trained, metrics = loaded(config, run)
            if run.status() == "done":
                reporter.update(1.0, f"evaluation {config['evaluation']['name']}")
                evaluate_run(config, run, trained, metrics)
        finally:
            known = {} if run.record() is None else with_evaluation(run, evaluation)
            reason = f" ({known['reason']})" if known.get("reason") else ""
            reporter.finish_run(known.get("status", "refused") + reason)
        return with_evaluation(run, evaluation)


def train(config: Config, run: Run, command: str) -> tuple[Trained, dict[str, Metric]]:
    """Train, or go on where training stopped, and write the record; Ctrl-C and bad input raise."""
    device = devices.resolve_device(config["device"])
    devices.begin_measuring_memory(device)
    data = load_data(config).to(device)
    problem = build_problem(config, data)
    metrics = build_metrics(config, device)
    method = build_method(config, problem)
    trained = Trained(method, data, Context(config["seed"], device, _metric_cache))
    record = new_record(config, command, trained, metrics)
    run.write_config(config)
    run.write_record(record)
    trainer = trainer_of(config, run, trained, metrics)
    try:
        trainer.resume()
        trainer.fit()
        with problem.clock.phase("evaluation"):
            save_samples(run.directory / "samples.png", method, trained.context)
            save_reconstructions(
                run.directory / "reconstructions.png", method, data, trained.context
            )
        record |= {"status": "done", "final_mb": save_trained(run.trained_file, method)}
    except DivergedError as error:
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
        if record["status"] in FINAL:
            write_text(
                run.directory / "history.csv", pd.DataFrame(trainer.history).to_csv(index=False)
            )
        record |= {
            "finished": now(),
            "commit": " then ".join(trainer.commits),
            "execution": " then ".join(trainer.executions),
            "iterations_done": method.iteration,
            "passes": method.passes,
            "decoder_updates": method.decoder_updates,
            "flops": method.flops,
            "seconds": {phase: problem.clock.seconds.get(phase, 0.0) for phase in PHASES},
            "peak_memory_mb": devices.peak_memory_mb(device),
        }
        run.write_record(record)
        if record["status"] in FINAL and config["keep"] == "final":
            run.checkpoint_file.unlink(missing_ok=True)
    return trained, metrics


def trainer_of(config: Config, run: Run, trained: Trained, metrics: dict[str, Metric]) -> Trainer:
    """The trainer of a run, which reports its progress and measures learning curves."""
    method, data, context = trained.method, trained.data, trained.context
    problem, reporter = method.problem, current_reporter()
    iterations = config["protocol"]["iterations"]
    problem.progress = lambda done, doing: reporter.update(
        (method.iteration + done) / (iterations + 1),
        f"{min(method.iteration + 1, iterations)}/{iterations} {doing}",
    )

    def curve(method: Method) -> dict[str, float]:
        values: dict[str, float] = {}
        for metric in metrics.values():
            values |= metric.curve(method, data, context)
        return values

    return Trainer(
        method,
        iterations,
        run.checkpoint_file,
        curve=curve,
        every=config["evaluation"]["every"],
        made_with=made_with(data, problem.device),
        executions=[str(problem.execution)],
        commits=[str(commit())],
        after_iteration=lambda: reporter.line(f"iteration {method.iteration} of {iterations}"),
    )


def loaded(config: Config, run: Run) -> tuple[Trained, dict[str, Metric]]:
    """A run that is trained, to be evaluated: from its final weights and codes."""
    device = devices.resolve_device(config["device"])
    method = load_method(run.directory, config["device"])
    data = load_data(config).to(device)
    context = Context(config["seed"], device, _metric_cache)
    return Trained(method, data, context), build_metrics(config, device)


def temperature(method: Method, iterations: int) -> list[float] | None:
    """Of a method's chain at its first and last iteration; 1 is the posterior's; None: no chain,
    or none that samples at a temperature.
    """
    if not isinstance(method, ChainMethod):
        return None
    first, last = (method.kernel.temperature(at) for at in (0, iterations - 1))
    return None if first is None or last is None else [first, last]


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
    context = Context(config["seed"], problem.device, _metric_cache)
    metrics = build_metrics(config, problem.device)
    method = build_method(config, problem)
    check_metrics(metrics, Trained(method, data.to(problem.device), context))


def check_metrics(metrics: dict[str, Metric], trained: Trained) -> None:
    """Raise :class:`InputError` for what a metric would stumble over."""
    for metric in metrics.values():
        metric.check(trained.data, trained.context)


def new_record(
    config: Config, command: str, trained: Trained, metrics: dict[str, Metric]
) -> dict[str, Any]:
    """The record of a training that begins."""
    problem, data = trained.method.problem, trained.data
    curves = {
        name: column.as_dict()
        for metric in metrics.values()
        for name, column in metric.curve_columns().items()
    }
    return {
        "status": "running",
        "reason": None,
        "data": config["data"]["name"],
        "method": config["method"]["name"],
        "label": config["method"].get("label", config["method"]["name"]),
        "style": config["method"].get("style") or {},
        "protocol": config["protocol"]["name"],
        "identity": identity(config),
        "seed": config["seed"],
        "command": command,
        "started": now(),
        "device": devices.describe(problem.device),
        "device_type": problem.device.type,
        "precision": problem.execution.precision,
        "execution": str(problem.execution),
        "execution_settings": asdict(problem.execution),
        "versions": versions(),
        "commit": commit(),
        "fingerprints": {"train": data.train.fingerprint, "test": data.test.fingerprint},
        "images": {"train": len(data.train), "test": len(data.test)},
        "equal": problem.budget.equal,
        "temperature": temperature(trained.method, config["protocol"]["iterations"]),
        "curves": curves,
    }
