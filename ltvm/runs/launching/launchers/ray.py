"""Jobs as tasks of Ray's core: https://docs.ray.io/en/latest/ray-core/walkthrough.html"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from typing import Any

import ray
from hydra.core.utils import JobReturn
from ray import exceptions

from ltvm.errors import InputError
from ltvm.hydra_private import failed
from ltvm.runs.launching.launchers.base import Engine, Job, JobDiedError
from ltvm.runtime.interrupts import hear_interrupts
from ltvm.runtime.place import Place
from ltvm.runtime.threads import available_cores

GRACE = 10.0  # seconds that a cancelled run has to write that it was interrupted
OBJECTS = 80 * 2**20  # bytes of a local Ray's object store, which holds a few records


def do(job: Job) -> JobReturn:
    """The task of Ray's: a process of its own for every job (``max_calls``)."""
    hear_interrupts()  # which is how Ray cancels it
    return job()


class RayEngine(Engine):
    """Joins a cluster, or starts Ray on this machine for as long as the jobs take."""

    def __init__(
        self,
        place: Place,
        device: str,
        address: str | None,
        num_cpus: float,
        num_gpus: float | None,
    ) -> None:
        self.own = not ray.is_initialized()
        if self.own:
            start(address)
        gpus = ray.cluster_resources().get("GPU", 0.0)
        if num_gpus is None:
            num_gpus = 1.0 if gpus and device != "cpu" else 0.0
        self.check("num_gpus", num_gpus, gpus)
        self.check("num_cpus", num_cpus, ray.cluster_resources().get("CPU", 0.0))
        self.do = ray.remote(
            max_calls=1,
            max_retries=0,  # who gives it the jobs tries again, and says so
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            runtime_env={"env_vars": place.at_start(max(1, int(num_cpus)))},
        )(do)

    def check(self, key: str, wanted: float, there: float) -> None:
        """Ray would wait for ever for what is not there."""
        if wanted > there:
            self.close()
            raise InputError(f"hydra.launcher.{key}={wanted:g}: allowed: up to {there:g}")

    def submit(self, jobs: Sequence[Job]) -> list[Any]:
        return [self.do.remote(job) for job in jobs]

    def ended(self, handles: Sequence[Any]) -> list[Any]:
        ray.wait(list(handles), num_returns=1, timeout=1.0)
        return list(ray.wait(list(handles), num_returns=len(handles), timeout=0)[0])

    def result(self, handle: Any) -> JobReturn:
        try:
            job: JobReturn = ray.get(handle)
        except exceptions.RayTaskError as error:  # what a job returns cannot be sent, say
            return failed((), RuntimeError(str(error)))
        except exceptions.RayError as error:
            what = str(error).strip().splitlines() or [""]
            raise JobDiedError(f"{type(error).__name__}: {what[0][:200]}") from error
        return job

    def cancel(self, handles: Sequence[Any]) -> None:
        if not handles:
            return
        for force in (False, True):  # KeyboardInterrupt there, then SIGKILL
            for handle in handles:
                ray.cancel(handle, force=force)
            _, left = ray.wait(list(handles), num_returns=len(handles), timeout=GRACE)
            if not left:
                return

    def close(self) -> None:
        if self.own:
            ray.shutdown()


def start(address: str | None) -> None:
    """Join the cluster at ``address``, or start Ray here: quiet, with no dashboard.

    None: that of ``RAY_ADDRESS``, else here. Raises ``ConnectionError`` where there is none.
    """
    handler = signal.getsignal(signal.SIGTERM)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None and "RAY_ADDRESS" not in os.environ:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options |= {
            "include_dashboard": False,
            "num_cpus": available_cores(),
            "object_store_memory": OBJECTS,
        }
        address = "local"
    ray.init(address, **options)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray's would end the process in a way of its own
