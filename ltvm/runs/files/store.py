"""Records of runs on disk.

    <results>/runs/<data>/<method>/<identity>/seed=<s>/
        config.yaml  record.json  history.csv  checkpoint.pt (while running)  final.safetensors
        evaluations/<identity>.json  samples.png  reconstructions.png  nearest.png
        interpolations.png

A run is ``done`` or ``diverged`` (final), ``failed`` (tried again where that is asked for),
``interrupted`` (goes on), ``running`` (a process holds it: ``ltvm.runs.files.locks``), ``pending``
(no record) or ``unreadable`` (its record is damaged). Its evaluations have the same states, each
its own. While it runs, ``running.json`` says how far it is.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from ltvm.errors import InputError, UnreadableError
from ltvm.runs.files.content import EVALUATION, RECORD, Sort
from ltvm.runs.files.locks import Hold, Holder, holder, holding
from ltvm.runs.files.reading import DISK, Files
from ltvm.runs.identity import identity
from ltvm.runs.trust import check_name, check_no_link
from ltvm.runtime.files import read_json, write_sealed_json, write_text

Status = Literal["pending", "running", "done", "failed", "diverged", "interrupted", "unreadable"]
FINAL: tuple[Status, ...] = ("done", "diverged")
WEIGHTS = "final_sha256"  # of a record and of its evaluations: the checksum of the weights
# what ltvm.runs.execution.pictures makes
PICTURES = ("samples", "reconstructions", "nearest", "interpolations")
SAMPLED = {"samples": "", "nearest": "-nearest"}  # those of another sampler -> end of their names


@dataclass(frozen=True)
class Run:
    """One run's directory, a cell and a seed, and how its files are read."""

    directory: Path
    files: Files = field(default=DISK, repr=False, compare=False)

    @property
    def record_file(self) -> Path:
        return self.directory / "record.json"

    @property
    def checkpoint_file(self) -> Path:
        return self.directory / "checkpoint.pt"

    @property
    def trained_file(self) -> Path:
        return self.directory / "final.safetensors"

    @property
    def config_file(self) -> Path:
        return self.directory / "config.yaml"

    def config(self) -> dict[str, Any]:
        """The resolved configuration; raises :class:`InputError` if it is absent or unreadable."""
        try:
            content = self.files.yaml(self.config_file)
        except (OSError, ValueError) as error:
            what = " ".join(str(error).split())[:120]
            raise InputError(f"{self.config_file} cannot be read ({what})") from error
        if not isinstance(content, dict):
            raise InputError(f"{self.config_file} is not a configuration of a run")
        return content

    def record(self) -> dict[str, Any] | None:
        """The record, or None if there is none.

        Raises :class:`ltvm.errors.UnreadableError` if it is damaged.
        """
        return read_with_status(self.files, self.record_file, RECORD)

    def evaluation_file(self, identity: str) -> Path:
        return self.directory / "evaluations" / f"{identity}.json"

    def picture(self, kind: str) -> Path:
        """One of ``PICTURES``."""
        return self.directory / f"{kind}.png"

    def evaluation_picture(self, identity: str, kind: str) -> Path:
        """One of ``SAMPLED``, of an evaluation whose sampler is not the method's own prior."""
        return self.evaluation_file(f"{identity}{SAMPLED[kind]}").with_suffix(".png")

    def evaluation(self, identity: str) -> dict[str, Any] | None:
        """An evaluation of this run (``ltvm.runs.execution.evaluate``), or None if there is none.

        Raises :class:`ltvm.errors.UnreadableError` if it is damaged, or was measured on other
        weights than the record's.
        """
        file = self.evaluation_file(identity)
        content = read_with_status(self.files, file, EVALUATION)
        if content is not None and self.is_of_other_weights(content):
            what = "was measured on other weights than those of the record.json beside it"
            raise UnreadableError(file, what, "delete it to measure again")
        return content

    def is_of_other_weights(self, evaluation: dict[str, Any]) -> bool:
        """Whether record and evaluation both say which weights they are of, and differ."""
        measured = evaluation.get(WEIGHTS)
        if measured is None:
            return False
        try:
            record = self.record() or {}
        except UnreadableError:  # which is told where the record itself is read
            return False
        return bool(record.get(WEIGHTS, measured) != measured)

    def evaluations(self) -> dict[str, dict[str, Any]]:
        """All evaluations of this run by their identity, in the order of their names."""
        found = {name: self.evaluation(name) for name in self.evaluation_names()}
        return {name: content for name, content in found.items() if content is not None}

    def evaluation_names(self) -> list[str]:
        """The identities of the evaluations that there are files of."""
        try:
            listed = sorted(os.listdir(self.directory / "evaluations"))  # noqa: PTH208 - thousands
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [file.removesuffix(".json") for file in listed if file.endswith(".json")]

    def status(self, *evaluations: str) -> Status:
        """The status of the training and, once that is done, of these evaluations.

        What says ``running`` while nobody holds the run is ``interrupted``; what another process
        holds is ``running`` before its record says so. The first evaluation that is not done
        decides.
        """
        status: Status = "pending"
        try:
            for content in (self.record(), *map(self.evaluation, evaluations)):
                status = "pending" if content is None else content["status"]
                if status != "done":
                    break
        except UnreadableError:
            return "unreadable"
        return self.as_it_is(status)

    def as_it_is(self, status: Status) -> Status:
        """What a file says, held against who is at the run now (see ``status``)."""
        if status == "running":
            return status if self.holder() is not None else "interrupted"
        if status in ("pending", "interrupted") and self.lease_file.is_file():
            holder = self.holder()
            return status if holder is None or holder.is_here() else "running"
        return status

    def write_record(self, record: dict[str, Any]) -> None:
        write_sealed_json(self.record_file, record)

    def write_evaluation(self, content: dict[str, Any]) -> None:
        check_name("identity", content["identity"])
        write_sealed_json(self.evaluation_file(content["identity"]), content)

    def write_config(self, config: dict[str, Any]) -> None:
        write_text(self.config_file, yaml.safe_dump(config, sort_keys=False))

    @property
    def lease_file(self) -> Path:
        return self.directory / ".held"

    def holder(self) -> Holder | None:
        """The process that is at this run, if any."""
        return holder(self.lease_file)

    @contextmanager
    def held(self, timeout: float = 1.0) -> Iterator[Hold | None]:
        """Hold this run; yields None, holding nothing, if another process does.

        Whoever writes to a run holds it: one that is a link is refused.
        """
        check_no_link(self.directory)
        with holding(self.lease_file, timeout) as hold:
            yield hold

    @property
    def progress_file(self) -> Path:
        return self.directory / "running.json"

    def progress(self) -> dict[str, Any] | None:
        """How far it is (see ``ltvm.runs.execution.progress``), or None where nobody says."""
        try:
            content: dict[str, Any] = read_json(self.progress_file)
        except (OSError, ValueError):  # none, or gone between two looks: there will be another
            return None
        return content


def read_with_status(files: Files, file: Path, sort: Sort) -> dict[str, Any] | None:
    """A JSON file with a status; None if there is none, ``UnreadableError`` if it is damaged."""
    try:
        return dict(files.json(file, sort))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:120]
        what = f"is not {sort.what} ({why})"
        raise UnreadableError(file, what, "delete it to do it again") from error


@dataclass(frozen=True)
class Store:
    """All runs below a results directory."""

    root: Path
    files: Files = field(default=DISK, repr=False, compare=False)

    def run(self, config: dict[str, Any]) -> Run:
        """Where the run of a resolved configuration lives, whether it exists or not.

        Raises :class:`InputError` for names that are none of a folder.
        """
        for group in ("data", "method"):
            check_name(f"{group}.name", config[group]["name"])
        return Run(
            self.root
            / "runs"
            / config["data"]["name"]
            / config["method"]["name"]
            / identity(config)
            / f"seed={config['seed']}"
        )

    def runs(self) -> list[Run]:
        """Every run that has a record, in order of its path."""
        found = folders_with("record.json", str(self.root / "runs"))
        return [Run(path, self.files) for path in sorted(map(Path, found))]

    def check_writable(self) -> None:
        """Raise :class:`InputError` if results cannot be written."""
        check_writable("paths.results", self.root)
        self.root.mkdir(parents=True, exist_ok=True)


def check_writable(key: str, folder: Path) -> None:
    """Raise :class:`InputError` unless a folder, or what it would be made in, takes files."""
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        probe = there / f".writable.{secrets.token_hex(8)}"
        try:
            probe.write_bytes(b"some")  # a full disk takes a name, but no bytes
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{key}={folder}: cannot be written ({error.strerror}); allowed: a writable directory"
        ) from error


def folders_with(name: str, folder: str) -> Iterator[str]:
    """The folders from ``folder`` down that have a file of this name, but for those within them."""
    try:
        with os.scandir(folder) as entries:
            listed = list(entries)
    except OSError:  # none, gone between two looks, or not to be read
        return
    if any(entry.name == name for entry in listed):
        yield folder
        return
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            yield from folders_with(name, entry.path)


def with_evaluation(run: Run, evaluation: str) -> dict[str, Any]:
    """A run's record with the values of one of its evaluations, under ``metrics``.

    ``status`` and ``reason`` are those of the training, or of the evaluation where that is the one
    not done; ``directory`` is where the run is. Raises :class:`InputError` if there is no record.
    """
    record = run.record()
    if record is None:
        raise InputError(f"{run.directory}: no record.json there")
    measured = run.evaluation(evaluation) or {}
    reason = measured.get("reason") if record["status"] == "done" else record.get("reason")
    return record | {
        "status": run.status(evaluation),
        "reason": reason,
        "evaluation": evaluation,
        "directory": str(run.directory),
        "metrics": measured.get("values", {}),
    }
