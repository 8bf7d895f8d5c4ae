"""Files that appear whole or not at all: written aside, then renamed."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def writing(path: Path, kept_as: Path | None = None) -> Iterator[IO[bytes]]:
    """Open a binary file that takes its place at ``path`` when the block ends without error.

    What was there is gone, or ``kept_as`` that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")  # unique on every host
    try:
        with aside.open("wb") as file:
            yield file
        if kept_as is not None and path.exists():
            path.replace(kept_as)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with writing(path) as file:
        file.write(text.encode())


def write_json(path: Path, content: Any) -> None:
    """Indented JSON; NaN and infinities are refused: a number that is not one is an error."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that nothing reads it; returns where it is now."""
    number, aside = 1, path.with_name(f"{path.name}.unreadable")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.unreadable{number}")
    path.rename(aside)
    return aside


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
