"""The CUDA path on pretended devices, in a process of its own: pretending cannot be undone."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_the_cuda_path_on_pretended_devices():
    asked = [sys.executable, "-c", "import device; print(*device.missing())"]
    missing = subprocess.run(asked, cwd=HERE, capture_output=True, text=True, check=True)
    if missing.stdout.strip():
        pytest.skip(f"this torch has no {missing.stdout.strip()}, which pretending leans on")
    ran = subprocess.run(
        [sys.executable, str(HERE / "suite.py")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr[-6000:]
