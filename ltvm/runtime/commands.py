"""Command lines as records and pages state them: whole, so that pasting one repeats it.

What is below ``--config-dir`` is no part of an installation, so a command names these directories,
too: as seen from where it was given, or from home, so that a page names no place of one machine.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from ltvm.runtime.config_dirs import config_dirs

OPTION = "--config-dir"


def command_line(*words: str) -> str:
    """``ltvm`` with these words and the directories given to this process, as a shell takes it."""
    named = [word for folder in config_dirs() for word in (OPTION, as_seen_from_here(folder))]
    return shlex.join(["ltvm", *words, *named])


def overrides_in(command: str) -> list[str]:
    """The overrides of ``ltvm train`` in a command line: what has no dashes.

    >>> overrides_in("ltvm train method=mine 'method.size=[1,2]' --config-dir mine")
    ['method=mine', 'method.size=[1,2]']

    Raises ``ValueError`` where a quote is not closed.
    """
    words = shlex.split(command)[2:]
    return words[: words.index(OPTION)] if OPTION in words else words


def as_seen_from_here(folder: str) -> str:
    """A directory below the working one or home, by its way from there; any other by its path."""
    for base, before in ((Path.cwd(), Path()), (Path.home(), Path("~"))):
        if Path(folder).is_relative_to(base):
            return str(before / Path(folder).relative_to(base))
    return folder
