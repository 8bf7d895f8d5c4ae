"""How files of runs are read: each as it is, or by way of the index of a results directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ltvm.runtime.files import parse_json

# libyaml recurses in C, where a stranger's text of brackets alone would end the process.
SHORT = 10_000  # characters, and so levels
SEED = re.compile(r"^seed: (\d{1,18})$", re.MULTILINE)


class Files:
    """Reads files as they are; raises ``OSError``, ``ValueError`` or ``yaml.YAMLError``."""

    def json(self, path: Path) -> Any:
        return parse_json(path.read_bytes())

    def yaml(self, path: Path) -> Any:
        return parsed_yaml(path.read_text())


DISK = Files()


def parsed_yaml(text: str) -> Any:
    """YAML without any object of Python's; ``ValueError`` where it is nested too deeply."""
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, fast if len(text) <= SHORT else yaml.SafeLoader)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def without_seed(text: str) -> tuple[str, int] | None:
    """A configuration's text but for its seed, and that; None where it is not written as ours.

    The configurations of a cell differ in this line alone, so that one of them is parsed for all.
    """
    found = SEED.findall(text)
    return (SEED.sub("seed:", text), int(found[0])) if len(found) == 1 else None
