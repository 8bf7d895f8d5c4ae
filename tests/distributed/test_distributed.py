"""Two processes on the CPU: what one process does, and one record of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import ltvm
from ltvm.runs.store import PICTURES, Store
from ltvm.runtime.randomness import stream

HERE = Path(__file__).parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
WORDS = [
    "protocol=smoke", "protocol.iterations=1", "protocol.train_images=60", "protocol.batch=21",
    "protocol.test_images=20", "evaluation=none", "device=cpu", "precision=float32",
    "execution.products=torch",
]  # fmt: skip


@pytest.fixture(scope="module")
def environment(session_cache):
    return os.environ | {"LTVM_CACHE_DIR": str(session_cache), "OMP_NUM_THREADS": "1"}


def test_what_holds_on_two_processes(environment, tmp_path):
    command = [*TORCHRUN, str(HERE / "suite.py"), str(tmp_path)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-6000:]
    for rank in (0, 1):
        results = json.loads((tmp_path / f"{rank}.json").read_text())
        assert len(results) > 10
        failed = {name: text for name, text in results.items() if text != "ok"}
        assert not failed, "\n".join(f"process {rank}: {name}: {failed[name]}" for name in failed)


@pytest.fixture(scope="module")
def trained(environment, tmp_path_factory):
    """A run by the command line on two processes: what it printed, and where its record is."""
    results = tmp_path_factory.mktemp("two")
    command = [*TORCHRUN, "-m", "ltvm", "train", *WORDS, f"paths.results={results}"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-6000:]
    return ran, Store(results)


def test_one_process_speaks_and_one_record_is_written(trained):
    ran, store = trained
    assert ran.stdout.count("status                   done") == 1
    assert ran.stderr.count("iteration 1 of 1") == 1
    (run,) = store.runs()
    record = run.record()
    assert (record["status"], record["processes"]) == ("done", 2)
    assert record["execution"].endswith(", 2 processes")
    files = {path.name for path in run.directory.iterdir() if path.name != ".held"}
    assert files == {
        "config.yaml", "record.json", "history.csv", "final.safetensors", "evaluations",
        *(f"{kind}.png" for kind in PICTURES),
    }  # fmt: skip
    assert "distributed" not in run.config()


def test_one_process_trains_the_same_run(trained, tmp_path):
    """Up to rounding, and to what Adam makes of it: as much as another library's products do."""
    (run,) = trained[1].runs()
    record = ltvm.train([*WORDS, f"paths.results={tmp_path}"])
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
