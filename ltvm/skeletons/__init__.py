"""``ltvm new-method``: a method that works, for its author to change."""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

from ltvm.config import choices
from ltvm.errors import InputError, require
from ltvm.runs.files.store import check_writable
from ltvm.runtime.files import write_text

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
FILES = ("method.py", "method.yaml", "test.py")  # as ``<file>.txt`` beside this module


def new_method(name: str, folder: Path | None) -> list[Path]:
    """Write a method's code, configuration and test; returns the three files.

    They go to ``folder``, which ``--config-dir`` then takes, or (None) into the checkout that this
    package is run from. Raises :class:`ltvm.errors.InputError` for a name that is no module's or
    is taken, or where a file is there already: nothing is then written.
    """
    sound = NAME.fullmatch(name) is not None and not keyword.iskeyword(name)
    require(sound, "NAME", name, "a module's name in small letters, such as my_method")
    require(name not in choices("method"), "NAME", name, "a name that no method has")
    free = importlib.util.find_spec(name) is None  # which would be found in its place
    require(free, "NAME", name, "a name that no installed module has")
    usable = folder is None or not folder.exists() or folder.is_dir()
    require(usable, "--to", folder, "a directory")
    if folder is not None:
        check_writable("--to", folder)
    inside = folder is None
    places = inside_places(name) if folder is None else outside_places(name, folder)
    taken = [place for place in places if place.exists()]
    if taken:
        raise InputError(f"new-method {name}: {taken[0]} is there; allowed: another name or folder")
    values = {
        "name": name,
        "label": name.replace("_", " "),
        "class": "".join(part.capitalize() for part in name.split("_")),
        "target": f"ltvm.methods.{name}" if inside else name,
    }
    for file, place in zip(FILES, places, strict=True):
        write_text(place, skeleton(file, values, inside))
    return places


def skeleton(file: str, values: Mapping[str, str], inside: bool = False) -> str:
    """The text of one of ``FILES``; within the package a test needs no directory added."""
    text = resources.files(__name__).joinpath(f"{file}.txt").read_text("utf-8")
    if inside:
        text = re.sub(r"(?ms)^# outside the package\n.*?^# end\n+", "", text)
    text = re.sub(r"(?m)^# (outside the package|end)\n", "", text)
    return Template(text).substitute(values)


def outside_places(name: str, folder: Path) -> list[Path]:
    return [folder / f"{name}.py", folder / "method" / f"{name}.yaml", folder / f"test_{name}.py"]


def inside_places(name: str) -> list[Path]:
    root = Path(__file__).resolve().parents[2]
    if not (root / "ablations").is_dir() or not (root / "tests" / "methods").is_dir():
        raise InputError(f"--inside: {root} is no checkout of ltvm; allowed: --to DIR")
    return [
        root / "ltvm" / "methods" / f"{name}.py",
        root / "ablations" / "method" / f"{name}.yaml",
        root / "tests" / "methods" / f"test_{name}.py",
    ]
