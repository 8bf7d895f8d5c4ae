"""How many threads a process computes with, and how they wait for each other.

torch's threads are those of GNU OpenMP (libgomp). They wait for each other at the end of every
operator by spinning, which keeps a core busy that somebody else may need, the very thread that
is waited for included. Passive waiting sleeps at once. libgomp reads this when torch is
imported: nothing here imports torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def wait_passively(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have the threads of this process, and of those it starts, sleep while they wait.

    What is set already stays. Too late for a process that has imported torch.
    """
    if not environment.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
        environment["OMP_WAIT_POLICY"] = "passive"


def available_cores(cgroups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Cores that this process may use: its affinity and its control groups' quota; 1 or more.

    A quota of 1.5 cores are 2: one of the two threads then waits for a part of the time.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *map(math.ceil, quotas(cgroups, own))]))


def quotas(cgroups: Path, own: Path) -> list[float]:
    """Cores that each control group above this process grants, where it has a limit.

    Versions 2 (``cpu.max``) and 1 (``cpu.cfs_quota_us``); empty on systems without any.
    """
    found = []
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = cgroups / controllers if controllers else cgroups
        group = base / path.lstrip("/")
        for folder in [group, *group.parents]:
            if not folder.is_relative_to(base):
                break
            limit = _read(folder / "cpu.max").split()
            if controllers:
                limit = [
                    word
                    for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                    for word in _read(folder / name).split()
                ]
            if len(limit) == 2 and limit[0] not in ("max", "-1"):
                found.append(int(limit[0]) / int(limit[1]))
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
