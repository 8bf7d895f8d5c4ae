"""A stranger's results are data: what their files may name, and what they may not.

Stored configurations name their parts by import path (``_target_``), and importing is executing. So
of a stored configuration only parts are followed that this installation offers itself: those that
a YAML file of its groups names, or that a module in a ``--config-dir`` of the user's own defines.
"""

from __future__ import annotations

import ast
import importlib.resources
import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ltvm.config import Config, config_packages, group_files
from ltvm.errors import InputError
from ltvm.runs.places import data_place
from ltvm.runtime.config_dirs import config_dirs, make_importable, own_configuration

TRUST_VARIABLE = "LTVM_TRUST"  # 1: ``--trust``
DOWNLOADED = ("mnist", "svhn", "celeba")  # folders of images below a data root


def trusted(trust: bool) -> bool:
    return trust or os.environ.get(TRUST_VARIABLE) == "1"


def check_parts(config: Config, where: Path, trust: bool = False) -> None:
    """Raise :class:`ltvm.errors.InputError` for a part of a stored configuration not to follow.

    ``trust``, or ``LTVM_TRUST=1``, follows any.
    """
    if trusted(trust):
        return
    offered: set[str] | None = None
    for key, target in targets(config):
        offered = offered_targets() if offered is None else offered
        if target not in offered and not defined_in_config_dirs(target):
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
    packages = [Path(str(importlib.resources.files(package))) for package in config_packages()]
    files = [file for root in (own_configuration(), *packages) for file in root.rglob("*.yaml")]
    files += [file for folder in config_dirs() for file in group_files(Path(folder))]
    for file in files:
        found |= set(re.findall(r"_target_:\s*['\"]?([\w.]+)", file.read_text()))
    return found


def defined_in_config_dirs(target: str) -> bool:
    """Whether an import path names a class or function that a module of the user's own defines.

    What such a module has imported is not its own: ``mine.os.system`` is no part. Nor is a module
    of that name that is installed, which comes first.
    """
    module, _, name = target.rpartition(".")
    make_importable()
    for folder in map(Path, config_dirs()):
        base = folder.joinpath(*module.split("."))
        file = next(
            (f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()), None
        )
        if file is None or not is_found_in(module.split(".")[0], folder):
            continue
        if name in definitions(file):
            return True
    return False


def definitions(file: Path) -> set[str]:
    """The classes and functions that a module's file defines; none of one that is no Python."""
    try:
        body = ast.parse(file.read_text(), str(file)).body
    except (OSError, ValueError, SyntaxError):
        return set()
    return {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def is_found_in(top: str, folder: Path) -> bool:
    """Whether importing ``top`` takes it from below a folder."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    return any(Path(str(place)).resolve().is_relative_to(folder.resolve()) for place in places)


def check_command(words: Sequence[str], where: Path) -> None:
    """Raise :class:`ltvm.errors.InputError` for words of a stored command that are no plain values.

    Resolvers read what is around (``${oc.env:HOME}``), and Hydra's own keys where to search.
    """
    for word in words:
        hydras = word.lstrip("+~").startswith(("hydra.", "hydra/", "--"))
        if hydras or re.search(r"\$\{[^}]*:", word):
            raise InputError(f"{where}: its command has {word}; allowed: plain values")


def check_data_root(config: Config, where: Path, trust: bool = False) -> None:
    """Raise :class:`ltvm.errors.InputError` for images that would be downloaded to a place that a
    stored configuration chose.

    What a loader from outside this package does with a ``root`` is its own.
    """
    load = config["data"]["load"]
    root = load.get("root")
    if root is None or trusted(trust) or not str(load["_target_"]).startswith("ltvm."):
        return
    own = data_place()
    place = Path(str(root)).expanduser()
    here = any((place / name).is_dir() for name in DOWNLOADED)
    if not here and place != Path(own).expanduser():
        raise InputError(
            f"{where}: data.load.root={root}: no images there; allowed: LTVM_DATA_ROOT, or a "
            f"directory that has one of {', '.join(DOWNLOADED)}"
        )


def check_no_link(run: Path) -> None:
    """Raise :class:`ltvm.errors.InputError` for a run's folder that leads out of its results.

    By a link, of its own or of a folder above it; ``evaluations`` in it counts as well.
    """
    in_results = len(run.parents) > 4 and run.parents[3].name == "runs"
    inside = run.parents[4].resolve() if in_results else run.parent.resolve() / run.name
    for folder in (run, run / "evaluations"):
        check_stays(folder, inside)


def check_stays(folder: Path, inside: Path) -> None:
    """Raise :class:`ltvm.errors.InputError` for one that a link takes out of ``inside``."""
    try:
        stays = folder.resolve().is_relative_to(inside)
    except (OSError, RuntimeError):  # a link to itself
        stays = False
    if not stays:
        raise InputError(f"{folder}: a link that leads elsewhere; allowed: a folder")


def is_own(file: Path, run: Path) -> bool:
    """Whether a run's file is a regular one, and no link to what is not the run's."""
    return file.is_file() and file.resolve().is_relative_to(run.resolve())


def check_name(key: str, name: object) -> None:
    """Raise :class:`ltvm.errors.InputError` unless a name can be that of one file or folder."""
    sound = (
        isinstance(name, str)
        and 0 < len(name.encode(errors="replace")) <= 200
        and not name.startswith((".", "~"))
        and not re.search(r"[/\\\x00-\x1f\x7f\ud800-\udfff]", name)
    )
    if not sound:
        raise InputError(
            f"{key}={name}: allowed: 1 to 200 bytes without slashes or control characters, not "
            "beginning with a dot or ~"
        )


def check_inside(where: Path, path: object) -> None:
    """Raise :class:`ltvm.errors.InputError` unless a listed path stays below its directory."""
    parts = str(path).replace(os.sep, "/").split("/")  # no ``Path``: of a manifest with thousands
    if parts[0] != "runs" or ".." in parts:
        raise InputError(f"{where}: lists {path}; allowed: paths below runs/")
