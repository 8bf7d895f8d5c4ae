"""Checkpoints: the state of a training after its last iteration, and after the one before.

Both are kept while it runs, so that a damaged one costs one iteration. A checkpoint is a zip
archive with a checksum (CRC-32) of every tensor, as torch writes it; torch does not look at them.
"""

from __future__ import annotations

import errno
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch

from ltvm.errors import InputError, UnreadableError
from ltvm.runtime.files import about, writing

KEYS = frozenset({"made_with", "executions", "commits", "method", "history", "seconds"})
NO_SPACE = 2**20  # bytes left on a disk that is full


def previous_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def newest(path: Path) -> Path | None:
    """The checkpoint, or the one before where it is gone; None where there is neither."""
    return next((file for file in (path, previous_of(path)) if file.is_file()), None)


def delete_checkpoints(path: Path) -> None:
    for file in (path, previous_of(path)):
        file.unlink(missing_ok=True)


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state``; what was there becomes the previous one. ``OSError``: the disk is full."""
    try:
        with writing(path, kept_as=previous_of(path)) as file:
            torch.save(state, file)
    except RuntimeError as error:  # torch's words for a write that stopped say nothing of why
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError):
                raise about(cause, path) from error
            if isinstance(cause, KeyboardInterrupt):
                raise cause from error
            cause = cause.__context__
        left = shutil.disk_usage(path.parent).free
        if left < NO_SPACE:
            why = f"cannot be written, {left} bytes left on its disk"
            raise OSError(errno.ENOSPC, why, str(path)) from error
        raise


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Load a checkpoint; raises :class:`ltvm.errors.UnreadableError` if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("compressed, as torch writes none")
            broken = archive.testzip()
        if broken is not None:
            raise ValueError(f"the checksum of {broken} is another")
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        missing = KEYS - state.keys()
        if missing:
            raise ValueError(f"without {', '.join(sorted(missing))}")
    except (
        OSError, EOFError, RuntimeError, ValueError, KeyError, AttributeError, NotImplementedError,
        pickle.UnpicklingError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
        raise UnreadableError(path, f"cannot be read ({why})", "--restart discards it") from error
    return state


def refuse_other(path: Path, was: dict[str, str], now: dict[str, str]) -> None:
    """Raise :class:`ltvm.errors.InputError`, naming each difference, unless both are the same."""
    differences = [
        f"{key} was {was.get(key)}, is {now.get(key)}"
        for key in {**was, **now}
        if was.get(key) != now.get(key)
    ]
    if differences:
        raise InputError(
            f"{path} cannot be resumed: {'; '.join(differences)}; allowed: as it was, or "
            "--restart, which discards it"
        )
