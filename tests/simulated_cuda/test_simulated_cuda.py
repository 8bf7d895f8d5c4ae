"""The CUDA path on pretended devices, in a process of its own: pretending cannot be undone."""

import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).parent / "suite.py"
MISSING = 77  # its exit status without private names of torch that it leans on


def test_the_cuda_path_on_pretended_devices():
    asked = [sys.executable, str(SUITE)]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    if ran.returncode == MISSING:
        pytest.skip(f"this torch has no {ran.stdout.strip()}, which pretending leans on")
    assert ran.returncode == 0, ran.stdout + ran.stderr[-6000:]
