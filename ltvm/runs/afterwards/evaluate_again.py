"""Another evaluation of a run that is trained: its configuration with other metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ltvm.config import Config, resolve
from ltvm.errors import InputError, require
from ltvm.overrides import parse
from ltvm.runs.afterwards.kept import kept
from ltvm.runs.execution.running import Running
from ltvm.runs.files.store import FINAL, Run, with_evaluation
from ltvm.runs.identity import evaluation_identity
from ltvm.runs.trust import check_command, check_parts
from ltvm.runtime.commands import overrides_in

CHOSEN = ("evaluation", "sampler")  # groups that are no part of a training


def evaluate_again(
    directory: Path, overrides: Sequence[str] = (), device: str | None = None
) -> dict[str, Any]:
    """Do the evaluation that ``overrides`` choose unless it is done; the record with its values.

    Raises :class:`ltvm.errors.InputError` for a run that is not trained, for overrides of anything
    but the evaluation, and as the metrics' checks do.
    """
    run, record, stored = kept(directory)
    config = with_overrides(stored, run, record, overrides)
    check_parts(config, run.config_file)
    config["device"] = config["device"] if device is None else device
    evaluation = evaluation_identity(config)
    if run.status(evaluation) not in FINAL:
        do_held(config, run)
    return with_evaluation(run, evaluation)


def with_overrides(
    config: Config, run: Run, record: dict[str, Any], overrides: Sequence[str]
) -> Config:
    """A run's configuration with the evaluation, and its sampler, that ``overrides`` choose.

    That is what its training was asked for with other metrics: what the record says it was.
    """
    for key, value in parse(overrides):
        own = key in CHOSEN or key.startswith(("evaluation.", "sampler.", "protocol.evaluation."))
        allowed = "evaluation=..., evaluation.KEY=..., protocol.evaluation.KEY=..., sampler=..."
        require(own, key, value, f"{allowed}, sampler.KEY=...")
    others = (*CHOSEN, "distributed.")
    try:
        words = overrides_in(record["command"])
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{run.record_file}: no command that can be read ({error})") from error
    trained_with = [word for word in words if not word.startswith(others)]
    check_command(trained_with, run.record_file)
    wanted = resolve([*trained_with, *overrides])
    return {**config, **{group: wanted[group] for group in CHOSEN}}


def do_held(config: Config, run: Run) -> None:
    """The evaluation, while holding the run's lock."""
    from ltvm.runs.execution.evaluate import evaluate_run
    from ltvm.runs.execution.execute import (  # torch takes seconds to import
        check_evaluation,
        loaded,
    )

    with run.held() as hold:
        if hold is None:
            who = run.holder() or "another process"
            raise InputError(f"{run.directory}: {who} is at it; allowed: one process at a time")
        trained, metrics = loaded(config, run)
        check_evaluation(config, trained, metrics)
        running = Running(run, hold, config["protocol"]["iterations"])
        try:
            evaluate_run(config, running, trained, metrics)
        finally:
            running.finish()
