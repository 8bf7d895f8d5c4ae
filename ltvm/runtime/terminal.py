"""What a terminal is shown: words of stored files, of anybody, command no terminal.

    ESC [ 2 J  is printed as  \\x1b[2J

Whatever is printed while ``visible_output`` lasts is made visible, by whomever it is printed.
Tables and bars, whose own colours are commands, go by a ``console``: there the words alone are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.console import Console
from rich.text import Text

# Control characters but for tab and new line, and what turns the direction of writing.
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""The text with its control characters written out.

    >>> visible("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class VisibleStream:
    """A stream that shows control characters in place of sending them; else as ``raw``."""

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        self.raw.write(visible(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.raw.writelines(map(visible, lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextmanager
def visible_output() -> Iterator[None]:
    """Show control characters in what is printed to stdout and stderr."""
    before = sys.stdout, sys.stderr
    out, err = (cast(TextIO, VisibleStream(stream)) for stream in before)
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        if sys.stdout is out:
            sys.stdout = before[0]
        if sys.stderr is err:
            sys.stderr = before[1]


class WordsConsole(Console):
    """One of rich's whose commands are its own: of words it is given none is sent, or is markup."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


def console(stderr: bool = False, **options: Any) -> Console:
    """A console that writes to stdout or stderr as they are below ``visible_output``."""
    stream: Any = sys.stderr if stderr else sys.stdout
    while isinstance(stream, VisibleStream):
        stream = stream.raw
    return WordsConsole(file=stream, markup=False, emoji=False, **options)
