"""Command lines as records and pages state them: whole, so that pasting one repeats it.

What is below ``--config-dir`` is no part of an installation, so a command names these directories,
too: as seen from where it was given, or from home, so that a page names no place of one machine.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ltvm.runtime.config_dirs import config_dirs

OPTION = "--config-dir"


def command_line(*words: str) -> str:
    """``ltvm`` with these words and the directories given to this process, as a shell takes it."""
    given = reversed(config_dirs())  # of two that define a choice the later one counts
    return written(*words, *(word for one in given for word in (OPTION, as_seen_from_here(one))))


def written(*words: str) -> str:
    """``ltvm`` with these words alone."""
    return shlex.join(["ltvm", *words])


def overrides_in(command: str) -> list[str]:
    """The overrides of ``ltvm train`` in a command line.

    >>> overrides_in("ltvm train method=mine 'method.size=[1,2]' --config-dir mine")
    ['method=mine', 'method.size=[1,2]']

    Raises ``ValueError`` where a quote is not closed.
    """
    return split(command)[0]


def directories_in(command: str) -> list[str]:
    """What follows them: the directories, each after its ``--config-dir``."""
    return split(command)[1]


def command_with(command: str, override: str) -> str:
    """The command with this override in the place of another of its key, else as its last one.

    >>> command_with("ltvm ablate ablation=a --config-dir mine", "ablation.seeds=[0,1]")
    "ltvm ablate ablation=a 'ablation.seeds=[0,1]' --config-dir mine"
    """
    words, key = shlex.split(command), override.split("=")[0] + "="
    for place, word in enumerate(words):
        if word.startswith(key):
            return shlex.join([*words[:place], override, *words[place + 1 :]])
    end = next((n for n, word in enumerate(words) if word.startswith("--")), len(words))
    return shlex.join([*words[:end], override, *words[end:]])


def split(command: str) -> tuple[list[str], list[str]]:
    words = shlex.split(command)[2:]
    end = words.index(OPTION) if OPTION in words else len(words)
    return words[:end], words[end:]


def as_seen_from_here(folder: str) -> str:
    """A directory below the working one or home, by its way from there; any other by its path."""
    for base, before in bases():
        if Path(folder).is_relative_to(base):
            return str(before / Path(folder).relative_to(base))
    return folder


def bases() -> Iterator[tuple[Path, Path]]:
    """Where paths start from -> how that is written; without links, as directories are given."""
    yield Path.cwd(), Path()
    with suppress(RuntimeError):  # nobody's home
        yield Path.home().resolve(), Path("~")
