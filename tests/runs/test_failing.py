"""A method of the user's own that fails: where in it, and how to see more."""

import json
import os
import sys
from pathlib import Path

import pytest
from small_networks import SMALL

from ltvm.cli.main import main

TINY = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", "evaluation=none",
    *SMALL,
]  # fmt: skip
METHOD = """from ltvm.methods import VariationalAutoEncoder


class Broken(VariationalAutoEncoder):
    def learn(self, visit):
        return helped(visit)


def helped(visit):
    raise RuntimeError("boom")
"""


@pytest.fixture
def broken(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    (tmp_path / "method").mkdir()
    (tmp_path / "broken.py").write_text(METHOD)
    text = "defaults: [vae]\n_target_: broken.Broken\nname: broken\n"
    (tmp_path / "method" / "broken.yaml").write_text(text)
    return ["train", "method=broken", *TINY, "--config-dir", str(tmp_path)]


def test_a_failure_says_which_line_of_ones_own_code(broken, capsys):
    assert main(broken) == 1
    printed = capsys.readouterr()
    assert "reason                   RuntimeError: boom (broken.py:10)" in printed.out
    assert "Traceback" not in printed.err
    folder = Path(printed.out.splitlines()[-1].split()[-1])
    assert json.loads((folder / "record.json").read_text())["status"] == "failed"
    assert Path(os.environ["LTVM_RESULTS"]) in folder.parents


def test_with_debug_it_shows_the_traceback(broken, capsys):
    assert main([*broken, "--debug"]) == 1
    assert 'raise RuntimeError("boom")' in capsys.readouterr().err
