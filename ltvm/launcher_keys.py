"""The keys and defaults of ``hydra/launcher=ray``, ``submitit_slurm`` and ``submitit_local``."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

PLUGINS = "hydra_plugins.ltvm_launchers"


@dataclass
class RayConf:
    """``hydra/launcher=ray``"""

    _target_: str = f"{PLUGINS}.RayLauncher"
    address: str | None = None  # of a cluster to join: HOST:6379, or auto; null: Ray starts here
    num_cpus: float = 1  # of each run, which computes with so many threads
    num_gpus: float | None = None  # of each run, 0.5 for two on one; null: 1 where there are any
    max_retries: int = 2  # of a run whose process died; it goes on from its last iteration


@dataclass
class SubmititConf:
    """What both have; names and meanings are those of submitit."""

    submitit_folder: str = "${hydra.sweep.dir}/%j"  # for what jobs print, and what they are
    timeout_min: int = 240  # of a job; a run goes on in the next one
    max_num_timeout: int = 100  # how often
    cpus_per_task: int | None = None  # of each run, which computes with so many threads
    gpus_per_node: int | None = None  # of each run
    name: str = "ltvm"
    stderr_to_stdout: bool = False
    setup: list[str] | None = None  # shell commands before Python starts
    array_parallelism: int | None = None  # runs at a time; null: as many as the cores allow
    max_retries: int = 2  # of a run whose process died; it goes on from its last iteration


@dataclass
class LocalConf(SubmititConf):
    """``hydra/launcher=submitit_local``"""

    _target_: str = f"{PLUGINS}.LocalLauncher"


@dataclass
class SlurmConf(SubmititConf):
    """``hydra/launcher=submitit_slurm``; those that sbatch has mean what they mean there."""

    _target_: str = f"{PLUGINS}.SlurmLauncher"
    array_parallelism: int | None = 256  # runs at a time
    signal_delay_s: int = 120  # before the end of a job's time, when its run stops to go on later
    mem_gb: float | None = None
    partition: str | None = None
    qos: str | None = None
    account: str | None = None
    comment: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    gpus_per_task: int | None = None
    cpus_per_gpu: int | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    additional_parameters: dict[str, Any] = field(default_factory=dict)  # any other of sbatch


def store_launchers() -> None:
    """Make them choices, in place of others of that name; for ltvm's own sessions."""
    for name, node in (
        ("ray", RayConf),
        ("submitit_local", LocalConf),
        ("submitit_slurm", SlurmConf),
    ):
        ConfigStore.instance().store(group="hydra/launcher", name=name, node=node, provider="ltvm")
