"""Files that appear whole or not at all: written aside, then renamed.

Those whose numbers count are sealed: their last entry is a checksum of all that stands before it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

SEAL = ',\n  "checksum": "'


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
    except OSError as error:
        raise about(error, path) from error
    finally:
        with suppress(OSError):  # of what stopped the writing, the first error is told
            aside.unlink(missing_ok=True)


def about(error: OSError, path: Path) -> OSError:
    """The error with the file that it is about: a full disk is noticed when there is no name."""
    return OSError(error.errno, error.strerror or str(error), str(path))


def write_text(path: Path, text: str) -> None:
    with writing(path) as file:
        file.write(text.encode())


def remove_aside(path: Path) -> None:
    """Remove what killed writers of ``path`` left beside it; for who alone may write it now."""
    for aside in asides(path):
        aside.unlink(missing_ok=True)


def asides(path: Path) -> Iterator[Path]:
    """What is being written to take the place of ``path``, or was by the dead."""
    return path.parent.glob(f".{path.name}.*.tmp")


def remove_all_aside(folder: Path) -> None:
    """The same for every file in a folder and below."""
    for aside in folder.rglob(".*.tmp"):
        aside.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Indented JSON; NaN and infinities are refused: a number that is not one is an error."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_sealed_json(path: Path, content: dict[str, Any]) -> None:
    """The same of an object, with a checksum as its last entry."""
    text = json.dumps(content, indent=2, allow_nan=False).removesuffix("\n}")
    write_text(path, f'{text}{SEAL}{hashlib.sha256(text.encode()).hexdigest()}"\n}}\n')


def read_json(path: Path) -> Any:
    """What a file says, without its checksum; raises ``OSError``, or ``ValueError`` if damaged."""
    return parse_json(path.read_bytes())


def parse_json(text: bytes) -> Any:
    """JSON, held against its checksum where it has one; ``ValueError`` if it is damaged."""
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if isinstance(content, dict) and "checksum" in content:
        before = text.rpartition(SEAL.encode())[0]
        if content.pop("checksum") != hashlib.sha256(before).hexdigest():
            raise ValueError("its checksum is another: damaged, or changed by hand")
    return content


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
