"""Where and in which precision a run computes, and what machine that was."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import platform
import re
import resource
import sys
from pathlib import Path

import torch

from ltvm.errors import InputError, require
from ltvm.runtime.precision import cpu_field, cpu_has_bfloat16, cuda_has_bfloat16


def resolve_device(name: str) -> torch.device:
    """``auto`` is CUDA's current device if there is one, else the CPU; a CUDA device has its index.

    Without an index it would equal no tensor's device, and what is there would be copied again.

    Raises :class:`ltvm.errors.InputError` for an unknown device or ``cuda`` without one.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    require(device.type in ("cpu", "cuda"), "device", name, "auto, cpu, cuda, cuda:N")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise InputError(f"device={name}: this machine has {count} CUDA devices; allowed: cpu")
        if device.index is None:
            return torch.device("cuda", torch.cuda.current_device())
    return device


def bfloat16_is_native(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 itself by the rule of ``runtime.precision``."""
    if device.type == "cuda":
        return cuda_has_bfloat16(device.index or 0)
    return cpu_has_bfloat16()


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


def describe(device: torch.device) -> str:
    """The device in words, for records: a GPU's name, or a processor's name and threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = cpu_field("model name") or platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads"


def software(device: torch.device) -> str:
    """What runs on the device beside this package: torch and, of a GPU, CUDA, cuDNN and driver."""
    words = [f"torch {torch.__version__}"]
    if device.type == "cuda":
        words.append(f"CUDA {torch.version.cuda}")
        words.append(f"cuDNN {torch.backends.cudnn.version()}")
        words.append(f"driver {driver_version() or 'unknown'}")
    return ", ".join(words)


def driver_version(file: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """That of NVIDIA's driver, as Linux shows it; None where it shows none."""
    try:
        found = re.search(r"\b\d+\.\d+(\.\d+)?\b", file.read_text())
    except OSError:
        return None
    return found.group() if found else None


def begin_measuring_memory(device: torch.device) -> None:
    """Give back what earlier runs of this process left, and count peaks from here on.

    Methods and what they report to refer to each other, so that graphs and codes of a run before
    stay until they are collected.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):  # Linux alone, and not in every container
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: torch.device) -> dict[str, float]:
    """Peak memory in MB since ``begin_measuring_memory``: of the process and, if there is one, GPU.

    Where the system cannot begin anew, the peak of the process is that of all its runs.
    """
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
