"""Command lines of records and pages can be pasted, with parts of the user's own, too."""

import json
import os
import shlex
from pathlib import Path

import pytest
from small_networks import SMALL

from ltvm.cli.main import main
from ltvm.config import CONFIG_DIRS_VARIABLE
from ltvm.runtime.commands import command_line, overrides_in

TINY = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", "evaluation=none",
    *SMALL,
]  # fmt: skip


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Sets the directories that were given; working directory and home are in ``tmp_path``."""
    here, home = tmp_path / "here", tmp_path / "home"
    for folder in (here, home):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))

    def give(*folders):
        monkeypatch.setenv(CONFIG_DIRS_VARIABLE, os.pathsep.join(map(str, folders)))

    give()
    return give


def test_without_directories_a_command_is_its_words(given):
    assert command_line("train", "method=vae", "ablation.seeds=[0, 1]") == (
        "ltvm train method=vae 'ablation.seeds=[0, 1]'"
    )


def test_directories_are_named_as_seen_from_here_or_home(given, tmp_path):
    given(tmp_path / "here" / "mine", tmp_path / "home" / "more", tmp_path / "far")
    words = ["ltvm", "train", "--config-dir", "mine", "--config-dir", "~/more"]
    assert shlex.split(command_line("train")) == [*words, "--config-dir", str(tmp_path / "far")]


@pytest.mark.parametrize("overrides", [[], ["method=mine", "ablation.seeds=[0, 1]", "a.b='c d'"]])
def test_overrides_are_found_again(given, tmp_path, overrides):
    for folders in ([], [tmp_path / "here" / "mine", tmp_path / "far"]):
        given(*folders)
        assert overrides_in(command_line("train", *overrides)) == overrides


def test_the_command_of_a_record_does_the_same_run_in_a_fresh_shell(given, tmp_path, capsys):
    method = tmp_path / "here" / "mine" / "method"
    method.mkdir(parents=True)
    (method / "wider.yaml").write_text("defaults: [vae]\nname: wider\n")
    assert main(["train", "method=wider", *TINY, "--config-dir", "mine"]) == 0
    folder = Path(capsys.readouterr().out.splitlines()[-1].split()[-1])
    record = folder / "record.json"
    before, command = record.read_bytes(), json.loads(record.read_text())["command"]
    assert command.endswith("--config-dir mine")
    given()  # as a fresh shell
    assert main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(str(folder))
    assert record.read_bytes() == before
    given(tmp_path / "here" / "mine")
    assert main(["evaluate", str(folder), "evaluation=latents"]) == 0
