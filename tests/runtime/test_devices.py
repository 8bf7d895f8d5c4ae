"""What a machine says about itself."""

import os
import subprocess
import sys
import weakref

import pytest
import torch

from ltvm.runtime.devices import (
    begin_measuring_memory,
    driver_version,
    software,
)


def test_the_driver_is_read_from_its_file(tmp_path):
    file = tmp_path / "version"
    assert driver_version(file) is None
    file.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"
        "GCC version:  gcc version 12.3.0\n"
    )
    assert driver_version(file) == "580.65.06"


def test_a_gpus_software_names_its_driver_and_a_cpus_does_not(monkeypatch):
    monkeypatch.setattr("ltvm.runtime.devices.driver_version", lambda: "580.65")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91000)
    assert software(torch.device("cpu")) == f"torch {torch.__version__}"
    assert "cuDNN 91000, driver 580.65" in software(torch.device("cuda"))


def test_what_an_earlier_run_left_is_collected_before_memory_is_measured():
    class Holder:
        pass

    gone: list[int] = []
    holder = Holder()
    holder.itself = holder  # as a method and what it reports to
    weakref.finalize(holder, gone.append, 1)
    del holder
    begin_measuring_memory(torch.device("cpu"))
    assert gone == [1]


PEAK = """
import torch
from ltvm.runtime.devices import begin_measuring_memory, peak_memory_mb
large, cpu = torch.ones(30_000_000), torch.device("cpu")  # 114 MB
before = peak_memory_mb(cpu)["process"]
del large
begin_measuring_memory(cpu)
print(before - peak_memory_mb(cpu)["process"])
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peaks stay here")
def test_a_peak_is_counted_from_the_beginning_on():
    """In a process of its own: others may have asked to keep freed memory."""
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 50
