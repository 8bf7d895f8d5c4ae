"""What a machine says about itself."""

import torch

from ltvm.runtime.devices import driver_version, software


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
