"""The recipes of CONTRIBUTING.md and the tutorial work as they stand."""

import hashlib
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
from small_networks import SMALL

from ltvm.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^\$ (ltvm .*)\n(?:(ltvm: .*)\n)?", re.MULTILINE)  # and the error it gives
JOINTS = (
    "method", "data set", "prior", "decoder", "kernel", "transport solver", "feature extractor",
    "sampler", "metric", "ablation",
)  # fmt: skip
FEWER = [  # images than of protocol=smoke, in which nothing of a recipe lies
    "protocol.train_images=60", "protocol.test_images=20", "protocol.batch=30",
    "protocol.evaluation.codes=60", "protocol.evaluation.unseen_images=4",
]  # fmt: skip


def sections(document):
    """heading -> [(language, text)] for the headings that have runnable blocks."""
    found = {}
    for part in re.split(r"^##+ ", (ROOT / document).read_text(), flags=re.MULTILINE):
        blocks = BLOCK.findall(part)
        if any(text.startswith("# file: ") for _, text in blocks):
            found[part.splitlines()[0]] = blocks
    return found


RECIPES = list(sections("CONTRIBUTING.md"))
TAKE_OVERRIDES = ("train", "ablate", "compare", "check", "tune", "evaluate")


def write_files(blocks, directory):
    for _, text in blocks:
        if text.startswith("# file: "):
            name, content = text.removeprefix("# file: ").split("\n", 1)
            path = directory / name.strip()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A directory far from the checkout, for modules that no other test sees."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("joint", JOINTS)
def test_there_is_a_recipe_for_every_joint(joint):
    headings = list(sections("CONTRIBUTING.md"))
    assert any(heading in (f"A {joint}", f"An {joint}") for heading in headings), headings


@pytest.mark.parametrize("heading", RECIPES)
def test_recipe(heading, outside, capsys, unrendered):
    blocks = sections("CONTRIBUTING.md")[heading]
    write_files(blocks, outside)
    follow([found for _, text in blocks for found in COMMAND.findall(text)], capsys)


def test_the_tutorial_goes_from_nothing_to_a_row(outside, capsys, unrendered):
    text = (ROOT / "docs" / "tutorial.md").read_text()
    follow(COMMAND.findall(text), capsys)
    (folder,) = Path(os.environ["LTVM_REPORTS"]).iterdir()
    assert "my method" in (folder / "headline.csv").read_text()
    assert "my method" in (folder / "README.md").read_text()


def follow(commands, capsys):
    """Each as it stands, and with the error that is shown, or on few images.

    On small networks, too, unless the command has a decoder of its own.
    """
    assert commands
    for command, error in commands:
        words = shlex.split(command)[1:]
        fewer = [] if error or words[0] not in TAKE_OVERRIDES else FEWER
        usual = fewer and not any(word.startswith("decoder") for word in words)
        code = main([*words, *fewer, *(SMALL if usual else ())])
        told = capsys.readouterr().err
        if error:
            assert code == 2, command
            assert error in told, command
        else:
            assert code == 0, command + "\n" + told


def test_the_extractor_of_the_recipe_takes_weights_by_path(outside, capsys):
    from torchvision.models import resnet18

    write_files(sections("CONTRIBUTING.md")["A feature extractor"], outside)
    torch.save(resnet18().state_dict(), "weights.pt")
    checksum = hashlib.sha256(Path("weights.pt").read_bytes()).hexdigest()
    key = "evaluation.extractor"
    given = [f"{key}={'resnet18'}", f"{key}.weights=weights.pt", f"{key}.checksum={checksum}"]
    assert main(["check", *given, f"{key}.size=32", "--config-dir", "mine"]) == 0
    assert "features are [n, dimension]" in capsys.readouterr().out
