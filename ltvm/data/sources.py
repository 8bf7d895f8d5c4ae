"""Where image files are looked for, and what is said when they are absent or broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ltvm.errors import InputError


def data_root(root: str | Path) -> Path:
    """The data directory, ``~`` expanded; ``LTVM_DATA_ROOT`` sets it (see config.yaml)."""
    return Path(root).expanduser()


def ensure_files(name: str, files: dict[Path, str], download: Callable[[], object]) -> None:
    """Download ``files`` (path -> size in words) if any is absent.

    Raises :class:`InputError` that says which file, where it would be found and its size if
    it is still absent afterwards.
    """
    absent = [path for path in files if not path.exists()]
    if not absent:
        return
    reason = "the download left it absent"
    try:
        for path in absent:
            path.parent.mkdir(parents=True, exist_ok=True)
        download()
    except (OSError, RuntimeError) as error:  # no network, a quota page, a broken archive
        reason = " ".join(str(error).split())[:160]
    for path in absent:
        if not path.exists():
            raise InputError(
                f"data={name}: no file {path} ({files[path]}), and no download: {reason}.\n"
                "Put it there, or set LTVM_DATA_ROOT to a directory that has it"
            )


@contextmanager
def reading(name: str, path: Path) -> Iterator[None]:
    """Turn any failure to parse a data file into an :class:`InputError` that names it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"data={name}: {path} is truncated or corrupted ({what}).\n"
            "Delete it to have it downloaded again"
        ) from error
