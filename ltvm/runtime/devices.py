"""Where and in which precision a run computes, and what machine that was."""

from __future__ import annotations

import ctypes
import platform
import resource
import sys
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from ltvm.errors import InputError, require

Precision = Literal["float32", "bfloat16"]


def resolve_device(name: str) -> torch.device:
    """``auto`` is the first CUDA device if there is one, else the CPU.

    Raises :class:`ltvm.errors.InputError` for an unknown device or ``cuda`` without one.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    require(device.type in ("cpu", "cuda"), "device", name, "auto, cpu, cuda, cuda:N")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise InputError(f"device={name}: this machine has {count} CUDA devices; allowed: cpu")
    return device


def bfloat16_is_native(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 matrices itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    flags = _cpu_field("flags").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def use_full_float32() -> None:
    """Turn TF32 off: float32 means float32, in features and evaluation above all."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next tensor (Linux with glibc; else nothing).

    By default it returns large blocks to the system and takes them back, page by page, for
    every activation of every step, which costs more than the arithmetic on them.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(-3, 2**30)  # M_MMAP_THRESHOLD: blocks up to this size come from the heap
    mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: free memory at its top that is kept


@cache
def _cpu_field(name: str) -> str:
    """A field of the first processor in Linux's /proc/cpuinfo; empty elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return ""
    for line in cpuinfo.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def describe(device: torch.device) -> str:
    """The device in words, for records: a GPU's name, or a processor's name and threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = _cpu_field("model name") or platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads"


def peak_memory_mb(device: torch.device) -> dict[str, float]:
    """Peak memory so far in MB: of the process and, where there is one, of the GPU."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        peaks = {"process": int(line.split()[1]) / 1024}
    else:  # on Linux it would include the peak of the process that started this one
        unit = 1024 * 1024 if sys.platform == "darwin" else 1024
        peaks = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}
    if device.type == "cuda":
        peaks["gpu"] = torch.cuda.max_memory_allocated(device) / 2**20
    return peaks
