"""``ltvm status``: every run's state, how far it is and who is at it, from the store alone."""

import json
import os

import pytest

from ltvm.cli.main import main
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.ablations.manifest import write_manifest
from ltvm.runs.ablations.overview import overview
from ltvm.runs.execution.running import Running
from ltvm.runs.files.store import Run
from ltvm.runtime.files import read_json, read_regular, write_json

SWEEP = [
    "ablation=alpha", "ablation.axes={method.alpha:[0.1,0.3]}", "ablation.seeds=[0,1]",
    "protocol=smoke", "device=cpu",
]  # fmt: skip


@pytest.fixture
def results(tmp_path):
    """Of four runs one is done, one runs, one failed, one was not begun."""
    planned = plan(SWEEP, "mine")
    write_manifest(planned, tmp_path / "results")
    done, _, running, failed = planned.runs
    done.run.write_record({"status": "done", "seconds": {"inference": 90.0}})
    done.run.write_evaluation({"identity": done.evaluation, "status": "done", "seconds": 10.0})
    failed.run.write_record({"status": "failed", "reason": "out of luck"})
    running.run.write_record({"status": "running"})
    with running.run.held() as hold:
        progress = Running(running.run, hold, 6)
        progress.update(2, 0.3, "inference")
        progress.began -= 60.0
        progress.written -= 60.0
        progress.update(4, 0.6, "inference")
        yield tmp_path / "results"


def test_a_table_of_cells_by_seeds(results, capsys):
    assert main(["status", "--results", str(results)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "mine: 4 runs: 1 done, 1 pending, 1 running, 1 failed" in text
    assert "short_run_ot alpha=0.1 │ done: 100 s │ pending" in text
    assert f"running: iteration 4 of 6, 80 s left, process {os.getpid()} on" in text
    assert "failed" in text


def test_json_for_programs(results, capsys):
    assert main(["status", "mine", "--json", "--results", str(results)]) == 0
    rows = json.loads(capsys.readouterr().out)
    (running,) = [row for row in rows if row["state"] == "running"]
    assert (running["iteration"], running["iterations"], running["seed"]) == (4, 6, 0)
    assert running["seconds_an_iteration"] == pytest.approx(30, abs=1)  # two, in a minute
    assert running["seconds_left"] == pytest.approx(80, abs=2)  # 0.3 of it took 60 s
    assert running["expected_end"] is not None
    assert [row["reason"] for row in rows if row["state"] == "failed"] == ["out of luck"]


def changed(results, change):
    """The manifest with each of its entries changed, and the entries."""
    file = results / "ablations" / "mine.json"
    content = read_json(file)
    for number, entry in enumerate(content["runs"]):
        entry |= change(number, entry)
    write_json(file, content)
    return content["runs"]


def rows(results, capsys):
    assert main(["status", "mine", "--json", "--results", str(results)]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_run_is_done_where_all_its_evaluations_are(results, capsys):
    wanted = {"evaluations": ["first", "second"]}
    entry, *_ = changed(results, lambda number, entry: wanted)
    run = Run(results / entry["path"])
    states = []
    for name, status, reason in (
        ("first", "done", None), ("second", "failed", "no memory"), ("second", "done", None),
    ):  # fmt: skip
        run.write_evaluation({"identity": name, "status": status, "reason": reason, "seconds": 5.0})
        states.append([rows(results, capsys)[0][key] for key in ("state", "reason", "seconds")])
    assert states == [
        ["pending", None, None], ["failed", "no memory", None], ["done", None, 100.0],
    ]  # fmt: skip


def test_every_file_is_read_once_however_many_evaluations_are_asked_for(results, monkeypatch):
    entry, *_ = changed(results, lambda number, entry: {"evaluations": ["first", "second"]})
    for name in ("first", "second"):
        evaluation = {"identity": name, "status": "done", "seconds": 5.0}
        Run(results / entry["path"]).write_evaluation(evaluation)
    opened = []

    def reading(path):
        opened.append(path)
        return read_regular(path)

    monkeypatch.setattr("ltvm.runs.files.index.read_regular", reading)
    overview(results, ["mine"])
    assert len(opened) == len(set(opened))
    read = [file.name for file in opened if file.parent.name == "evaluations"]
    assert read[:2] == ["first.json", "second.json"]


def test_cells_of_the_same_words_are_told_apart(results, capsys):
    """As where runs of another precision were added under the same name."""
    words = changed(results, lambda number, entry: {"cell": f"c{number}", "values": {}})[0]
    assert main(["status", "--results", str(results)]) == 0
    text = capsys.readouterr().out
    assert [f"{words['method']} (c{number})" in text for number in range(4)] == [True] * 4
    found = rows(results, capsys)
    assert [row["identity"] for row in found] == ["c0", "c1", "c2", "c3"]


def test_a_damaged_manifest_or_an_unknown_name_is_said(results, capsys):
    (results / "ablations" / "broken.json").write_text("{")
    assert main(["status", "--results", str(results)]) == 0
    printed = capsys.readouterr()
    assert "broken.json is not a manifest" in printed.err
    assert "mine" in printed.out
    assert main(["status", "other", "--results", str(results)]) == 2
    assert "allowed: broken, mine" in capsys.readouterr().err


def test_watching_ends_with_the_runs(results, monkeypatch, capsys):
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        for planned in plan(SWEEP).runs:
            planned.run.write_record({"status": "failed"})
            planned.run.lease_file.unlink(missing_ok=True)

    monkeypatch.setattr("ltvm.cli.status.time.sleep", sleep)
    assert main(["status", "--watch", "--results", str(results)]) == 0
    assert len(looks) == 1
    assert "4 failed" in capsys.readouterr().out
