"""One run, from its configuration to its record: trained once, then evaluated as is asked.

configuration -> training (resumed where it stopped) -> final weights -> evaluation -> record
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltvm.config import Config
from ltvm.data.cache import load_data
from ltvm.errors import (
    DivergedError,
    InputError,
    TakenOverError,
    UnreadableError,
    VanishedError,
)
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Metric
from ltvm.runs.ablations.forecast import Work, kind_of
from ltvm.runs.environment import commit
from ltvm.runs.execution.board import Board, check_board
from ltvm.runs.execution.build import build_method, build_metrics, build_problem
from ltvm.runs.execution.evaluate import Trained, evaluate_run
from ltvm.runs.execution.failing import failure
from ltvm.runs.execution.follow import same_everywhere
from ltvm.runs.execution.load import load_method
from ltvm.runs.execution.pictures import save_pictures
from ltvm.runs.execution.progress import Reporter, current_reporter
from ltvm.runs.execution.records import about, begun, finish
from ltvm.runs.execution.resuming import made_with
from ltvm.runs.execution.running import Running
from ltvm.runs.execution.sampler import check_sampler, stated
from ltvm.runs.execution.trained import save_trained
from ltvm.runs.files.locks import patience
from ltvm.runs.files.store import FINAL, Run, Store, with_evaluation
from ltvm.runs.housekeeping.stored import forget, is_stored
from ltvm.runs.identity import evaluation_identity
from ltvm.runtime import devices
from ltvm.runtime.commands import overrides_in
from ltvm.runtime.distributed import current_world
from ltvm.runtime.files import remove_all_aside, set_aside
from ltvm.training.trainer import Trainer

Built = tuple[Trained, dict[str, Metric]]

_metric_cache: dict[Any, Any] = {}  # features of the data, keyed by its fingerprint


def execute(config: Config, command: str, timeout: float = 1.0) -> dict[str, Any]:
    """Do what is not done of a run and its evaluation; returns the record with the values.

    A run that fails is recorded as ``failed`` with its traceback and does not raise, so that
    the others go on; bad input and Ctrl-C raise, the latter after the record says
    ``interrupted``. One that another process is at, or takes while this one is suspended, is
    ``running``.
    """
    run = Store(Path(config["paths"]["results"])).run(config)
    evaluation = evaluation_identity(config)
    with run.held(max(timeout, patience(run.lease_file))) as hold:
        if hold is None:
            return {"status": "running", "reason": f"{run.holder() or 'another process'} is at it"}
        remove_all_aside(run.directory)
        set_damaged_aside(run, evaluation)
        if run.status(evaluation) in FINAL:
            return with_evaluation(run, evaluation)
        if is_stored(run):  # without weights, so that nothing more can be measured on it
            forget(run)
        devices.use_full_float32()
        devices.keep_freed_memory()
        reporter = current_reporter()
        kind = kind_of(config)
        label = reporter.labels.get((kind, config["seed"])) or label_of(config, command)
        reporter.start_run(label, Work(kind, run.status() not in FINAL))
        running = Running(run, hold, config["protocol"]["iterations"])
        try:
            if run.status() not in FINAL:
                known = train(config, running, command)
            else:
                known = loaded(config, run)
            if known is not None and run.status() == "done":
                trained, metrics = known
                say(reporter, running, 1.0, f"evaluation {config['evaluation']['name']}")
                evaluate_run(config, running, trained, metrics)
        except TakenOverError as error:
            reporter.finish_run("taken over")
            return {"status": "running", "reason": str(error)}
        except BaseException:
            report_end(reporter, run, evaluation)
            raise
        finally:
            running.finish()
        report_end(reporter, run, evaluation)
        return with_evaluation(run, evaluation)


def report_end(reporter: Reporter, run: Run, evaluation: str) -> None:
    known = {} if run.record() is None else with_evaluation(run, evaluation)
    reason = f" ({known['reason']})" if known.get("reason") else ""
    reporter.finish_run(known.get("status", "refused") + reason)


def set_damaged_aside(run: Run, evaluation: str) -> None:
    """Rename what cannot be read of a run, and say so: it is done again."""
    for read in (run.record, lambda: run.evaluation(evaluation)):
        try:
            read()
        except UnreadableError as error:
            say_aside(error)


def say_aside(error: UnreadableError) -> None:
    aside = set_aside(error.path).name
    print(f"ltvm: {error.path} {error.what}: set aside as {aside}", file=sys.stderr)


def train(config: Config, running: Running, command: str) -> Built | None:
    """Train, or go on where training stopped, and write the record; Ctrl-C and bad input raise.

    None where the method could not even be built, which is a failure, too.
    """
    run, hold = running.run, running.hold
    if run.record() is None:  # what was measured on other weights is nothing of this training
        for name in run.evaluation_names():
            run.evaluation_file(name).unlink(missing_ok=True)
    record = begun(config, command)
    try:
        trained, metrics = built(config)
    except InputError:  # nothing is left of it
        raise
    except Exception as error:
        run.write_config(config)
        run.write_record(record | failure(error))
        return None
    run.write_config(config)
    record |= about(config, trained, metrics)
    run.write_record(record)
    board = Board(run.directory, bool(config.get("tensorboard")), record["curves"])
    trainer = trainer_of(config, running, trained, metrics, board)
    try:
        with current_world().together():
            resume(trainer)
            trainer.fit()
        method, data = trained.method, trained.data
        with method.problem.clock.phase("evaluation"):
            save_pictures(run.directory, method, data, trained.context)
        hold.check()
        board.finish(trainer.history, sorted(run.directory.glob("*.png")))
        record |= {"status": "done"} | save_trained(run.trained_file, method)
    except (TakenOverError, VanishedError):
        raise
    except DivergedError as error:
        record |= {"status": "diverged", "reason": str(error)}
    except KeyboardInterrupt:
        record |= {"status": "interrupted", "reason": "interrupted by the user"}
        finish(record, config, run, trainer)
        raise
    except InputError as error:
        record |= {"status": "failed", "reason": str(error)}
        finish(record, config, run, trainer)
        raise
    except Exception as error:
        record |= failure(error)
    hold.check()
    finish(record, config, run, trainer)
    return trained, metrics


def resume(trainer: Trainer) -> None:
    """Go on from the newest checkpoint that is sound; a damaged one is set aside."""
    while True:
        try:
            trainer.resume()
            return
        except UnreadableError as error:
            say_aside(error)


def built(config: Config) -> Built:
    """The method with initial weights, the data and the metrics, on the device."""
    device, world = devices.resolve_device(config["device"]), current_world()
    devices.begin_measuring_memory(device)
    data = load_data(config).to(device)
    world.broadcast({"train": same_everywhere(config, data)})  # see ltvm.runs.execution.follow
    with world.together():
        problem = build_problem(config, data, world=world)
        metrics = build_metrics(config, device)
        method = build_method(config, problem)
    return Trained(method, data, Context(config["seed"], device, _metric_cache)), metrics


def say(reporter: Reporter, running: Running, done: float, doing: str) -> None:
    """Progress on this terminal, and in the store for others."""
    reporter.update(done, doing)
    running.update(min(int(done * (running.iterations + 1)), running.iterations), done, doing)


def trainer_of(
    config: Config,
    running: Running,
    trained: Trained,
    metrics: dict[str, Metric],
    board: Board,
) -> Trainer:
    """The trainer of a run, which reports its progress and measures learning curves."""
    method, data, context = trained.method, trained.data, trained.context
    problem, reporter = method.problem, current_reporter()
    iterations = config["protocol"]["iterations"]
    problem.progress = lambda done, doing: say(
        reporter,
        running,
        (method.iteration + done) / (iterations + 1),
        f"{min(method.iteration + 1, iterations)}/{iterations} {doing}",
    )

    def curve(method: Method) -> dict[str, float]:
        values: dict[str, float] = {}
        for metric in metrics.values():
            values |= metric.curve(method, data, context)
        return values

    def after_iteration() -> None:
        board.show(trainer.history)
        reporter.line(f"iteration {method.iteration} of {iterations}")

    trainer = Trainer(
        method,
        iterations,
        running.run.checkpoint_file,
        curve=curve,
        every=config["evaluation"]["every"],
        made_with=made_with(data, problem.device),
        executions=[problem.describe_execution()],
        commits=[str(commit())],
        before_saving=running.hold.check,
        after_iteration=after_iteration,
    )
    return trainer


def loaded(config: Config, run: Run) -> Built:
    """A run that is trained, to be evaluated: from its final weights and codes."""
    device = devices.resolve_device(config["device"])
    method = load_method(run.directory, config["device"])
    data = load_data(config).to(device)
    context = Context(config["seed"], device, _metric_cache)
    return Trained(method, data, context), build_metrics(config, device)


def label_of(config: Config, command: str) -> str:
    """What is running, in words: the method, the single keys overridden, the seed."""
    usual = (
        "data=", "method=", "protocol=", "protocol.evaluation.", "evaluation", "paths.", "device=",
        "precision=", "seed=",
    )  # fmt: skip
    keys = [word for word in overrides_in(command) if not word.startswith(usual)]
    return " ".join([config["method"]["name"], *keys, f"seed={config['seed']}"])


def check_input(config: Config) -> None:
    """Raise :class:`InputError` for anything about a configuration that a run would refuse.

    Loads the data and builds the method, so that bad input is found before any record is
    written and before other runs of an ablation have spent their time.
    """
    check_board(config)
    data = load_data(config)
    problem = build_problem(config, data, trial=False, world=current_world())
    context = Context(config["seed"], problem.device, _metric_cache)
    metrics = build_metrics(config, problem.device)
    method = build_method(config, problem)
    check_evaluation(config, Trained(method, data.to(problem.device), context), metrics)


def check_evaluation(config: Config, trained: Trained, metrics: dict[str, Metric]) -> None:
    """Raise :class:`InputError` for what a metric or its sampler would stumble over."""
    check_sampler(config, trained.method, metrics.values())
    context = replace(trained.context, sampler=stated(config))
    for metric in metrics.values():
        metric.check(trained.data, context)
