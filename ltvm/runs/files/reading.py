"""How files of runs are read: each as it is, or by way of the index of a results directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ltvm.runs.files.content import Sort
from ltvm.runtime.files import read_json, read_yaml

SEED = re.compile(rb"^seed: (\d{1,18})\r?$", re.MULTILINE)


class Files:
    """Reads files as they are; raises ``OSError``, or ``ValueError`` for what is damaged."""

    def json(self, path: Path, sort: Sort | None = None) -> Any:
        """What a JSON file says, which is damaged if it is none of this sort."""
        content = read_json(path)
        if sort is not None:
            sort.check(content)
        return content

    def yaml(self, path: Path) -> Any:
        return read_yaml(path)

    def look_again(self) -> None:
        """What was read counts no more."""


DISK = Files()


def without_seed(text: bytes) -> tuple[bytes, int] | None:
    """A configuration's text but for its seed, and that; None where it is not written as ours.

    The configurations of a cell differ in this line alone, so that one of them is parsed for all.
    """
    found = SEED.findall(text)
    return (SEED.sub(b"seed:", text), int(found[0])) if len(found) == 1 else None
