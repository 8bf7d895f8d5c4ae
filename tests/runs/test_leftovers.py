"""What ``ltvm gc`` removes, what it leaves, and that it says so first."""

import os
import re
import subprocess
import sys
import time

import pytest

from ltvm.cli.gc import in_bytes
from ltvm.cli.main import main
from ltvm.runs.files.store import Run
from ltvm.runs.housekeeping import leftovers
from ltvm.runs.housekeeping.leftovers import (
    CHECKPOINTS,
    KINDS,
    LAUNCHER,
    LEASES,
    OLD,
    TEMPORARY,
    WEIGHTS,
)
from ltvm.runs.identity import NUMERICS
from ltvm.runtime.files import write_json
from ltvm.training.checkpoint import previous_of

MONTH = 30 * 86_400


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def made(results, cell, status="done", keep="final", numerics=NUMERICS):
    """A run with two checkpoints (1,000 bytes), weights (200) and two abandoned files (30)."""
    run = Run(results / "runs" / "mnist5k" / "vae" / cell / "seed=0")
    run.write_config({"keep": keep})
    run.write_record({"status": status, "numerics": numerics})
    run.checkpoint_file.write_bytes(bytes(600))
    previous_of(run.checkpoint_file).write_bytes(bytes(400))
    if status == "done":
        run.trained_file.write_bytes(bytes(200))
    aside = run.directory / "evaluations" / ".e.json.0123456789abcdef.tmp"
    aside.parent.mkdir()
    aside.write_bytes(bytes(20))
    run.progress_file.write_bytes(bytes(10))
    return run


def leased(run, age):
    """Leave a run as a process on another host does that died so many seconds ago."""
    with run.held():
        content = re.sub("host=.*", "host=another", run.lease_file.read_text())
    run.lease_file.write_text(content)
    os.utime(run.lease_file, (time.time() - age,) * 2)
    return len(content)


def named(results, *runs):
    """An ablation that names these runs."""
    words = ("cell", "data", "method", "label", "protocol", "note", "command")
    entry = dict.fromkeys(words, "") | {"seed": 0, "style": {}, "values": {}, "evaluations": []}
    paths = [entry | {"path": str(run.directory.relative_to(results))} for run in runs]
    content = dict.fromkeys(("ablation", "question", "reference", "combine", "command"), "")
    content |= {"name": "a", "axes": [], "seeds": [0], "runs": paths}
    write_json(results / "ablations" / "a.json", content)


def found(results):
    """kind -> (number, bytes)"""
    kinds = {kind: leftovers.find(results).of([kind]) for kind in KINDS}
    return {k: (len(own), sum(x.size for x in own)) for k, own in kinds.items() if own}


def gc(results, *flags):
    return main(["gc", "--results", str(results), *flags])


def test_what_it_would_free_comes_first(results, capsys):
    run = made(results, "a")
    before = sorted(results.rglob("*"))
    assert gc(results) == 0
    printed = capsys.readouterr().out
    assert "nothing is removed; with --yes it frees 1.0 kB" in printed
    assert "left without --unreferenced" in printed
    assert sorted(results.rglob("*")) == before
    assert gc(results, "--yes") == 0
    assert "freed 1.0 kB" in capsys.readouterr().out
    assert run.status() == "done"
    left = {path.name for path in run.directory.rglob("*") if path.is_file()}
    assert left == {"config.yaml", "record.json", "final.safetensors"}
    assert found(results) == {WEIGHTS: (1, 200)}
    assert gc(results, "--unreferenced", "--yes") == 0
    assert "freed 200 B" in capsys.readouterr().out
    assert not run.trained_file.exists()
    assert run.record_file.is_file()


def test_what_a_run_still_needs_stays(results):
    made(results, "a", status="interrupted")
    named(results, made(results, "b", keep="all"))
    assert found(results) == {TEMPORARY: (4, 60)}
    gc(results, "--yes", "--unreferenced", "--old-numerics")
    kept = sorted(path.name for path in results.rglob("*") if path.is_file())
    both = ["checkpoint.previous.pt", "checkpoint.pt", "config.yaml", "record.json"]
    assert kept == sorted([*both, *both, "final.safetensors", "a.json"])


def test_weights_that_an_ablation_names_stay(results):
    first, second = made(results, "a"), made(results, "b")
    named(results, first)
    gc(results, "--yes", "--unreferenced")
    assert first.trained_file.is_file()
    assert not second.trained_file.exists()


def test_runs_of_old_numerics_go_when_asked_and_unless_an_ablation_names_them(results, capsys):
    old, reported, current = (
        made(results, cell, numerics=n)
        for cell, n in (("a", NUMERICS - 1), ("b", NUMERICS - 1), ("c", NUMERICS))
    )
    named(results, reported)
    whole = sum(path.stat().st_size for path in old.directory.rglob("*") if path.is_file())
    assert found(results)[OLD] == (1, whole - 1000 - 200 - 30)  # those have rows of their own
    gc(results, "--yes")
    assert old.record_file.is_file()
    gc(results, "--yes", "--old-numerics")
    assert not old.directory.parent.exists()
    assert reported.record_file.is_file()
    assert current.record_file.is_file()


def test_numerics_are_read_from_evaluations_of_records_that_do_not_say(results):
    run = made(results, "a")
    run.write_record({"status": "done"})
    assert OLD not in found(results)  # nobody knows
    values = {"mse_test": {"value": 1.0, "numerics": NUMERICS - 1}}
    run.write_evaluation({"identity": "e", "status": "done", "values": values})
    assert OLD in found(results)


HOLD = """
import sys, time
from pathlib import Path
from ltvm.runs.files.store import Run
with Run(Path(sys.argv[1])).held() as hold:
    print(hold is not None, flush=True)
    sys.stdin.read()
"""


def test_a_run_that_is_held_is_never_touched(results, capsys):
    run = made(results, "a", numerics=NUMERICS - 1)
    launcher = results / "launcher" / "old.log"
    launcher.parent.mkdir()
    launcher.touch()
    os.utime(launcher, (0, 0))
    os.utime(launcher.parent, (0, 0))
    assert LAUNCHER in found(results)
    before = sorted(results.rglob("*"))
    chosen = leftovers.find(results).leftovers
    command = [sys.executable, "-c", HOLD, str(run.directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"True\n"
        assert gc(results, "--yes", "--unreferenced", "--old-numerics") == 0
        assert "1 run is held by a process" in capsys.readouterr().out
        own = [x for x in chosen if x.run is not None]
        assert leftovers.remove(own) == (0, [run.directory])  # taken after it was looked at
        assert sorted(set(results.rglob("*")) - {run.lease_file}) == before
        holder.stdin.close()
    gc(results, "--yes", "--unreferenced", "--old-numerics")
    assert not list(results.glob("runs/*"))


def test_the_lease_of_a_process_elsewhere_is_believed_for_days(results, capsys):
    """Nobody can ask whether it lives; a cluster's clocks and mounts may be wrong for a while."""
    run = made(results, "a")
    leased(run, 86_400)
    assert run.holder() is None
    before = sorted(results.rglob("*"))
    assert gc(results, "--yes") == 0
    assert "1 run is held" in capsys.readouterr().out
    assert sorted(results.rglob("*")) == before
    size = leased(run, MONTH)
    assert found(results)[LEASES] == (1, size)
    gc(results, "--yes")
    assert not run.lease_file.exists()
    assert not run.checkpoint_file.exists()
    leased(Run(run.directory.with_name("seed=1")), MONTH)  # nothing but a lease
    gc(results, "--yes")
    assert [path.name for path in run.directory.parent.iterdir()] == ["seed=0"]


def test_beside_runs_only_what_is_old_goes(results):
    aside = (".a.json.1f.tmp", "tuning/.x.yaml.2e.tmp", ".writable.3", "launcher/.submitit/9/log")
    for name in aside:
        path = results / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    half = results / ".import-abc" / "x" / "record.json"
    launched = results / "launcher" / ".submitit"
    for path in (half, launched / "1" / "log", launched / "2" / "log", results / "notes.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10))
    old = [half, half.parent, half.parent.parent, launched / "1" / "log", launched / "1"]
    for path in old:
        os.utime(path, (time.time() - MONTH,) * 2)
    assert found(results) == {TEMPORARY: (1, 10), LAUNCHER: (1, 10)}
    gc(results, "--yes")
    assert not half.exists()
    assert sorted(path.name for path in launched.iterdir()) == ["2"]
    gc(results, "--yes", "--days", "0")
    left = {path.name for path in results.rglob("*") if path.is_file()}
    assert left == {"notes.txt", "log"}  # the latter in "new", which is no launcher's folder
    assert not list(launched.iterdir())


def test_a_record_that_cannot_be_read_is_left_and_named(results, capsys):
    made(results, "a")
    broken = made(results, "b")
    broken.record_file.write_text("{")
    before = sorted(broken.directory.rglob("*"))
    assert gc(results, "--yes") == 0
    assert f"left: {broken.record_file} is not a record" in capsys.readouterr().err
    assert sorted(broken.directory.rglob("*")) == before


def test_a_manifest_that_cannot_be_read_stops_it(results, capsys):
    run = made(results, "a")
    (results / "ablations").mkdir()
    (results / "ablations" / "a.json").write_text("{}")
    assert gc(results, "--yes", "--unreferenced") == 2
    assert "a.json" in capsys.readouterr().err
    assert run.checkpoint_file.is_file()


def test_no_results_no_work(tmp_path, capsys):
    assert gc(tmp_path / "nothing") == 2
    assert gc(tmp_path, "--days", "-1") == 2
    assert gc(tmp_path, "--yes") == 0
    assert "freed 0 B" in capsys.readouterr().out


def test_sizes_in_words():
    assert [in_bytes(n) for n in (0, 999, 1500, 2_345_678, 9.1e9, 2e12)] == [
        "0 B", "999 B", "1.5 kB", "2.3 MB", "9.1 GB", "2000.0 GB",
    ]  # fmt: skip


def test_kinds_are_told_apart(results):
    made(results, "a")
    assert set(found(results)) == {CHECKPOINTS, TEMPORARY, WEIGHTS}
