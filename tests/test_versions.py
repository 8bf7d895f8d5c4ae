"""The versions that pyproject.toml admits are the ones that the two files of constraints pin."""

import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
ALL = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = ALL["project"]


def pins(file):
    """{package: its version}; a line that is no exact pin is refused."""
    found = {}
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        if text := line.partition("#")[0].strip():
            pinned = Requirement(text)
            (only,) = pinned.specifier
            assert only.operator == "==", line
            assert pinned.url is None, line
            name = canonicalize_name(pinned.name)
            assert name not in found, line
            found[name] = Version(only.version)
    return found


def declared():
    """What pyproject.toml asks for: to build, to run, and for every extra."""
    extras = PROJECT["optional-dependencies"].values()
    lines = [*ALL["build-system"]["requires"], *PROJECT["dependencies"], *chain(*extras)]
    return [Requirement(line) for line in lines]


def oldest(requirement):
    """The lower bound of a requirement; None where it has none."""
    bounds = [only.version for only in requirement.specifier if only.operator in (">=", "==")]
    return max(map(Version, bounds), default=None)


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_the_oldest_version_admitted_is_the_one_that_is_tested(requirement):
    assert pins("constraints-oldest.txt").get(canonicalize_name(requirement.name)) == oldest(
        requirement
    )


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_the_version_of_every_day_is_one_that_is_admitted(requirement):
    version = pins("constraints.txt")[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version), version


def test_the_python_versions_named_begin_with_the_oldest_that_is_asked_for():
    start = "Programming Language :: Python :: "
    named = [line.removeprefix(start) for line in PROJECT["classifiers"] if start in line]
    assert PROJECT["requires-python"] == f">={min(named, key=Version)}"
