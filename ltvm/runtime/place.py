"""Where a command was given: its directory and settings, so that a process elsewhere has them.

A relative path, ``LTVM_RESULTS`` or a directory of ``--config-dir`` then mean the same there.
Nothing is copied: the directories have to be shared.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from ltvm.errors import InputError

SETTINGS = ("LTVM_", "HYDRA_", "XDG_CACHE_HOME", "TORCH_HOME", "PYTHONPATH")  # prefixes
WAITING = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_")  # too late where torch is imported
PATHS = (
    "LTVM_RESULTS", "LTVM_REPORTS", "LTVM_DATA_ROOT", "LTVM_CACHE_DIR", "LTVM_CONFIG_DIRS",
    "XDG_CACHE_HOME", "TORCH_HOME", "PYTHONPATH",
)  # fmt: skip


def this_process() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()


@dataclass(frozen=True)
class Place:
    """``settings`` are environment variables, their paths made absolute."""

    directory: str
    settings: dict[str, str]
    process: tuple[str, int]

    @classmethod
    def here(cls) -> Place:
        settings = {
            name: absolute(value) if name in PATHS else value
            for name, value in os.environ.items()
            if name.startswith(SETTINGS)
        }
        return cls(os.getcwd(), settings, this_process())  # noqa: PTH109

    def at_start(self, threads: int | None) -> dict[str, str]:
        """The environment that a new process is to start with, to compute with these threads.

        None: as many as the process that launches was told, or as there are cores.
        """
        waiting = {k: v for k, v in os.environ.items() if k.startswith(WAITING)}
        if threads is not None:
            waiting |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        return self.settings | waiting

    def take(self) -> bool:
        """Go there: what this process had of these settings before is forgotten.

        In the very process nothing is done, and it returns False. Raises :class:`InputError` where
        the directory is not on this machine.
        """
        if self.process == this_process():
            return False
        try:
            os.chdir(self.directory)
        except OSError as error:
            raise InputError(
                f"{self.directory}: not on {socket.gethostname()}, where a run was sent; "
                "allowed: a directory that all machines share"
            ) from error
        for name in [name for name in os.environ if name.startswith(SETTINGS)]:
            del os.environ[name]
        os.environ.update(self.settings)
        modules = self.settings.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [folder for folder in modules if folder and folder not in sys.path]
        return True


def absolute(paths: str) -> str:
    """A path, or several with colons between them; a home directory is left to who reads it."""
    return os.pathsep.join(
        path if path.startswith("~") else str(Path(path).absolute())
        for path in paths.split(os.pathsep)
        if path
    )
