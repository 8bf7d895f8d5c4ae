"""Jobs through submitit: an array of Slurm's, or processes here that stand for one.

https://github.com/facebookincubator/submitit/blob/main/docs/checkpointing.md
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import submitit
from hydra.core.utils import JobReturn
from submitit.core import utils
from submitit.helpers import DelayedSubmission, clean_env, environment_variables

from ltvm.errors import LaunchError
from ltvm.hydra_private import failed
from ltvm.runs.launching.launchers.base import Engine, Job, JobDiedError
from ltvm.runtime.interrupts import heard_interrupts
from ltvm.runtime.place import Place
from ltvm.runtime.threads import available_cores

LOOKS = {"local": 0.2, "slurm": 5.0}  # seconds between two looks at the files of jobs
GRACE = 10.0  # seconds that cancelled jobs have to end
COMMON = (
    "timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb", "name", "stderr_to_stdout",
)  # fmt: skip


class Requeued(Job):
    """A job that, preempted or out of time, is queued again: its run goes on where it was."""

    def checkpoint(self) -> DelayedSubmission:
        return DelayedSubmission(self)


class SubmititEngine(Engine):
    """``cluster`` is slurm or local; ``parameters`` are those of its group that are set."""

    def __init__(
        self, cluster: str, folder: str, parameters: dict[str, Any], jobs: int, place: Place
    ) -> None:
        self.look = LOOKS[cluster]
        threads: int | None = parameters.get("cpus_per_task")
        if cluster == "local":  # where nothing holds processes to what they are given
            usual = max(1, available_cores() // (threads or 1))
            self.slots = parameters.pop("array_parallelism", usual)
            threads = threads or max(1, available_cores() // min(jobs, self.slots))
        own = {
            key if key in COMMON else f"{cluster}_{key}": value for key, value in parameters.items()
        }
        timeouts = {f"{cluster}_max_num_timeout": own.pop(f"{cluster}_max_num_timeout")}
        self.executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **timeouts)
        self.executor.update_parameters(**own)
        self.environment = place.at_start(threads)

    def submit(self, jobs: Sequence[Job]) -> list[Any]:
        again = [Requeued(**vars(job)) for job in jobs]
        within = "SLURM_JOB_ID" in os.environ  # a job that submits: what it was given is its own
        clean = clean_env() if within else nullcontext()
        with clean, environment_variables(**self.environment), heard_interrupts():
            return list(self.executor.submit_array(again))

    def ended(self, handles: Sequence[Any]) -> list[Any]:
        done = [handle for handle in handles if handle.done()]
        if not done:
            time.sleep(self.look)
        return done

    def result(self, handle: Any) -> JobReturn:
        try:
            job: JobReturn = handle.result()
        except utils.FailedJobError as error:  # it could not be sent, say
            return failed((), error)
        except utils.UncompletedJobError as error:
            said = f"what it printed is in {handle.paths.stderr}"
            what = f"job {handle.job_id} ended without a result ({handle.state}); {said}"
            if handle.state.upper().startswith("CANCELLED"):  # by somebody, who meant it
                return failed((), LaunchError(what))
            raise JobDiedError(what) from error
        return job

    def cancel(self, handles: Sequence[Any]) -> None:
        for handle in handles:
            handle.cancel(check=False)
        end = time.monotonic() + GRACE
        while time.monotonic() < end and not all(handle.done() for handle in handles):
            time.sleep(0.1)

    def close(self) -> None:
        """Nothing was taken."""
