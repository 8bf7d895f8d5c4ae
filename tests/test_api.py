"""What ``import ltvm`` offers."""

import inspect
import re
from pathlib import Path

import ltvm
from ltvm import api

HELPERS = {"split_hydra", "train_resolved", "external_entries", "comparison"}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"


def test_every_function_is_exported_and_documented():
    own = {
        name
        for name, value in vars(api).items()
        if inspect.isfunction(value) and value.__module__ == api.__name__
    } - HELPERS
    assert {"compare", "write_images"} < own
    assert set(ltvm.__all__) == own | {"DivergedError", "InputError"}
    assert all(hasattr(ltvm, name) for name in ltvm.__all__)
    listed = PAGE.read_text().partition("members:")[2].partition("##")[0]
    assert set(re.findall(r"- (\w+)", listed)) == own
