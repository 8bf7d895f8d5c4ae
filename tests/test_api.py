"""What ``import ltvm`` offers."""

import inspect
import re
from pathlib import Path

import pytest

import ltvm
from ltvm import api, plugin
from ltvm.api import doing, pages, trained

HELPERS = {"train_resolved", "external_entries"}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"


def test_every_function_is_exported_and_documented():
    own = {
        name
        for module in (doing, pages, trained)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    } - HELPERS
    assert {"compare", "write_images"} < own
    assert set(api.__all__) == own
    assert set(ltvm.__all__) == own | {"DivergedError", "InputError"}
    assert all(hasattr(ltvm, name) for name in ltvm.__all__)
    listed = PAGE.read_text().partition("members:")[2].partition("##")[0]
    assert set(re.findall(r"- (\w+)", listed)) == own


def test_what_parts_are_made_from_is_in_one_place_and_documented():
    assert sorted(plugin.__all__) == plugin.__all__
    for name in plugin.__all__:
        part = getattr(plugin, name)
        assert inspect.getdoc(part), name
        assert f"``{name}``" in plugin.__doc__, name


@pytest.mark.parametrize("file", ["CONTRIBUTING.md", "ltvm/skeletons/method.py.txt"])
def test_recipes_import_from_there_alone(file):
    text = (PAGE.parents[1] / file).read_text()
    modules = set(re.findall(r"^from (ltvm[\w.]*) import", text, re.MULTILINE))
    assert modules <= {"ltvm.plugin", "ltvm.testing"}
    assert "ltvm.plugin" in modules
