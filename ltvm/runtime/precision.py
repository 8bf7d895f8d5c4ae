"""Which precision a machine multiplies in by itself: a rule, so that no timing decides a number.

``precision=auto`` is bfloat16 where the processor that computes has it natively, else float32: on a
CPU with the flag avx512_bf16 or amx_bf16 in Linux's /proc/cpuinfo, on CUDA from compute capability
8.0 on. Nothing here imports torch, whose import takes seconds, unless there may be a GPU to ask
for: a run that is done is found without it.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Literal

Precision = Literal["float32", "bfloat16"]

# What Linux shows where a GPU's driver is loaded: NVIDIA's, its boards', WSL's, AMD's.
GPU_FILES = (
    "proc/driver/nvidia", "dev/nvidia[0-9c]*", "dev/nvhost-gpu", "dev/nvmap", "dev/dxg", "dev/kfd",
)  # fmt: skip
CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
LEAST_CAPABILITY = (8, 0)  # of CUDA devices: Ampere


def native_precision(device: str) -> Precision:
    """What ``precision=auto`` means on ``device`` (``auto``, ``cpu``, ``cuda`` or ``cuda:N``).

    A device that is not there has float32: what asks for it is refused elsewhere.
    """
    if device == "auto":
        device = "cuda" if cuda_is_available() else "cpu"
    if device == "cpu":
        return "bfloat16" if cpu_has_bfloat16() else "float32"
    family, _, index = device.partition(":")
    known = family == "cuda" and (index.isdecimal() or not index) and cuda_is_available()
    return "bfloat16" if known and cuda_has_bfloat16(int(index or 0)) else "float32"


def cpu_has_bfloat16() -> bool:
    return not CPU_FLAGS.isdisjoint(cpu_field("flags").split())


def cuda_has_bfloat16(index: int) -> bool:
    """Whether that CUDA device multiplies bfloat16 itself; False if there is no such device."""
    import torch

    if index >= torch.cuda.device_count():
        return False
    return torch.cuda.get_device_capability(index) >= LEAST_CAPABILITY


def cuda_is_available() -> bool:
    """What torch says, which is not imported where it could say nothing but no."""
    if "torch" not in sys.modules and not a_gpu_may_be_here():
        return False
    import torch

    return torch.cuda.is_available()


def a_gpu_may_be_here(root: Path = Path("/")) -> bool:
    """False where no driver of a GPU is loaded, as far as the system's files show it."""
    if sys.platform == "darwin":
        return False
    if sys.platform != "linux":
        return True
    return any(next(root.glob(pattern), None) is not None for pattern in GPU_FILES)


@cache
def cpu_field(name: str) -> str:
    """A field of the first processor in Linux's /proc/cpuinfo; empty elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return ""
    for line in cpuinfo.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
