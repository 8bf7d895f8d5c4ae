"""Records of runs on disk.

    <results>/runs/<data>/<method>/<identity>/seed=<s>/
        config.yaml  record.json  history.csv  checkpoint.pt (while running)  final.safetensors
        evaluations/<identity>.json  samples.png  reconstructions.png

A run is ``done`` or ``diverged`` (final), ``failed`` (tried again where that is asked for),
``interrupted`` (goes on), ``running`` (a process holds it: ``ltvm.runs.locks``), ``pending`` (no
record) or ``unreadable`` (its record is damaged). Its evaluations have the same states, each its
own. While it runs, ``running.json`` says how far it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from ltvm.errors import InputError, UnreadableError
from ltvm.runs.identity import identity
from ltvm.runs.locks import Hold, Holder, holder, holding
from ltvm.runs.trust import check_name
from ltvm.runtime.files import read_json, write_json, write_text

Status = Literal["pending", "running", "done", "failed", "diverged", "interrupted", "unreadable"]
FINAL: tuple[Status, ...] = ("done", "diverged")


@dataclass(frozen=True)
class Run:
    """One run's directory: a cell and a seed."""

    directory: Path

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
            content = yaml.safe_load(self.config_file.read_text())
        except (OSError, ValueError, yaml.YAMLError) as error:
            what = " ".join(str(error).split())[:120]
            raise InputError(f"{self.config_file} cannot be read ({what})") from error
        if not isinstance(content, dict):
            raise InputError(f"{self.config_file} is not a configuration of a run")
        return content

    def record(self) -> dict[str, Any] | None:
        """The record, or None if there is none.

        Raises :class:`ltvm.errors.UnreadableError` if it is damaged.
        """
        return read_with_status(self.record_file, "a record")

    def evaluation_file(self, identity: str) -> Path:
        return self.directory / "evaluations" / f"{identity}.json"

    def evaluation_picture(self, identity: str) -> Path:
        """Samples of an evaluation whose sampler is not the method's own prior."""
        return self.evaluation_file(identity).with_suffix(".png")

    def evaluation(self, identity: str) -> dict[str, Any] | None:
        """An evaluation of this run (see ``ltvm.runs.evaluate``), or None if there is none.

        Raises :class:`ltvm.errors.UnreadableError` if it is damaged.
        """
        return read_with_status(self.evaluation_file(identity), "an evaluation")

    def evaluations(self) -> dict[str, dict[str, Any]]:
        """All evaluations of this run by their identity, in the order of their names."""
        files = sorted((self.directory / "evaluations").glob("*.json"))
        found = {file.stem: self.evaluation(file.stem) for file in files}
        return {name: content for name, content in found.items() if content is not None}

    def status(self, *evaluations: str) -> Status:
        """The status of the training and, once that is done, of these evaluations.

        What says ``running`` while nobody holds the run is ``interrupted``. The first evaluation
        that is not done decides.
        """
        status: Status = "pending"
        try:
            for content in (self.record(), *map(self.evaluation, evaluations)):
                status = "pending" if content is None else content["status"]
                if status != "done":
                    break
        except UnreadableError:
            return "unreadable"
        return "interrupted" if status == "running" and self.holder() is None else status

    def write_record(self, record: dict[str, Any]) -> None:
        write_json(self.record_file, record)

    def write_evaluation(self, content: dict[str, Any]) -> None:
        write_json(self.evaluation_file(content["identity"]), content)

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
        """Hold this run; yields None, holding nothing, if another process does."""
        with holding(self.lease_file, timeout) as hold:
            yield hold

    @property
    def progress_file(self) -> Path:
        return self.directory / "running.json"

    def progress(self) -> dict[str, Any] | None:
        """How far it is (see ``ltvm.runs.progress``), or None where nobody says."""
        try:
            content: dict[str, Any] = read_json(self.progress_file)
        except (OSError, ValueError):  # none, or gone between two looks: there will be another
            return None
        return content


def read_with_status(file: Path, what: str) -> dict[str, Any] | None:
    """A JSON file with a status; None if there is none, ``UnreadableError`` if it is damaged."""
    try:
        content = read_json(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:120]
        raise UnreadableError(file, f"is not {what} ({why})", "delete it to do it again") from error
    if not isinstance(content, dict) or "status" not in content:
        raise UnreadableError(file, f"is not {what} (it has no status)", "delete it to do it again")
    return content


@dataclass(frozen=True)
class Store:
    """All runs below a results directory."""

    root: Path

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
        return [Run(path.parent) for path in sorted((self.root / "runs").rglob("record.json"))]

    def check_writable(self) -> None:
        """Raise :class:`InputError` if results cannot be written."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".writable.{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise InputError(
                f"paths.results={self.root}: cannot be written ({error.strerror}); "
                "allowed: a writable directory"
            ) from error


def with_evaluation(run: Run, evaluation: str) -> dict[str, Any]:
    """A run's record with the values of one of its evaluations, under ``metrics``.

    ``status`` and ``reason`` are those of the training, or of the evaluation where that is the one
    not done. Raises :class:`InputError` if there is no record.
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
        "metrics": measured.get("values", {}),
    }
