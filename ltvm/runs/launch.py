"""Runs go through Hydra's launcher interface: basic by default, joblib, Slurm, Ray by override.

    ltvm ablate ablation=ot hydra/launcher=joblib hydra.launcher.n_jobs=4

There is no scheduler here: a launcher gets the list of runs that are not done, each as the
overrides of one ``ltvm train``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from ltvm.config import as_hydra, as_written, compose_raw, hydra_session, resolve
from ltvm.errors import InputError
from ltvm.runs.ablation import train_command
from ltvm.runs.execute import execute
from ltvm.runtime.threads import available_cores


def task(config: DictConfig) -> dict[str, Any]:  # noqa: ARG001
    """What a launcher calls for each job, in this process or another; returns the record.

    One with the status ``refused`` and the reason stands for bad input.
    """
    # Fewer where a launcher said so: joblib divides the cores between its workers.
    torch.set_num_threads(min(torch.get_num_threads(), available_cores()))
    overrides = [as_written(override) for override in HydraConfig.get().overrides.task]
    try:
        return execute(resolve(overrides), train_command(overrides))
    except InputError as error:  # the other runs of a launcher go on
        return {"status": "refused", "reason": str(error)}


def launch(jobs: Sequence[Sequence[str]], hydra_overrides: Sequence[str] = ()) -> list[Any]:
    """Do runs, given as lists of overrides; returns their records in order.

    ``hydra_overrides`` choose and configure the launcher. Raises :class:`InputError` for bad
    input, and whatever a launcher raises for a job that it could not run.
    """
    if not jobs:
        return []
    with hydra_session():
        from hydra._internal.callbacks import Callbacks

        master = compose_raw([*jobs[0], *hydra_overrides], with_hydra=True)
        loader = GlobalHydra.instance().config_loader()
        with open_dict(master):
            master.hydra.mode = "MULTIRUN"
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks()),
            task_function=task,
            config=master,
        )
        returns = launcher.launch([list(map(as_hydra, job)) for job in jobs], initial_job_idx=0)
    return [job.return_value for job in returns]
