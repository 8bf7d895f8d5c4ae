"""What the tests of launchers have done by their processes: small, and without torch."""

import os
import signal
import time
from pathlib import Path

from ltvm.errors import InputError


def note(what):
    """A line in the diary of all processes; returns how often it stands there."""
    diary = Path("diary")  # in the directory of who launched
    with diary.open("a") as file:
        file.write(f"{what}\n")
    return diary.read_text().splitlines().count(what)


def errand(config):
    """A task of Hydra's; the method's name says which."""
    what = f"{config.method.name} {config.seed}"
    times = note(what)
    if what == "killed 1" and times == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "preempted 1" and times == 1:
        os.kill(os.getpid(), signal.SIGUSR2)
    if what == "refused 1":
        raise InputError("method.alpha=7: allowed: less")
    if what == "wrong 1":
        raise ZeroDivisionError
    if what.startswith("endless"):
        try:
            for _ in range(600):
                time.sleep(0.1)
        except KeyboardInterrupt:
            note(f"interrupted {config.seed}")
            raise
    seen = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    return {"status": "done", "seed": config.seed, **{name: os.environ.get(name) for name in seen}}
