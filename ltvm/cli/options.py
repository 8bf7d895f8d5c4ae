"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Add = Callable[..., argparse.ArgumentParser]  # (name, help, *parents) -> a command's parser

OVERRIDES: dict[str, Any] = {
    "nargs": "*", "metavar": "KEY=VALUE", "help": "Hydra overrides; see below",
}  # fmt: skip


def common() -> argparse.ArgumentParser:
    """Of every command."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--debug", action="store_true", help="show tracebacks")
    options.add_argument(
        "--config-dir",
        metavar="DIR",
        action="append",
        default=[],
        help="a directory with YAML groups (method/, data/, ...) and Python modules of your own, "
        "which makes its code importable: one that you trust",
    )
    return options


def restarted() -> argparse.ArgumentParser:
    """Of commands that train."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--restart",
        action="store_true",
        help="discard the checkpoints of runs that are not done: they begin again",
    )
    return options


def places() -> argparse.ArgumentParser:
    """Of commands that read records."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--results", default=os.environ.get("LTVM_RESULTS", "results"), help="records (%(default)s)"
    )
    return options


def shown() -> argparse.ArgumentParser:
    """Of commands that write reports."""
    options = argparse.ArgumentParser(add_help=False, parents=[interval()])
    options.add_argument(
        "--allow-mixed",
        action="store_true",
        help="mark numbers of different provenance in one column in place of refusing them",
    )
    return options


def interval() -> argparse.ArgumentParser:
    """Of commands that show means over seeds."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--interval",
        choices=("t", "bootstrap"),
        default="t",
        help="over seeds: Student's t, or a seeded bootstrap for many seeds (%(default)s)",
    )
    return options


def trusting() -> argparse.ArgumentParser:
    """Of commands that follow the configurations of runs."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--trust",
        action="store_true",
        help="follow any part that a run's configuration names, and so execute it",
    )
    return options


@contextmanager
def as_trusted(options: argparse.Namespace) -> Iterator[None]:
    """While the command runs, and to the processes that it starts: what ``--trust`` allows."""
    before = os.environ.get("LTVM_TRUST")
    if getattr(options, "trust", False):
        os.environ["LTVM_TRUST"] = "1"
    try:
        yield
    finally:
        os.environ.pop("LTVM_TRUST", None)
        if before is not None:
            os.environ["LTVM_TRUST"] = before


def runs_and_overrides(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Folders, whose names may have ``=`` (``seed=0``), and overrides among words of a command.

    A word that is the name of a folder here is one.

    >>> runs_and_overrides(["runs/seed=0", "sampler=gmm"])
    (['runs/seed=0'], ['sampler=gmm'])
    """
    overrides = [
        word
        for word in words
        if "=" in word and "/" not in word.split("=")[0] and not Path(word).is_dir()
    ]
    return [word for word in words if word not in overrides], overrides
