"""Which code, versions and machine made a record."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path

PACKAGES = (
    "ltvm", "torch", "torchvision", "numpy", "scipy", "pot", "torchmetrics", "torch-fidelity",
    "hydra-core",
)  # fmt: skip


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@cache
def versions() -> dict[str, str]:
    """Python's version and those of the packages that touch the numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@cache
def commit() -> str | None:
    """The commit of the checkout this package runs from, ``+changes`` if it was edited.

    None for an installed wheel or where git is absent.
    """
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "ltvm", "ablations")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
