"""``--json``: what a command found, for programs: JSON alone on stdout, every word on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from ltvm.runtime.processes import rank

NONE_GIVEN = object()  # an answer, before a command has one


def machine() -> argparse.ArgumentParser:
    """Of commands that a script may want an answer of."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--json", action="store_true", help="JSON alone on stdout, messages on stderr"
    )
    options.set_defaults(answer=NONE_GIVEN)
    return options


def told(options: argparse.Namespace, content: Any) -> bool:
    """Whether a program asked; then ``content`` is the answer, printed when the command is over."""
    if options.json:
        options.answer = content
    return bool(options.json)


@contextmanager
def answering(options: argparse.Namespace) -> Iterator[None]:
    """What is printed meanwhile goes to stderr, where a program asked; then its answer to stdout.

    Without an answer, as after an error, nothing does; what was done before one is an answer, too.
    Of several processes the first one answers.
    """
    if not getattr(options, "json", False) or not hasattr(options, "answer"):
        yield
        return
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if options.answer is not NONE_GIVEN and rank() == 0:
            print(json.dumps(options.answer, indent=2, allow_nan=False, default=plain))


def plain(value: Any) -> Any:
    """What JSON does not have: paths, and numbers of numpy."""
    if isinstance(value, Path):
        return str(value)
    return value.item()
