"""Whether an unfinished run can go on here, and how it starts again from nothing.

A checkpoint goes on with the same images, kind of device, torch and ``NUMERICS``; precision is
in the run's identity. Layout, products and graph, which a trial chooses, compute the same sums in
another order: a run goes on with others, and its record lists both. It then equals an undisturbed
run up to rounding, no longer bit for bit.
"""

from __future__ import annotations

from pathlib import Path

import torch

from ltvm.config import Config
from ltvm.data.cache import load_data
from ltvm.data.image_set import DataSet
from ltvm.errors import UnreadableError
from ltvm.runs.files.store import FINAL, Run, Store
from ltvm.runs.identity import NUMERICS
from ltvm.runtime.devices import resolve_device
from ltvm.training.checkpoint import (
    delete_checkpoints,
    newest,
    read_checkpoint,
    refuse_other,
)


def made_with(data: DataSet, device: torch.device) -> dict[str, str]:
    """What has to be the same for a run to go on."""
    return {
        "data": data.train.fingerprint,
        "device": device.type,
        "torch": str(torch.__version__),
        "numerics": str(NUMERICS),
    }


def check_checkpoint(config: Config) -> None:
    """Raise :class:`ltvm.errors.InputError` if a run has a checkpoint that it cannot go on from.

    It names what differs. Before other runs of an ablation have spent their time. One that cannot
    be read is none: the run will set it aside.
    """
    run = unfinished(config)
    file = None if run is None or run.holder() is not None else newest(run.checkpoint_file)
    if file is not None:
        try:
            state = read_checkpoint(file, torch.device("cpu"))
        except UnreadableError:
            return
        now = made_with(load_data(config), resolve_device(config["device"]))
        refuse_other(file, state["made_with"], now)


def discard_checkpoint(config: Config) -> None:
    """Remove the checkpoint of a run that is not done, unless another process is at it."""
    run = unfinished(config)
    if run is not None:
        with run.held() as hold:
            if hold is not None:
                delete_checkpoints(run.checkpoint_file)


def unfinished(config: Config) -> Run | None:
    """The run of a configuration if it has a checkpoint and its training is not done."""
    run = Store(Path(config["paths"]["results"])).run(config)
    return run if newest(run.checkpoint_file) and run.status() not in FINAL else None
