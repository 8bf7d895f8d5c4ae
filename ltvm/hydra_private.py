"""All that is used of Hydra beyond its documented interface, in one place.

Composing at run time, telling choices, launching from Python: Hydra has each of these, and a
documented function for none. ``hydra-core`` stays below 1.4 because of what stands here, and
docs/sweeps.md ("Hydra 1.4") says what that version needs. A test holds the rest of the code to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override as Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, open_dict

from ltvm.launcher_keys import store_launchers
from ltvm.runtime.config_dirs import own_configuration


@contextmanager
def hydra_session() -> Iterator[None]:
    """Initialise Hydra for composing, unless it already is."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with initialize_config_dir(str(own_configuration()), version_base="1.3"):
        store_launchers()
        yield


def config_loader() -> ConfigLoader:
    """That of the session that is open."""
    return GlobalHydra.instance().config_loader()


def search_path() -> tuple[str | None, ...]:
    """Where the session that is open finds configurations; empty where none is."""
    if not GlobalHydra.instance().is_initialized():
        return ()
    return tuple(place.path for place in config_loader().get_search_path().get_path())


def group_options(group: str, places: Sequence[str] = ()) -> list[str]:
    """The choices of a group, such as ``method`` or ``hydra/launcher``; a session must be open.

    ``places`` are further ones to look at, such as ``file:///home/me/mine``.
    """
    known = set(config_loader().get_group_options(group))
    if places:
        path = deepcopy(config_loader().get_search_path())
        for place in places:
            path.append("user", place)
        known |= set(ConfigRepository(config_search_path=path).get_group_options(group))
    return sorted(known)


def parse_override(override: str) -> Override:
    """Raises ``hydra.errors.HydraException`` for a malformed one."""
    return OverridesParser.create().parse_overrides([override])[0]


def apply_values(values: list[Override], config: DictConfig) -> None:
    """Override values of what is composed, in place; raises what composing would raise."""
    ConfigLoaderImpl._apply_overrides_to_config(values, config)


def make_launcher(config: DictConfig, task: TaskFunction) -> Launcher:
    """The launcher of ``config.hydra.launcher``, set up; a session must be open."""
    with open_dict(config):
        config.hydra.mode = RunMode.MULTIRUN
    return Plugins.instance().instantiate_launcher(
        hydra_context=context(), task_function=task, config=config
    )


def context() -> HydraContext:
    return HydraContext(config_loader=config_loader(), callbacks=Callbacks())


def run_in_this_process(
    config: DictConfig, overrides: Sequence[str], number: int, task: TaskFunction
) -> JobReturn:
    """What a launcher's worker does: compose one job of ``config`` and call the task.

    The task's exceptions are in what is returned; those of composing are raised.
    """
    with hydra_session():
        own = config_loader().load_sweep_config(config, list(overrides))
        with open_dict(own):
            own.hydra.job.num, own.hydra.job.id = number, str(number)
        return run_job(
            task_function=task,
            config=own,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=context(),
        )


def failed(overrides: Sequence[str], error: Exception) -> JobReturn:
    """What a job returns that ended by ``error``."""
    job = JobReturn(overrides=list(overrides), status=JobStatus.FAILED)
    job.return_value = error
    return job


def error_of(job: JobReturn) -> Exception | None:
    """What a job ended by, or None; ``job.return_value`` would print and raise it."""
    error = job._return_value if job.status == JobStatus.FAILED else None
    assert error is None or isinstance(error, Exception)
    return error
