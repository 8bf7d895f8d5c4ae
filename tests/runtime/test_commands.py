"""Command lines of records and pages can be pasted, with parts of the user's own, too."""

import json
import os
import shlex
import sys
from pathlib import Path

import pytest
from small_networks import SMALL

from ltvm.cli.main import main
from ltvm.config import CONFIG_DIRS_VARIABLE, add_config_dir
from ltvm.runtime.commands import command_line, directories_in, overrides_in, written
from ltvm.runtime.config_dirs import config_dirs

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
    monkeypatch.setattr("sys.path", list(sys.path))
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
    given(tmp_path / "far", tmp_path / "home" / "more", tmp_path / "here" / "mine")
    words = ["ltvm", "train", "--config-dir", "mine", "--config-dir", "~/more"]
    assert shlex.split(command_line("train")) == [*words, "--config-dir", str(tmp_path / "far")]


def test_pasted_directories_count_in_the_same_order(given, tmp_path):
    for folder in ("here/mine", "home/more", "far"):
        (tmp_path / folder).mkdir()
        add_config_dir(str(tmp_path / folder))
    counted, named = config_dirs(), shlex.split(command_line("train"))[3::2]
    given()
    for folder in named:
        add_config_dir(folder)
    assert config_dirs() == counted


def test_a_home_that_is_a_link_or_nobody_s(given, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path / "home")
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    given(tmp_path / "home" / "more")
    assert command_line("train").endswith("--config-dir '~/more'")

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert command_line("train").endswith(str(tmp_path / "home" / "more"))


@pytest.mark.parametrize("overrides", [[], ["method=mine", "ablation.seeds=[0, 1]", "a.b='c d'"]])
def test_overrides_are_found_again(given, tmp_path, overrides):
    for folders in ([], [tmp_path / "here" / "mine", tmp_path / "far"]):
        given(*folders)
        command = command_line("train", *overrides)
        assert overrides_in(command) == overrides
        assert written("train", *overrides, *directories_in(command)) == command


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
