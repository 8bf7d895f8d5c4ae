"""Runs are done here, one after another, or go through Hydra's launcher interface by override.

    ltvm ablate ablation=ot hydra/launcher=ray hydra.launcher.num_gpus=1

There is no scheduler here: a launcher (joblib, Ray, Slurm) gets the list of runs that are not done,
each as the overrides of one ``ltvm train``. ``ltvm.runs.launching.launchers`` has those that Hydra
lacks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from ltvm.config import compose_raw, resolve
from ltvm.errors import InputError, LaunchError, OneRunError
from ltvm.hydra_private import error_of, hydra_session, make_launcher
from ltvm.overrides import as_hydra, as_written
from ltvm.runs.ablations.ablation import train_command
from ltvm.runs.execution.execute import execute
from ltvm.runs.execution.progress import current_reporter
from ltvm.runs.files.locks import HEARTBEAT, LEASE
from ltvm.runs.files.store import FINAL, Store, with_evaluation
from ltvm.runs.identity import evaluation_identity
from ltvm.runs.launching.launchers.base import EngineLauncher, JobDiedError
from ltvm.runtime.place import Place
from ltvm.runtime.threads import available_cores

Record = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What a launcher calls for each job, in this process or another; returns the record.

    ``at_a_time`` processes of this machine share its cores, whatever OMP_NUM_THREADS says there.
    """

    place: Place
    at_a_time: int
    again: bool = False  # its process died: if that was on another machine, its lease has to end

    def sent_again(self) -> Task:
        return replace(self, again=True)

    def __call__(self, config: DictConfig) -> Record:  # noqa: ARG002
        self.place.take()
        return self.do(HydraConfig.get().overrides.task)

    def do(self, hydra_task: Sequence[str]) -> Record:
        """One run, by its overrides as Hydra is given them.

        A record with the status ``refused`` and the reason stands for bad input; it is ``alone``
        where the input is the files of this run, and not what all seeds have in common.
        """
        share = max(1, available_cores() // self.at_a_time)
        torch.set_num_threads(min(torch.get_num_threads(), share))
        overrides = [as_written(override) for override in hydra_task]
        again = self.again or os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
        patience = {"timeout": LEASE + 2 * HEARTBEAT} if again else {}
        try:
            return execute(resolve(overrides), train_command(overrides), **patience)
        except InputError as error:  # the other runs of a launcher go on
            return refused(error)


def refused(error: InputError) -> Record:
    alone = {"alone": True} if isinstance(error, OneRunError) else {}
    return {"status": "refused", "reason": str(error), **alone}


def in_process(launcher: Sequence[str]) -> bool:
    """Whether Hydra's overrides choose its basic launcher: one run after another, here."""
    chosen = [o.split("=", 1)[1] for o in launcher if o.startswith("hydra/launcher=")]
    return chosen in ([], ["basic"])


def check_launcher(hydra_overrides: Sequence[str]) -> None:
    """Raise :class:`InputError` for a launcher that there is not, or what it does not take."""
    if hydra_overrides:
        with hydra_session():
            launcher_of(hydra_overrides)


def launcher_of(overrides: Sequence[str]) -> tuple[Launcher, str]:
    """The launcher that overrides choose and configure, and its name."""
    config = compose_raw(overrides, with_hydra=True)
    # Workers compose anew, maybe elsewhere: what they are to have stands in the overrides.
    folder = Path(str(config.hydra.sweep.dir)).absolute()
    config.hydra.overrides.hydra.append(f'hydra.sweep.dir="{folder}"')
    config.hydra.sweep.dir = str(folder)
    name = str(config.hydra.runtime.choices["hydra/launcher"])
    # Engines give each process its cores; joblib's share this machine.
    at_a_time = config.hydra.launcher.n_jobs if name == "joblib" else 1
    at_a_time = at_a_time if at_a_time > 0 else available_cores() + 1 + at_a_time  # -1: all cores
    return make_launcher(config, Task(Place.here(), max(1, at_a_time))), name


def launch(jobs: Sequence[Sequence[str]], hydra_overrides: Sequence[str] = ()) -> list[Record]:
    """Do runs, given as lists of overrides; returns their records in order.

    ``hydra_overrides`` choose and configure the launcher. Whatever it is, no job keeps the others
    from being done: one whose input is refused has a record that says so, and what else a job
    raises is raised afterwards. Raises :class:`ltvm.errors.InputError` for what the launcher does
    not take, :class:`ltvm.errors.LaunchError` where it failed. Ctrl-C stops all jobs.
    """
    if not jobs:
        return []
    given = [list(map(as_hydra, job)) for job in jobs]
    # No launcher: composing every run for one takes longer than a small run.
    outcomes = launched(jobs, given, hydra_overrides) if hydra_overrides else done_here(given)
    records = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        records.append(outcome)
    return records


def done_here(jobs: Sequence[Sequence[str]]) -> list[Record | Exception]:
    """The records of jobs in order, or what they raised; one after another in this process."""
    task, outcomes = Task(Place.here(), 1), list[Record | Exception]()
    for job in jobs:
        try:
            outcomes.append(task.do(job))
        except Exception as error:
            outcomes.append(error)
    return outcomes


def launched(
    jobs: Sequence[Sequence[str]], given: Sequence[list[str]], hydra_overrides: Sequence[str]
) -> list[Record | Exception]:
    """The same through the launcher that overrides choose; ``given`` is what Hydra is given."""
    outcomes: dict[int, Record | Exception] = {}

    def end(number: int, job: JobReturn) -> None:
        outcomes[number] = outcome_of(jobs[number], job)

    with hydra_session():
        launcher, name = launcher_of([*jobs[0], *hydra_overrides])
        if isinstance(launcher, EngineLauncher):  # it tells of each as it ends
            launcher.ended, launcher.say = end, current_reporter().say
        try:
            returns = launcher.launch(given, initial_job_idx=0)
        except InputError:
            raise
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise LaunchError(f"hydra/launcher={name}: {what}") from error
    for number, job in enumerate(returns):
        if number not in outcomes:
            end(number, job)
    return [outcomes[number] for number in range(len(jobs))]


def outcome_of(overrides: Sequence[str], job: JobReturn) -> Record | Exception:
    """The record of a job, or what it raised.

    A run whose process died, again and again, is a failed one, where there is a record to say so.
    """
    error = error_of(job)
    if error is None:
        record: Record = job.return_value
        return record
    if isinstance(error, InputError):
        return refused(error)
    return (died(overrides, error) if isinstance(error, JobDiedError) else None) or error


def died(overrides: Sequence[str], error: JobDiedError) -> Record | None:
    """Write that a run failed, as its process could not; None where it left nothing to write to."""
    config = resolve(overrides)
    run = Store(Path(config["paths"]["results"])).run(config)
    evaluation = evaluation_identity(config)
    status: Record = {"status": "failed", "reason": f"its process died: {error}"}
    with run.held() as hold:
        record, measured = run.record(), run.evaluation(evaluation)
        if hold is None or record is None or (record["status"] in FINAL and measured is None):
            return None
        if record["status"] not in FINAL:
            run.write_record(record | status)
        elif measured is not None and measured["status"] not in FINAL:
            run.write_evaluation(measured | status)
    return with_evaluation(run, evaluation)
