"""A launcher of Hydra's that hands every run to a process of its own, by an engine (Ray, Slurm).

jobs -> Engine.submit -> those that ended -> what they returned, in the order of the jobs
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from ltvm.errors import InputError, LaunchError
from ltvm.hydra_private import failed, run_in_this_process
from ltvm.runtime.place import Place

Ended = Callable[[int, JobReturn], object]  # is told of a job, by its place in the batch, at once


class JobDiedError(LaunchError):
    """The process of a job ended without an answer: killed, out of memory, its machine lost."""


@dataclass(frozen=True)
class Job:
    """One job on its way: called in another process, it does it and returns what Hydra expects."""

    config: DictConfig
    overrides: tuple[str, ...]
    number: int
    task: TaskFunction
    place: Place

    def __call__(self) -> JobReturn:
        try:
            self.place.take()
            return run_in_this_process(self.config, self.overrides, self.number, self.task)
        except Exception as error:  # of going there or composing; Hydra catches the task's
            return failed(self.overrides, error)

    def again(self) -> Self:
        """The same after its process died, which a task may have to know."""
        tell = getattr(self.task, "sent_again", None)
        return self if tell is None else replace(self, task=tell())


class Engine(ABC):
    """What does jobs: handles stand for those that it was given."""

    slots: int | None = None  # jobs that it may be given at a time; None: it has a queue itself

    @abstractmethod
    def submit(self, jobs: Sequence[Job]) -> Sequence[Hashable]:
        """Begin or queue them."""

    @abstractmethod
    def ended(self, handles: Sequence[Any]) -> Sequence[Any]:
        """Wait a moment, at most about a second; those of the jobs that have ended."""

    @abstractmethod
    def result(self, handle: Any) -> JobReturn:
        """Of one that ended. Raises :class:`JobDiedError`."""

    @abstractmethod
    def cancel(self, handles: Sequence[Any]) -> None:
        """End them, running or queued, and wait until they are."""

    @abstractmethod
    def close(self) -> None:
        """Give back what was taken for it."""


def do_all(
    engine: Engine,
    jobs: Sequence[Job],
    retries: int,
    ended: Ended = lambda number, job: None,  # noqa: ARG005
    say: Callable[[str], object] = print,
) -> list[JobReturn]:
    """Have an engine do jobs; one whose process dies is tried again, up to ``retries`` times.

    ``ended`` is told of each as it ends. Anything that stops this, Ctrl-C included, cancels what
    is queued or running and is raised.
    """
    done, jobs = dict[int, JobReturn](), list(jobs)
    waiting, running, deaths = list(range(len(jobs))), dict[Any, int](), Counter[int]()
    try:
        while waiting or running:
            free = len(waiting) if engine.slots is None else engine.slots - len(running)
            begun, waiting = waiting[:free], waiting[free:]
            if begun:
                handles = engine.submit([jobs[number] for number in begun])
                running |= dict(zip(handles, begun, strict=True))
            for handle in engine.ended(list(running)):
                number = running.pop(handle)
                try:
                    job = engine.result(handle)
                except JobDiedError as error:
                    deaths[number] += 1
                    if deaths[number] <= retries:
                        jobs[number] = jobs[number].again()
                        waiting.append(number)
                        say(f"a process died, its run is sent again ({error})")
                        continue
                    job = failed(jobs[number].overrides, error)
                done[number] = job
                ended(number, job)
    except BaseException:
        engine.cancel(list(running))
        raise
    return [done[number] for number in range(len(jobs))]


class EngineLauncher(Launcher):
    """``parameters`` are those of its group in ``hydra/launcher``."""

    package = ""  # that it needs, which is also the name of the extra

    def __init__(self, **parameters: Any) -> None:
        self.retries = int(parameters.pop("max_retries"))
        self.parameters: dict[str, Any] = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in parameters.items()
        }
        self.ended: Ended = lambda number, job: None  # noqa: ARG005
        self.say: Callable[[str], object] = print

    def setup(
        self,
        *,
        hydra_context: HydraContext,  # noqa: ARG002 workers have a session of their own
        task_function: TaskFunction,
        config: DictConfig,
    ) -> None:
        """Raises :class:`InputError` if its package is not installed."""
        if importlib.util.find_spec(self.package) is None:
            raise InputError(
                f"hydra/launcher={config.hydra.runtime.choices['hydra/launcher']}: "
                f'{self.package} is not installed; pip install "ltvm[{self.package}]"'
            )
        self.task, self.config = task_function, config

    @abstractmethod
    def engine(self, jobs: int, place: Place) -> Engine:
        """One that is ready to do so many jobs, whose processes start at ``place``."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        place = Place.here()
        jobs = [
            Job(self.config, tuple(overrides), initial_job_idx + number, self.task, place)
            for number, overrides in enumerate(job_overrides)
        ]
        engine = self.engine(len(jobs), place)
        try:
            return do_all(engine, jobs, self.retries, self.ended, self.say)
        finally:
            engine.close()
