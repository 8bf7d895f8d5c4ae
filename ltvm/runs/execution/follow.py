"""What all processes but the first do in a run on several: they train along, and else they wait.

The first does what a run in one process does (``ltvm.runs.execution.execute``). It alone holds the
lock, evaluates and writes.
"""

from __future__ import annotations

from typing import Any

from ltvm.config import Config
from ltvm.data.cache import load_data
from ltvm.data.image_set import DataSet
from ltvm.errors import DivergedError, require
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.runs.identity import identity
from ltvm.runtime import devices
from ltvm.runtime.distributed import World
from ltvm.training.trainer import Trainer


def follow(config: Config, world: World) -> dict[str, Any]:
    """Do as the first process says, until it says what the record is."""
    while True:
        said: dict[str, Any] = world.broadcast({})
        if "record" in said:
            return dict(said["record"])
        try:
            train_along(config, world, said["train"])
        except DivergedError as error:  # no failure: the first process records it
            return {"status": "diverged", "reason": str(error)}


def same_everywhere(config: Config, data: DataSet) -> dict[str, str]:
    """What has to be the same in all processes."""
    return {"configuration": identity(config), "training images": data.train.fingerprint}


def train_along(config: Config, world: World, first: dict[str, str]) -> None:
    """This process's share of a training; errors are those of all (see ``World.together``)."""
    device = devices.resolve_device(config["device"])
    devices.use_full_float32()
    devices.keep_freed_memory()
    data = load_data(config).to(device)
    own = same_everywhere(config, data)
    others = [f"other {name}" for name in own if own[name] != first[name]]
    require(not others, f"process {world.rank}", ", ".join(others), "those of the first process")
    method = build_method(config, build_problem(config, data, world=world))
    iterations, every = config["protocol"]["iterations"], config["evaluation"]["every"]
    with world.together():
        trainer = Trainer(method, iterations, every=every)
        trainer.resume()
        trainer.fit()
