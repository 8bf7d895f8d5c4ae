"""A few faults of each kind, as `python -m benchmarks.faults` tries many: all are survived."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_faults_are_survived(tmp_path):
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LTVM_", "PYTEST"))
    }
    path = os.pathsep.join([str(ROOT), *filter(None, [own.get("PYTHONPATH")])])
    parts = "kills,races,damage,disk"
    tried = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--short", "--only", parts],
        cwd=ROOT,
        env=own | {"PYTHONPATH": path, "LTVM_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert tried.returncode == 0, tried.stderr[-3000:]
    assert tried.stderr.count(": held (") >= 7
