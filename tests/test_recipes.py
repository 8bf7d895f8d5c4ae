"""CONTRIBUTING.md's recipes (and the README's toy method) work as they stand."""

import re
import shlex
from pathlib import Path

import pytest

from ltvm.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def sections(document):
    """heading -> [(language, text)] for the headings that have runnable blocks."""
    found = {}
    for part in re.split(r"^##+ ", (ROOT / document).read_text(), flags=re.MULTILINE):
        blocks = BLOCK.findall(part)
        if any(text.startswith("# file: ") for _, text in blocks):
            found[part.splitlines()[0]] = blocks
    return found


RECIPES = [
    (document, heading)
    for document in ("CONTRIBUTING.md", "README.md")
    for heading in sections(document)
]


def test_there_is_a_recipe_for_each_kind_of_thing():
    headings = " ".join(heading for _, heading in RECIPES)
    for kind in ("method", "data set", "metric", "ablation"):
        assert kind in headings


@pytest.mark.parametrize(("document", "heading"), RECIPES)
def test_recipe(document, heading, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    commands = []
    for _, text in sections(document)[heading]:
        if text.startswith("# file: "):
            name, content = text.removeprefix("# file: ").split("\n", 1)
            path = tmp_path / name.strip()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        else:
            commands += re.findall(r"^\$ (ltvm .*)$", text, flags=re.MULTILINE)
    assert commands
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, command + "\n" + capsys.readouterr().err
