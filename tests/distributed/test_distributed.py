"""Two processes on the CPU: what one process does, and one record of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import ltvm
from ltvm.runs.files.store import PICTURES, Store
from ltvm.runtime.commands import overrides_in
from ltvm.runtime.randomness import stream

HERE = Path(__file__).parent
HANGS = 1200  # seconds: many times what it takes
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def ran(session_cache, tmp_path_factory):
    """Where ``suite.py`` left what it found: two processes, started once."""
    folder = tmp_path_factory.mktemp("two")
    environment = os.environ | {"LTVM_CACHE_DIR": str(session_cache), "OMP_NUM_THREADS": "1"}
    command = [*TORCHRUN, str(HERE / "suite.py"), str(folder)]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=HANGS
    )
    assert ended.returncode == 0, ended.stderr[-6000:]
    return folder


def test_what_holds_on_two_processes(ran):
    for rank in (0, 1):
        results = json.loads((ran / f"{rank}.json").read_text())
        assert len(results) > 10
        failed = {name: text for name, text in results.items() if text != "ok"}
        assert not failed, "\n".join(f"process {rank}: {name}: {failed[name]}" for name in failed)


def test_one_process_speaks_and_one_record_is_written(ran):
    said = [(ran / f"said-{rank}").read_text() for rank in (0, 1)]
    assert sum(text.count("status                   done") for text in said) == 1
    assert sum(text.count("iteration 1 of 1") for text in said) == 1
    (run,) = Store(ran / "results").runs()
    record = run.record()
    assert (record["status"], record["processes"]) == ("done", 2)
    assert record["execution"].endswith(", 2 processes")
    files = {path.name for path in run.directory.iterdir() if path.name != ".held"}
    assert files == {
        "config.yaml", "record.json", "history.csv", "final.safetensors", "evaluations",
        *(f"{kind}.png" for kind in PICTURES),
    }  # fmt: skip
    assert "distributed" not in run.config()


def test_one_process_trains_the_same_run(ran, tmp_path):
    """Up to rounding, and to what Adam makes of it: as much as another library's products do."""
    (run,) = Store(ran / "results").runs()
    words = overrides_in(run.record()["command"])
    record = ltvm.train([*words, f"paths.results={tmp_path}"])
    (other,) = Store(tmp_path).runs()
    assert record["processes"] == 1
    assert record["identity"] == run.record()["identity"]
    assert "processes" not in record["execution"]
    for key in ("passes", "flops", "decoder_updates"):
        assert record[key] == run.record()[key]
    rows = [pd.read_csv(at.directory / "history.csv").iloc[0] for at in (run, other)]
    for column in ("sweep_loss", "learning_loss", "correction_cost"):
        assert rows[0][column] == pytest.approx(rows[1][column], rel=1e-2)
    method = ltvm.load(run.directory)  # in one process
    assert method.infer(method.problem.images.scaled()[:3], stream(0, "x")).isfinite().all()
