"""One method's study: settings are tried, each as a run (or one a seed), and what came is kept.

study file -> next settings -> runs (in the store; not trained again) -> value -> study file

What is tried next depends on the study's name, the trial's number and the trials before it, so
that a study that was stopped goes on as if it had not been, and the same study is the same again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from ltvm.config import Config
from ltvm.data.image_set import VALIDATION
from ltvm.errors import InputError, require
from ltvm.runs.files.locks import holding
from ltvm.runs.words import literal
from ltvm.runtime.interrupts import held_back_interrupts
from ltvm.tuning.space import Space, rounded, usual

Direction = Literal["minimize", "maximize"]
Train = Callable[[Sequence[str]], dict[str, Any]]  # overrides -> record with its values
# A diverged trial is told as pruned, which the sampler counts as worse than any value; a failed one
# says nothing of its settings.
STATE_OF = {"diverged": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass(frozen=True)
class Trial:
    """One that is over, counted from 0: what was set, and its value (None: failed or diverged)."""

    number: int
    settings: dict[str, Any]
    value: float | None
    status: str  # done | diverged | failed


@dataclass(frozen=True)
class Search:
    """What is searched for one method, and where its study is kept."""

    name: str
    overrides: tuple[str, ...]  # of every trial
    config: Config  # that they resolve to
    space: Space
    metric: str
    direction: Direction
    folder: Path
    ranges: Mapping[str, Any] = field(default_factory=dict)  # what ``space`` was declared by
    seeds: tuple[int, ...] = ()  # of each trial, whose value is their mean; () for ``config``'s

    @property
    def method(self) -> str:
        return str(self.config["method"]["name"])

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.journal"

    def command(self, settings: dict[str, Any]) -> list[str]:
        """The overrides of a trial, but for its seeds where it has several."""
        return [*self.overrides, *(f"{key}={literal(v)}" for key, v in settings.items())]

    def commands(self, settings: dict[str, Any]) -> list[list[str]]:
        """The overrides of each of a trial's runs."""
        command = self.command(settings)
        return [[*command, f"seed={seed}"] for seed in self.seeds] or [command]

    def study(self) -> optuna.Study:
        """The study as its file has it; a new one begins with the method's own settings."""
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with held_back_interrupts():
            study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(self.file))),
                study_name=self.name,
                direction=self.direction,
                load_if_exists=True,
            )
            own = usual(self.config, self.space)
            if not study.trials and own is not None:
                study.enqueue_trial(own)
        return study

    def do(self, number: int, train: Train) -> Trial | None:
        """Do trial ``number`` unless it is over; returns it if there was anything to do.

        Raises what ``train`` raises, and the trial is then done again.
        """
        with held_back_interrupts():
            study = self.study()
            trials = study.get_trials(deepcopy=False)
            if number < len(trials) and trials[number].state.is_finished():
                return None
            parameters = self.chosen(study, number)
        value, state = self.told(rounded(parameters, self.space), train)
        with held_back_interrupts():
            study.tell(number, value, state)
        return as_trial(study.get_trials(deepcopy=False)[number])

    def chosen(self, study: optuna.Study, number: int) -> dict[str, Any]:
        """The parameters of trial ``number``, which are then in the study.

        A process that was killed while it chose them has left a trial with some of them, which is
        given the others.
        """
        trials = study.get_trials(deepcopy=False)
        sampler = optuna.samplers.TPESampler(seed=seed_of(self.name, number))
        if number == len(trials) or trials[number].state == TrialState.WAITING:
            study.sampler = sampler
            return study.ask(self.space).params
        left = trials[number]
        if set(left.params) == set(self.space):
            return left.params
        again = optuna.create_study(sampler=sampler, direction=self.direction)  # in memory
        again.add_trials(trials[:number])
        if fixed := left.system_attrs.get("fixed_params"):
            again.enqueue_trial(fixed)
        parameters = again.ask(self.space).params
        for name in sorted(set(self.space) - set(left.params)):
            distribution = self.space[name]
            internal = distribution.to_internal_repr(parameters[name])
            study._storage.set_trial_param(left._trial_id, name, internal, distribution)
        return parameters

    def told(self, settings: dict[str, Any], train: Train) -> tuple[float | None, TrialState]:
        """Train a trial's runs: the mean of their values; the first without one ends the trial.

        A value that is not finite is none: the trial counts as one that has diverged.
        """
        values = []
        for command in self.commands(settings):
            record = train(command)
            value = self.value_in(record)
            if value is None:
                return None, STATE_OF[record["status"]]
            if not isfinite(value):
                return None, STATE_OF["diverged"]
            values.append(value)
        return fmean(values), TrialState.COMPLETE

    def value_in(self, record: dict[str, Any]) -> float | None:
        """The metric's value of a trial's record; None where the trial failed or diverged."""
        if record["status"] in STATE_OF:
            return None
        require(record["status"] == "done", f"trial of {self.name}", record["status"], "done")
        content = record["metrics"].get(self.metric)
        if content is None:
            raise InputError(f"--metric {self.metric}: {self.method} has no such value")
        split = content.get("split")
        if VALIDATION not in str(split):
            raise InputError(
                f"--metric {self.metric}: measured on the {split} split; allowed: one that is "
                "measured on validation images"
            )
        return float(content["value"])

    def trials(self, most: int | None = None) -> list[Trial]:
        """Those of the first ``most`` that are over; of all, without it."""
        if not self.file.is_file():
            return []
        found = self.study().get_trials(deepcopy=False)[:most]
        return [as_trial(trial) for trial in found if trial.state.is_finished()]

    def untuned(self, trials: Sequence[Trial]) -> Trial | None:
        """The first trial where it is of the method's own settings."""
        own = usual(self.config, self.space)
        first = trials[0] if trials and trials[0].number == 0 else None
        return (
            first
            if own is not None and first and first.settings == rounded(own, self.space)
            else None
        )

    def best(self, trials: Sequence[Trial]) -> Trial | None:
        """The best of them, the first among equals; None if none has a value."""
        valued = [(trial.value, trial) for trial in trials if trial.value is not None]
        sign = 1 if self.direction == "minimize" else -1
        return min(valued, key=lambda pair: sign * pair[0])[1] if valued else None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the study; raises :class:`InputError` if another process does."""
        with holding(self.folder / f".{self.name}.held") as hold:
            if hold is None:
                raise InputError(f"{self.file}: another process is at this study")
            yield


def as_trial(trial: FrozenTrial) -> Trial:
    status = {TrialState.PRUNED: "diverged", TrialState.FAIL: "failed"}.get(trial.state, "done")
    value = trial.value if status == "done" else None
    return Trial(trial.number, rounded(trial.params, trial.distributions), value, status)


def seed_of(name: str, number: int) -> int:
    """Of the sampler for one trial: int32, from the study's name and the trial's number."""
    return int.from_bytes(hashlib.sha256(f"{name} {number}".encode()).digest()[:4], "big")
