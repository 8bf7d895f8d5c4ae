"""Weight files of feature extractors: a number is only as good as the file behind it."""

from __future__ import annotations

from pathlib import Path

from ltvm.errors import InputError
from ltvm.runtime.files import sha256_of


def verify(path: Path, checksum: str, remedy: str = "Copy it again, whole") -> None:
    """Raise :class:`InputError` unless ``path`` exists and has this SHA-256; it says the remedy.

    The file is left where it is: a truncated download may be worth a look.
    """
    if not path.is_file():
        raise InputError(f"extractor weights: no file {path}")
    found = sha256_of(path)
    if found != checksum:
        raise InputError(
            f"extractor weights: {path} has SHA-256 {found[:16]}..., allowed: {checksum[:16]}... "
            f"(truncated or another file).\n{remedy}"
        )
