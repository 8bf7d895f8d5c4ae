"""Disks that are full, read-only or gone, paths and clocks as they come, workers that are killed.

A disk is full in two ways: a tmpfs of some size below the results, where this user may mount one;
and, file by file, a stand-in that raises what a full disk raises after a file's first 50 bytes.
After each, the same command without the fault gives the undisturbed sweep, bit for bit.
"""

from __future__ import annotations

import errno
import importlib.util
import io
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.faults.cases import Case, Ended, ltvm, start
from benchmarks.faults.sweep import (
    COMMAND,
    ablate,
    copy,
    is_one_line,
    numbers,
    same_as,
    template,
    temporary,
)

Fault = Callable[[Path], None]  # in the process that is to suffer it, given the case's folder

# What is written, by its name, and whether a sweep can be done without it.
WRITTEN = {
    "config.yaml": False, "record.json": False, "checkpoint.pt": False, "history.csv": False,
    "final.safetensors": False, "samples.png": False, "reconstructions.png": False,
    "nearest.png": False, "interpolations.png": False,
    "EVALUATION": False, "faults.json": False, "long.parquet": False, "table.md": False,
    "README.md": False, "running.json": True, "FEATURES": True,
}  # fmt: skip
PATTERNS = {"EVALUATION": "[0-9a-f]{12}\\.json", "FEATURES": ".*\\.f32"}
SIZES = (40, 300, 700, 1000, 1400)  # kB of a tmpfs: room for less and less of a sweep


def cases() -> list[Case]:
    found = [full_case(name, free) for name, free in WRITTEN.items()]
    if may_mount():
        found += [tmpfs_case(size) for size in SIZES]
        found.append(Case("results read-only: of a sweep that is done, and of none", read_only))
    found += [
        Case("results vanish: while a run is under way", vanish),
        Case("results vanish: and a file is in their place", replaced),
        Case("results vanish: a file is there from the start", a_file_from_the_start),
        Case("reports unusable: a file is in their place", reports_a_file),
        Case("path: with spaces, umlauts and a quote", odd_path),
        Case("clock: set back by a day", clock_set_back),
        Case("clock: a lease of another host, of tomorrow", lease_of_tomorrow),
        Case("lease: empty, as a full disk leaves it", empty_lease),
        Case("NaN: a run that leaves the numbers", leaves_the_numbers),
        Case("left behind: temporary files of killed runs", left_behind),
        Case("worker killed: joblib's", lambda folder: worker_killed(folder, "joblib")),
    ]
    if importlib.util.find_spec("ray"):
        found.append(Case("worker killed: Ray's", lambda folder: worker_killed(folder, "ray")))
    return found


def short() -> list[Case]:
    wanted = ("while record.json", "while a run")
    return [case for case in cases() if any(word in case.name for word in wanted)]


def goes_on(folder: Path, *flags: str, command: list[str] = COMMAND) -> str | None:
    """None if the same command, undisturbed, gives the undisturbed sweep and leaves nothing."""
    ended = ltvm(folder, *command, *flags)
    left = temporary(folder)
    return (
        is_one_line(ended, [0])
        or same_as(template(*command), folder)
        or (f"{left[0].relative_to(folder)} stays" if left else None)
    )


def disturbed(folder: Path, fault: Fault) -> Ended:
    template(*COMMAND)  # before: the cache is warm
    return ltvm(folder, *COMMAND, before=lambda: fault(folder))


# Full disks


def full_case(name: str, free: bool) -> Case:
    """``free``: the sweep can do without this file."""

    def run(folder: Path) -> str | None:
        def fault(folder: Path) -> None:
            if name == "FEATURES":
                os.environ["LTVM_CACHE_DIR"] = str(folder / "cache")
            full_disk(PATTERNS.get(name) or re.escape(name))

        ended = disturbed(folder, fault)
        wrong = is_one_line(ended, [0] if free else [1])
        if wrong is None and not free and "No space left" not in ended.err:
            wrong = f"the reason is not told: {ended.err[-300:]!r}"
        kept = numbers(folder)
        whole = numbers(template(*COMMAND))
        other = [run for run in kept if kept[run] != whole[run]]
        wrong = wrong or (f"{other[0]} is done with other numbers" if other else None)
        return wrong or goes_on(folder, "--retry", "failed")

    return Case(f"disk full: while {name} is written", run)


def full_disk(pattern: str) -> None:
    """Have every write of a file of this name end after some bytes, as on a full disk."""
    opened, own = Path.open, re.compile(rf"\.({pattern})\.[0-9a-f]+\.tmp")

    def open_(self: Path, mode: str = "r", *others: Any, **options: Any) -> Any:
        file = opened(self, mode, *others, **options)
        return Full(file) if "w" in mode and own.fullmatch(self.name) else file

    Path.open = open_  # type: ignore[method-assign,assignment]


class Full:
    """A file on a disk with room for ``room`` bytes more."""

    def __init__(self, file: Any, room: int = 50) -> None:
        self.file, self.room = file, room

    def write(self, content: Any) -> int:
        taken = bytes(content)[: self.room]
        self.file.write(taken)
        self.room -= len(taken)
        if len(taken) < len(bytes(content)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(taken)

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def may_mount() -> bool:
    """Whether this user may mount a tmpfs."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            with tmpfs(Path(folder) / "try", 64):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def tmpfs(folder: Path, size: int) -> Iterator[None]:
    """A file system of ``size`` kB at ``folder``."""
    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def tmpfs_case(size: int) -> Case:
    def run(folder: Path) -> str | None:
        results = folder / "results"
        with tmpfs(results, size):
            ended = disturbed(folder, lambda _: None)
            wrong = is_one_line(ended, [1, 2])
            if wrong is None and "No space left" not in ended.err:
                wrong = f"the reason is not told: {ended.err[-300:]!r}"
            if wrong is None:
                mount("-o", "remount,size=100m", str(results))
                wrong = goes_on(folder, "--retry", "failed")
            return wrong

    return Case(f"disk full: a tmpfs of {size} kB", run)


def read_only(folder: Path) -> str | None:
    results = folder / "results"
    with tmpfs(results, 100_000):
        shutil.copytree(template(*COMMAND) / "results", results, dirs_exist_ok=True)
        mount("-o", "remount,ro", str(results))
        for command in (["status"], ["report"]):
            wrong = is_one_line(ltvm(folder, *command), [0])
            if wrong is not None:
                return f"{command[0]}: {wrong}"
        for seeds in ("0,1", "0,1,2"):
            ended = ltvm(folder, *ablate("vae", seeds, "protocol.iterations=3"))
            wrong = is_one_line(ended, [0, 2] if seeds == "0,1" else [2])
            if wrong is not None:
                return f"ablate of seeds {seeds}: {wrong}"
    return None


# What is gone, or somewhere else


def in_second_iteration(do: Callable[[], object]) -> None:
    """Have something happen once, in the second iteration of the first run."""
    from ltvm.methods import VariationalAutoEncoder

    original, done = VariationalAutoEncoder.fit_iteration, []

    def fit_iteration(self: Any) -> Any:
        if self.iteration == 1 and not done:
            done.append(True)
            do()
        return original(self)

    VariationalAutoEncoder.fit_iteration = fit_iteration  # type: ignore[method-assign]


def vanish(folder: Path) -> str | None:
    results, elsewhere = folder / "results", folder / "elsewhere"
    ended = disturbed(folder, lambda _: in_second_iteration(lambda: results.rename(elsewhere)))
    wrong = is_one_line(ended, [1])
    if wrong is None and "is gone" not in ended.err:
        wrong = f"it is not said: {ended.err[-300:]!r}"
    if results.is_dir():
        shutil.rmtree(results)
    elsewhere.rename(results)
    return wrong or goes_on(folder)


def replaced(folder: Path) -> str | None:
    results, elsewhere = folder / "results", folder / "elsewhere"

    def replace() -> None:
        results.rename(elsewhere)
        results.write_text("")

    ended = disturbed(folder, lambda _: in_second_iteration(replace))
    wrong = is_one_line(ended, [1, 2])
    results.unlink()
    elsewhere.rename(results)
    return wrong or goes_on(folder)


def a_file_from_the_start(folder: Path) -> str | None:
    (folder / "results").write_text("")
    ended = ltvm(folder, *COMMAND)
    wrong = is_one_line(ended, [2])
    if wrong is None and "paths.results" not in ended.err:
        wrong = f"the key is not named: {ended.err[-200:]!r}"
    return wrong


def reports_a_file(folder: Path) -> str | None:
    (folder / "reports").write_text("")
    ended = ltvm(folder, *COMMAND)
    wrong = is_one_line(ended, [2])
    if wrong is None and "paths.reports" not in ended.err:
        wrong = f"the key is not named: {ended.err[-200:]!r}"
    if wrong is None and list(folder.rglob("record.json")):
        wrong = "found after the training"
    return wrong


def odd_path(folder: Path) -> str | None:
    inside = folder / "Ergebnisse für Ähre's Läufe (neu)"
    inside.mkdir()
    return goes_on(inside)


# Clocks


def clock_set_back(folder: Path) -> str | None:
    """A run was killed; its files and its lease are of tomorrow, by the clock there is now."""
    killed = disturbed(
        folder, lambda _: in_second_iteration(lambda: os.kill(os.getpid(), signal.SIGKILL))
    )
    if killed.code != -signal.SIGKILL:
        return f"not killed, but {killed.code}"
    tomorrow = time.time() + 86_400
    for path in folder.rglob("*"):
        os.utime(path, (tomorrow, tomorrow))
    return goes_on(folder)


def lease_of_tomorrow(folder: Path) -> str | None:
    """The machine that had a run is gone; its clock was ahead. ``--wait`` goes by our own."""
    whole = template(*COMMAND)
    run = sorted(numbers(whole))[0]
    lease = folder / run / ".held"
    lease.parent.mkdir(parents=True)
    from ltvm.runs.files.locks import holding

    with holding(lease):
        content = re.sub("(?m)^host=.*", "host=another", lease.read_text())
        content = re.sub("(?m)^duration=.*", "duration=2.0", content)
    lease.write_text(content)
    tomorrow = time.time() + 86_400
    os.utime(lease, (tomorrow, tomorrow))

    def sooner() -> None:
        from ltvm.runs.files import locks
        from ltvm.runs.launching import sweep

        locks.LEASE, locks.HEARTBEAT, sweep.POLL = 2.0, 0.2, 0.5

    ended = ltvm(folder, *COMMAND, "--wait", before=sooner)
    return is_one_line(ended, [0]) or same_as(whole, folder)


def empty_lease(folder: Path) -> str | None:
    whole = template(*COMMAND)
    lease = folder / sorted(numbers(whole))[0] / ".held"
    lease.parent.mkdir(parents=True)
    lease.write_bytes(b"")
    ended = ltvm(folder, *COMMAND)
    wrong = is_one_line(ended, [3])
    if wrong is None and "1 run left to" not in ended.err:
        wrong = f"it is not said: {ended.err[-300:]!r}"
    old = time.time() - 600
    os.utime(lease, (old, old))
    return wrong or goes_on(folder)


# Runs and workers


def leaves_the_numbers(folder: Path) -> str | None:
    def nan() -> None:
        from ltvm.methods import VariationalAutoEncoder

        original, runs = VariationalAutoEncoder.fit_iteration, []

        def fit_iteration(self: Any) -> Any:
            found = original(self)
            runs.append(self)
            if self is runs[0]:
                for weights in self.decoder.parameters():
                    weights.data.fill_(float("nan"))
            return found

        VariationalAutoEncoder.fit_iteration = fit_iteration  # type: ignore[method-assign]

    ended = disturbed(folder, lambda _: nan())
    wrong = is_one_line(ended, [0])
    if wrong is None and "diverged: " not in ended.err:
        wrong = f"it is not said: {ended.err[-300:]!r}"
    if wrong is None and len(numbers(folder)) != 1:
        wrong = f"{len(numbers(folder))} runs are done, not the other one"
    return wrong or goes_on(folder, "--retry", "diverged")


def left_behind(folder: Path) -> str | None:
    """What a killed process was writing: gone with the next start, or with ``ltvm gc``."""
    copy(template(*COMMAND), folder)
    run = folder / sorted(numbers(folder))[0]
    (run / "record.json").unlink()
    places = [run, run / "evaluations", folder / "reports" / "faults", folder / "results/ablations"]
    names = ["record.json", f"{'0' * 12}.json", "README.md", "faults.json"]
    for place, name in zip(places, names, strict=True):
        (place / f".{name}.0123456789abcdef.tmp").write_bytes(b"half")
    return goes_on(folder)


def worker_killed(folder: Path, launcher: str) -> str | None:
    """The first worker that holds a run is killed, as for its memory; the others go on."""
    template(*COMMAND)
    extra = [f"hydra/launcher={launcher}"]
    extra += ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else []
    started = start(folder, [*COMMAND[:-2], *extra, *COMMAND[-2:]])
    killed, began = None, time.monotonic()
    while started.poll() is None and time.monotonic() - began < 300:
        holders = [pid for pid in map(pid_of, folder.rglob(".held")) if pid not in (None, killed)]
        if killed is None and holders and holders[0] != started.pid:
            killed = holders[0]
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
        time.sleep(0.05)
    started.kill()
    ended = started.wait()
    if killed is None:
        return f"no worker was seen: exit code {ended.code}, {ended.err[-300:]!r}"
    return is_one_line(ended, [0]) or same_as(template(*COMMAND), folder)


def pid_of(lease: Path) -> int | None:
    """Who holds a lease of a run, as its file says."""
    if lease.parent.parent.parent.parent.parent.name != "runs":
        return None
    try:
        found = re.search(r"(?m)^(?:pid=)?(\d+)$", lease.read_text())
    except OSError:
        return None
    return int(found[1]) if found else None
