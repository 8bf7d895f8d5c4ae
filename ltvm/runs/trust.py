"""A stranger's results are data: what their files may name, and what they may not.

Stored configurations name their parts by import path (``_target_``), and importing is executing. So
of a stored configuration only parts are followed that this installation offers itself: those that
a YAML file of its groups names, or that live in a ``--config-dir`` of the user's own.
"""

from __future__ import annotations

import importlib.resources
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ltvm.config import Config, config_dirs, config_packages
from ltvm.errors import InputError

TRUST_VARIABLE = "LTVM_TRUST"  # 1: ``--trust``


def check_parts(config: Config, where: Path, trust: bool = False) -> None:
    """Raise :class:`ltvm.errors.InputError` for a part of a stored configuration not to follow.

    ``trust``, or ``LTVM_TRUST=1``, follows any.
    """
    if trust or os.environ.get(TRUST_VARIABLE) == "1":
        return
    offered: set[str] | None = None
    for key, target in targets(config):
        if importable_from_config_dirs(target):
            continue
        offered = offered_targets() if offered is None else offered
        if target not in offered:
            raise InputError(
                f"{where}: {key}={target} is no part that this installation offers; allowed: those "
                "in its YAML groups and in --config-dir; --trust (ltvm.load: trust=True) follows "
                "any, and so executes it"
            )


def targets(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(key, import path) of every part that a configuration names."""
    if isinstance(node, dict):
        for key, value in node.items():
            here = f"{path}.{key}" if path else str(key)
            solver = here == "method.solver" and "." in str(value)
            if key == "_target_" or solver:
                yield here, str(value)
            else:
                yield from targets(value, here)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from targets(value, f"{path}[{number}]")


def offered_targets() -> set[str]:
    """What the YAML files of all configuration groups name as a part."""
    found: set[str] = set()
    packages = ["ablations", *config_packages()]
    roots = [Path(str(importlib.resources.files(package))) for package in packages]
    for root in [*roots, *map(Path, config_dirs())]:
        for file in root.rglob("*.yaml"):
            found |= set(re.findall(r"_target_:\s*['\"]?([\w.]+)", file.read_text()))
    return found


def importable_from_config_dirs(target: str) -> bool:
    """Whether the module of an import path is one of the user's own."""
    top = target.split(".")[0]
    return any((d / f"{top}.py").is_file() or (d / top).is_dir() for d in map(Path, config_dirs()))


def check_name(key: str, name: object) -> None:
    """Raise :class:`ltvm.errors.InputError` unless a name can be that of one file or folder."""
    sound = (
        isinstance(name, str)
        and 0 < len(name.encode()) <= 200
        and not name.startswith((".", "~"))
        and not re.search(r"[/\\\x00-\x1f\x7f]", name)
    )
    if not sound:
        raise InputError(
            f"{key}={name}: allowed: 1 to 200 bytes without slashes or control characters, not "
            "beginning with a dot or ~"
        )


def check_inside(where: Path, path: object) -> None:
    """Raise :class:`ltvm.errors.InputError` unless a listed path stays below its directory."""
    parts = Path(str(path)).parts
    if not parts or Path(str(path)).is_absolute() or ".." in parts or parts[0] != "runs":
        raise InputError(f"{where}: lists {path}; allowed: paths below runs/")
