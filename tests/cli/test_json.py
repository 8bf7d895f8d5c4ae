"""``--json``: one answer on stdout, words on stderr, exit codes as ever."""

import json
import shutil
from pathlib import Path

import pytest

from ltvm.cli import machine
from ltvm.cli.main import COMMANDS, main, parser

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
ANSWERING = {
    "effects", "images", "paper-tables", "pictures", "repeat",
    "train", "ablate", "compare", "tune", "report", "leaderboard", "status", "evaluate",
    "metric-parity", "export", "import", "new-method", "check", "doctor", "cache", "gc",
}  # fmt: skip


def answer(capsys, *arguments, code=0):
    assert main([*map(str, arguments), "--json"]) == code
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def test_commands_answer_programs_by_one_convention():
    subparsers = parser()._subparsers._group_actions[0].choices
    taking = {name for name in COMMANDS if "--json" in subparsers[name]._option_string_actions}
    assert taking >= ANSWERING
    for name in taking:
        assert subparsers[name].get_default("answer") is not None, "by cli/machine.py"


def test_previews_and_small_answers(capsys, tmp_path):
    found, words = answer(capsys, "ablate", "ablation=ot", "--list")
    assert len(found["runs"]) == 15
    assert {"cell", "seed", "label", "status", "path", "command"} == set(found["runs"][0])
    assert words == ""
    assert answer(capsys, "cache")[0]["bytes"] >= 0
    files = answer(capsys, "new-method", "toy", "--to", tmp_path / "mine")[0]["files"]
    assert all(Path(file).is_file() for file in files)
    results = tmp_path / "results"
    shutil.copytree(REFERENCE, results, ignore=shutil.ignore_patterns("bench", "runs"))
    found, _ = answer(capsys, "gc", "--results", results)
    assert (found["removed"], found["bytes"], found["held"]) == (False, 0, [])
    found, _ = answer(capsys, "export", "learning-mnist5k", "--results", REFERENCE, "--to",
                      tmp_path / "x.tar.gz")  # fmt: skip
    assert found["bytes"] == (tmp_path / "x.tar.gz").stat().st_size
    found, words = answer(capsys, "import", tmp_path / "x.tar.gz", "--results", tmp_path / "other")
    assert found["runs"] == {"added": 12}
    assert "runs: 12 added" in words
    assert found["conflicts"] == []


def test_after_an_error_stdout_is_empty(capsys, tmp_path):
    assert main(["export", "nothing", "--to", str(tmp_path / "x"), "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("ltvm: error: ")


def test_stray_words_do_not_spoil_the_answer(capsys, monkeypatch):
    def chatty():
        print("a library speaks")
        return 7

    monkeypatch.setattr("ltvm.metrics.features.cache.cache_size", chatty)
    found, words = answer(capsys, "cache")
    assert found == {"bytes": 7}
    assert "a library speaks" in words
    monkeypatch.setattr(machine, "rank", lambda: 1)  # of several processes the first answers
    assert main(["cache", "--json"]) == 0
    assert capsys.readouterr().out == ""


def test_values_that_json_has_not(tmp_path):
    numpy = pytest.importorskip("numpy")
    assert machine.plain(tmp_path) == str(tmp_path)
    assert machine.plain(numpy.float64(2.5)) == 2.5
