"""Files that appear whole or not at all: written aside, then renamed.

Those whose numbers count are sealed: their last entry is a checksum of all that stands before it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

import yaml

# libyaml recurses in C, where a stranger's text of brackets alone would end the process.
SHORT = 10_000  # bytes, and so levels
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
    write_text(path, sealed(content))


def sealed(content: dict[str, Any]) -> str:
    """An object as JSON with a checksum as its last entry."""
    text = json.dumps(content, indent=2, allow_nan=False).removesuffix("\n}")
    return f'{text}{SEAL}{hashlib.sha256(text.encode()).hexdigest()}"\n}}\n'


def is_sealed(path: Path) -> bool:
    """Whether a JSON file ends with a checksum; that it holds is seen where the file is read."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(SEAL) - 80))
        return SEAL.encode() in file.read(len(SEAL) + 80)


MOST = 256 * 2**20  # bytes of a text file that is read whole
MOST_NODES = 200_000  # of a YAML file, repeated ones counted as often as they are repeated
DEEPEST = 50  # levels of one


def read_regular(path: Path) -> bytes:
    """The content of a regular file: ``ValueError`` for a pipe, which would wait, a device, or more
    than ``MOST`` bytes.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise ValueError("no regular file")
    if state.st_size > MOST:
        raise ValueError(f"{state.st_size} bytes, more than {MOST}")
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """What a file says, without its checksum; raises ``OSError``, or ``ValueError`` if damaged."""
    return parse_json(read_regular(path))


def parse_json(text: bytes) -> Any:
    """JSON, held against its checksum where it has one; ``ValueError`` if it is damaged.

    NaN and infinities are no numbers.
    """
    try:
        content = json.loads(text, parse_constant=refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if isinstance(content, dict) and "checksum" in content:
        before = text.rpartition(SEAL.encode())[0]
        if content.pop("checksum") != hashlib.sha256(before).hexdigest():
            raise ValueError("its checksum is another: damaged, or changed by hand")
    return content


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def read_yaml(path: Path) -> Any:
    """A YAML file of plain values; ``ValueError`` for what is none, or grows by its aliases."""
    return parse_yaml(read_regular(path))


def parse_yaml(text: bytes) -> Any:
    """The same of what a file says."""
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(text, fast if len(text) <= SHORT else yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    left, nodes = [(content, 0)], 0
    while left:
        node, depth = left.pop()
        nodes += 1
        if nodes > MOST_NODES or depth > DEEPEST:
            raise ValueError("nested too deeply, or too many values")
        values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        left += [(value, depth + 1) for value in values]
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
