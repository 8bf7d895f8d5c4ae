"""Which precision ``auto`` stands for: a rule, asked without torch where it can be."""

import subprocess
import sys

import pytest
import torch

from ltvm.runtime import precision
from ltvm.runtime.devices import bfloat16_is_native
from ltvm.runtime.precision import a_gpu_may_be_here, native_precision


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2 avx512f", "float32"), ("avx2 avx512_bf16", "bfloat16"),
     ("amx_bf16 amx_tile", "bfloat16"), ("avx512_bf16x", "float32"), ("", "float32")],
)  # fmt: skip
def test_a_cpu_by_its_flags(monkeypatch, flags, expected):
    monkeypatch.setattr(precision, "cpu_field", lambda _: flags)
    assert native_precision("cpu") == expected
    assert bfloat16_is_native(torch.device("cpu")) == (expected == "bfloat16")


@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0", "cuda:1"])
def test_cuda_by_its_capability(monkeypatch, device):
    capabilities = {0: (8, 0), 1: (7, 5)}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", capabilities.get)
    monkeypatch.setattr(precision, "cpu_field", lambda _: "amx_bf16")  # another device's
    expected = "float32" if device == "cuda:1" else "bfloat16"
    assert native_precision(device) == expected
    if device != "auto":
        assert bfloat16_is_native(torch.device(device)) == (expected == "bfloat16")


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "cuda:x", "tpu", "meta"])
def test_a_device_that_is_not_there_has_float32(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda:7")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert native_precision(device) == "float32"


@pytest.mark.parametrize(
    ("files", "expected"),
    [([], False), (["dev/nvme0n1", "dev/null", "dev/nvidia-caps/x"], False),
     (["proc/driver/nvidia/version"], True), (["dev/nvidia0"], True), (["dev/nvidiactl"], True),
     (["dev/dxg"], True), (["dev/kfd"], True)],
)  # fmt: skip
@pytest.mark.skipif(sys.platform != "linux", reason="Linux's files")
def test_where_a_gpu_may_be(tmp_path, files, expected):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert a_gpu_may_be_here(tmp_path) is expected


def test_torch_is_imported_only_where_there_may_be_a_gpu():
    code = (
        "import sys; from ltvm.runtime import precision; from ltvm.config import resolve\n"
        "precision.a_gpu_may_be_here = lambda: {}\n"
        "resolve(['device=auto']); resolve(['device=cpu']); print('torch' in sys.modules)"
    )
    for there in (False, True):
        ran = subprocess.run(
            [sys.executable, "-c", code.format(there)], capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == str(there)
