"""What a results directory holds that nothing needs any more, and how it is removed.

runs that nobody holds, and what lies beside them -> leftovers, each of a kind -> removed
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ltvm.errors import InputError
from ltvm.runs.ablations.manifest import read_manifest
from ltvm.runs.files.locks import holder
from ltvm.runs.files.store import FINAL, Run
from ltvm.runs.identity import NUMERICS
from ltvm.training.checkpoint import previous_of

CHECKPOINTS = "checkpoints of runs that are done"
TEMPORARY = "temporary files of writers that are gone"
LEASES = "leases of processes that are gone"
LAUNCHER = "folders of launchers"
WEIGHTS = "final weights of runs that no ablation names"
OLD = "runs of old numerics that no ablation names"
KINDS = (CHECKPOINTS, TEMPORARY, LEASES, LAUNCHER, WEIGHTS, OLD)

DAYS = 7  # untouched for so long, what belongs to no run counts as left
WRITTEN_ASIDE = re.compile(r"\..+\.[0-9a-f]+\.tmp|\.writable\.[0-9a-f]+|\.(import|export)-.+")


@dataclass(frozen=True)
class Leftover:
    """A file or folder of a ``kind``, its bytes, and the run that must be held to remove it."""

    kind: str
    path: Path
    size: int
    run: Run | None = None


@dataclass
class Found:
    """What is left, the runs that are held by a process, and records that cannot be read."""

    leftovers: list[Leftover] = field(default_factory=list)
    held: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def of(self, kinds: Iterable[str]) -> list[Leftover]:
        return [leftover for leftover in self.leftovers if leftover.kind in kinds]


def find(results: Path, days: float = DAYS) -> Found:
    """Everything of any kind below ``results``; of runs that are held, nothing."""
    named, found = named_by_ablations(results), Found()
    since = time.time() - days * 86_400
    for directory in sorted((results / "runs").glob("*/*/*/*/")):
        run = Run(directory)
        if leads_out(directory, results):
            found.unreadable.append(f"{directory}: a link that leads elsewhere")
            continue
        if is_held(run, since):
            found.held.append(directory)
            continue
        try:
            found.leftovers += of_run(run, str(directory.relative_to(results)) in named)
        except InputError as error:
            found.unreadable.append(str(error))
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # of a strange record
            found.unreadable.append(f"{directory}: {type(error).__name__}: {error}")
    found.leftovers += beside_runs(results, since)
    if not found.held:  # a launcher's folder may be that of a job that has begun
        found.leftovers += of_launchers(results / "launcher", since)
    return found


def leads_out(directory: Path, results: Path) -> bool:
    """Whether a run's folder is somewhere else, by a link: nothing there is ours to remove."""
    return not directory.resolve().is_relative_to(results.resolve())


def is_held(run: Run, since: float) -> bool:
    """Whether a process is at a run, or was at it lately on a host that cannot be asked."""
    if run.holder() is not None:
        return True
    return run.lease_file.is_file() and run.lease_file.stat().st_mtime >= since


def named_by_ablations(results: Path) -> set[str]:
    """The paths of all runs that a manifest lists; :class:`InputError` if one cannot be read."""
    named = set()
    for file in (results / "ablations").glob("*.json"):
        named |= {entry["path"] for entry in read_manifest(file)["runs"]}
    return named


def of_run(run: Run, named: bool) -> Iterator[Leftover]:
    """What is left of a run that nobody holds."""
    record, sizes = run.record(), 0
    done = record is not None and record["status"] in FINAL
    for leftover in parts_of_run(run, done, named):
        sizes += leftover.size
        yield leftover
    if record is not None and not named and numerics_of(run, record) not in (None, NUMERICS):
        yield Leftover(OLD, run.directory, size_of(run.directory) - sizes, run)


def parts_of_run(run: Run, done: bool, named: bool) -> Iterator[Leftover]:
    """Files of a run that nobody needs; a lease first, since the others are removed under one."""
    if run.lease_file.is_file():
        yield leftover_of(LEASES, run.lease_file, run)
    for path in (run.checkpoint_file, previous_of(run.checkpoint_file)):
        if done and path.is_file() and run.config().get("keep") != "all":
            yield leftover_of(CHECKPOINTS, path, run)
    for path in sorted(run.directory.rglob("*")):
        if WRITTEN_ASIDE.fullmatch(path.name) or path == run.progress_file:
            yield leftover_of(TEMPORARY, path, run)
    if done and not named and run.trained_file.is_file():
        yield leftover_of(WEIGHTS, run.trained_file, run)


def numerics_of(run: Run, record: dict[str, Any]) -> int | None:
    """The ``NUMERICS`` that a run was made with, as it or its evaluations say; None: neither."""
    if "numerics" in record:
        return int(record["numerics"])
    for evaluation in run.evaluations().values():
        for content in evaluation["values"].values():
            if "numerics" in content:
                return int(content["numerics"])
    return None


def beside_runs(results: Path, since: float) -> Iterator[Leftover]:
    """Files and folders that were written aside outside of runs, and never took their place."""
    if not results.is_dir():
        return
    folders = [path for path in results.iterdir() if path.name not in ("runs", "launcher")]
    own = [path for path in folders if path.is_dir() and not path.is_symlink()]
    inside = [path for folder in own for path in folder.rglob(".*")]
    for path in sorted({*folders, *inside}):
        if WRITTEN_ASIDE.fullmatch(path.name) and newest(path) < since:
            yield leftover_of(TEMPORARY, path)
        gone = path.suffix == ".held" and holder(path) is None  # which takes those of this host
        if gone and path.is_file() and newest(path) < since:
            yield leftover_of(LEASES, path)


def of_launchers(folder: Path, since: float) -> Iterator[Leftover]:
    """What launchers wrote beside the runs; a job that waits in a queue still needs its own."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for path in sorted(folder.iterdir()):
        own = path.is_dir() and not path.is_symlink()
        parts = sorted(path.iterdir()) if own and path.name.startswith(".") else [path]
        for part in parts:
            if newest(part) < since:
                yield leftover_of(LAUNCHER, part)


def leftover_of(kind: str, path: Path, run: Run | None = None) -> Leftover:
    return Leftover(kind, path, size_of(path), run)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else (path,)
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def newest(path: Path) -> float:
    """When a file, or anything in a folder, was last written."""
    parts = () if path.is_symlink() else path.rglob("*")
    return max(part.lstat().st_mtime for part in (path, *parts))


def remove(leftovers: Iterable[Leftover]) -> tuple[int, list[Path]]:
    """Remove them; (bytes freed, runs that a process has taken since and that are left)."""
    freed, taken = 0, []
    by_run: dict[Path | None, list[Leftover]] = {}
    for leftover in leftovers:
        by_run.setdefault(leftover.run.directory if leftover.run else None, []).append(leftover)
    for directory, own in by_run.items():
        if directory is None:
            freed += sum(map(delete, own))
            continue
        run = Run(directory)
        if run.holder() is None:
            freed += sum(delete(leftover) for leftover in own if leftover.kind == LEASES)
        with run.held() as hold:
            if hold is not None:
                freed += sum(delete(leftover) for leftover in own if leftover.kind != LEASES)
            else:
                taken.append(directory)
        remove_empty(directory)
    return freed, taken


def delete(leftover: Leftover) -> int:
    """Remove one; returns its bytes."""
    path = leftover.path
    if leftover.run is not None and path == leftover.run.directory:
        for part in path.iterdir():
            if part != leftover.run.lease_file:  # which is this process's, for now
                delete(replace(leftover, path=part))
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return leftover.size


def remove_empty(directory: Path) -> None:
    """Remove a run's folder, and those of its cell, method and data set, that have nothing left."""
    for folder in (directory, *directory.parents[:3]):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:  # something is in it
            return
