"""Features of a data set's images, kept on disk for the next process.

    provenance, a way to make them -> batches of features

A file is named by the hash of all that its numbers depend on, so that it never has to be thrown
away for being wrong; the least recently used go when there are too many. Of several processes that
want the same features one makes them, and the others wait and read. Features are stored in float32,
in which extractors compute: nothing is lost.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from ltvm.data.image_set import ImageSet
from ltvm.errors import InputError
from ltvm.metrics.features.base import Extractor
from ltvm.runtime.cache import cache_directory
from ltvm.runtime.devices import describe
from ltvm.runtime.files import remove_aside, writing

LIMIT_VARIABLE = "LTVM_CACHE_LIMIT_GB"
LIMIT = 8.0  # GiB, of all files together
LARGEST = 2**30  # bytes: a larger set of features is made again instead
ROWS = 1_000  # of a batch that is read
DIGEST = 32  # bytes of SHA-256 at a file's end, over the provenance and the numbers


class LossyError(Exception):
    """Features that float32 cannot hold."""


def folder() -> Path:
    """Where the files are."""
    return cache_directory() / "features"


def cache_limit() -> int:
    """Bytes that all files together may take: ``LTVM_CACHE_LIMIT_GB`` (GiB; 0 keeps nothing).

    Raises :class:`ltvm.errors.InputError` if it is no number from 0.
    """
    text = os.environ.get(LIMIT_VARIABLE) or str(LIMIT)
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 <= size < float("inf"):
        raise InputError(f"{LIMIT_VARIABLE}={text}: allowed: a number of GiB, 0 or more")
    return int(size * 2**30)


def cache_size() -> int:
    """Bytes that the files take now."""
    return sum(size for _, size, _ in entries())


def clear() -> int:
    """Delete all files; returns how many bytes they took."""
    freed = cache_size()
    for path in folder().glob("*") if folder().is_dir() else ():
        path.unlink(missing_ok=True)
    return freed


def entries() -> list[tuple[float, int, Path]]:
    """Time of last use, bytes and path of every file, the least recently used first."""
    found = []
    for path in folder().glob("*.f32") if folder().is_dir() else ():
        try:
            status = path.stat()
        except FileNotFoundError:  # another process has just deleted it
            continue
        found.append((status.st_mtime, status.st_size, path))
    return sorted(found)


def provenance_of(images: ImageSet, extractor: Extractor) -> dict[str, Any]:
    """All that the features of these images depend on.

    The source of the extractor's module is among it: weights alone do not say what is computed.
    """
    try:
        source = inspect.getsource(inspect.getmodule(type(extractor)) or type(extractor))
    except (OSError, TypeError):  # made in an interactive session
        source = ""
    return {
        "data": images.fingerprint,
        "split": images.split,
        "n": len(images),
        **extractor.provenance(),
        "class": type(extractor).__qualname__,
        "source": hashlib.sha256(source.encode()).hexdigest(),
        "device": describe(extractor.device),
        "dtype": "float32",
        "products": [torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32],
        "torch": str(torch.__version__),
    }


def kept_batches(
    provenance: dict[str, Any], make: Callable[[], Iterator[Tensor]]
) -> Iterator[Tensor]:
    """Batches of features, float64 [m, dimension], from the file or made and written there.

    They are made without a file if it would be too large, if float32 cannot hold them, or if
    nothing can be written (which stderr is told). A damaged file is made again.
    """
    size = 4 * provenance["n"] * provenance["dimension"]
    stored = None
    if size <= min(LARGEST, cache_limit()):
        try:
            stored = read_or_write(provenance, make)
        except LossyError:
            stored = None
        except (OSError, NotImplementedError) as error:  # a full disk, a file system without locks
            print(f"ltvm: features cannot be kept: {error}", file=sys.stderr)
    if stored is None:
        yield from make()
        return
    for start in range(0, len(stored), ROWS):
        yield torch.from_numpy(np.array(stored[start : start + ROWS])).double()


def read_or_write(provenance: dict[str, Any], make: Callable[[], Iterator[Tensor]]) -> np.ndarray:
    """The features of the file [n, dimension], float32, which is made first where there is none."""
    text = json.dumps(provenance, sort_keys=True).encode()
    path = folder() / f"{hashlib.sha256(text).hexdigest()[:32]}.f32"
    shape = (provenance["n"], provenance["dimension"])
    folder().mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        stored = read(path, text, shape)
        if stored is None:
            remove_aside(path)
            write(path, text, make())
            stored = read(path, text, shape)
            if stored is None:
                raise OSError(f"{path} is not what was written")
            trim(cache_limit())
        else:
            os.utime(path)  # used just now
    return stored


def read(path: Path, text: bytes, shape: tuple[int, int]) -> np.ndarray | None:
    """The numbers of a file without loading them; None if it is absent or damaged."""
    numbers = 4 * shape[0] * shape[1]
    if not path.is_file() or path.stat().st_size != numbers + DIGEST:
        return None
    stored = np.memmap(path, dtype=np.uint8, mode="r")
    digest = hashlib.sha256(text)
    for start in range(0, numbers, 2**24):
        digest.update(stored[start : min(start + 2**24, numbers)].tobytes())
    if digest.digest() != stored[numbers:].tobytes():
        return None
    return stored[:numbers].view("<f4").reshape(shape)


def write(path: Path, text: bytes, batches: Iterator[Tensor]) -> None:
    """Raises :class:`LossyError` if float32 cannot hold the features."""
    digest = hashlib.sha256(text)
    with writing(path) as file:
        for batch in batches:
            single = batch.float()
            if not torch.equal(single.double(), batch.double()):
                raise LossyError
            numbers = single.cpu().contiguous().numpy().astype("<f4", copy=False).tobytes()
            digest.update(numbers)
            file.write(numbers)
        file.write(digest.digest())


def trim(limit: int) -> None:
    """Delete the least recently used files until all together take at most ``limit`` bytes."""
    known = entries()
    total = sum(size for _, size, _ in known)
    for _, size, path in known:
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size
