"""How the runs of ablations stand, from what is in the store: for ``ltvm status``.

manifest -> a row per run: state, iteration, time so far, time left, who is at it
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ltvm.errors import InputError, UnreadableError, did_you_mean
from ltvm.runs.ablations.ablation import label_of_values
from ltvm.runs.ablations.forecast import in_words
from ltvm.runs.ablations.manifest import manifest_file, read_manifest
from ltvm.runs.files.index import Index, indexed, uncollected
from ltvm.runs.files.store import Run


@dataclass(frozen=True)
class Standing:
    """How one run of an ablation stands; times in seconds, None where not known."""

    ablation: str
    cell: str  # its words: method, values, note
    seed: int
    state: str  # see ``ltvm.runs.files.store``; ``evaluating`` of a run that is trained
    iteration: int | None = None  # done
    iterations: int | None = None
    seconds_an_iteration: float | None = None
    seconds: float | None = None  # of this process, or of the whole run where it is done
    seconds_left: float | None = None
    holder: str | None = None
    reason: str | None = None
    path: str = ""
    identity: str = ""  # of the cell: others may have the same words

    def in_words(self) -> str:
        """``running: iteration 3 of 6, 2 min left, process 12 on host``, ``done``, ..."""
        words = []
        if self.iteration is not None and self.state == "running":
            words.append(f"iteration {self.iteration} of {self.iterations}")
        if self.seconds_left is not None:
            words.append(f"{in_words(self.seconds_left)} left")
        if self.holder is not None:
            words.append(self.holder)
        if self.state == "done" and self.seconds is not None:
            words.append(in_words(self.seconds))
        return f"{self.state}: {', '.join(words)}" if words else self.state


@dataclass
class Overview:
    """The runs of ablations, in the order of their manifests, and the manifests set aside."""

    rows: list[Standing]
    damaged: list[str]  # a line for each


def overview(results: Path, names: Sequence[str] = (), index: Index | None = None) -> Overview:
    """How the runs of these ablations stand (none: of all), in one pass over their files.

    ``index`` is that of ``results``, for somebody who looks again. Raises
    :class:`ltvm.errors.InputError` for a name without a manifest, or with a damaged one; one that
    was not asked for by name is set aside.
    """
    for name in names:
        if not manifest_file(results, name).is_file():
            raise InputError(
                f"status {name}: no such ablation in {results}; {known_names(results, name)}"
            )
    if index is None:
        with uncollected(), indexed(results) as index:
            return overview(results, names, index)
    found = Overview([], [])
    for file in [manifest_file(results, name) for name in names] or manifests(results):
        try:
            manifest = read_manifest(file)
        except UnreadableError as error:
            if names:
                raise
            found.damaged.append(str(error))
            continue
        found.rows += [
            standing(manifest, entry, Run(results / entry["path"], index))
            for entry in manifest["runs"]
        ]
    return found


def known_names(results: Path, name: str) -> str:
    """The ablations that there are, and which of them ``name`` was probably meant to be."""
    known = [file.stem for file in manifests(results)]
    if not known:
        return "run `ltvm ablate` first"
    return f"allowed: {', '.join(known)}{did_you_mean(name, known)}"


def manifests(results: Path) -> list[Path]:
    return sorted((results / "ablations").glob("*.json"))


def standing(manifest: dict[str, Any], entry: dict[str, Any], run: Run) -> Standing:
    """How the run of an entry of a manifest stands, with all evaluations that it asks for.

    As a report has it: done where all of them are.
    """
    wanted = entry["evaluations"]
    about = {
        "ablation": manifest["name"],
        "cell": label_of_values(entry["method"], entry["values"], entry["note"]),
        "seed": entry["seed"],
        "path": str(run.directory),
        "identity": entry["cell"],
    }
    try:
        trained, *measured = run.record(), *map(run.evaluation, wanted)
    except UnreadableError as error:
        return Standing(**about, state="unreadable", reason=str(error))
    state: str = run.status(*wanted)
    record, found = trained or {}, [one or {} for one in (trained, *measured)]
    reason = next((one.get("reason") for one in found if one.get("status") != "done"), None)
    holder = run.holder()
    progress = run.progress() or {} if holder is not None else {}
    if holder is not None:
        state = "evaluating" if record.get("status") == "done" else "running"
    seconds = progress.get("seconds")
    if state == "done":
        phases = record.get("seconds") or {}
        seconds = sum(filter(None, phases.values()))
        seconds += sum(one.get("seconds") or 0 for one in found[1:])
    iteration = progress.get("iteration", record.get("iterations_done"))
    own = progress.get("iterations_here") or 0
    return Standing(
        **about,
        state=state,
        iteration=iteration,
        iterations=progress.get("iterations"),
        seconds_an_iteration=round(seconds / own, 2) if seconds and own else None,
        seconds=seconds,
        seconds_left=progress.get("seconds_left"),
        holder=None if holder is None else str(holder),
        reason=reason,
    )


def as_json(rows: Sequence[Standing]) -> list[dict[str, Any]]:
    """The rows, each with the time (UTC) at which it is expected to end."""
    moment = datetime.datetime.now(datetime.UTC)
    return [asdict(row) | {"expected_end": expected_end(row.seconds_left, moment)} for row in rows]


def expected_end(seconds_left: float | None, moment: datetime.datetime) -> str | None:
    if seconds_left is None:
        return None
    return (moment + datetime.timedelta(seconds=seconds_left)).isoformat(timespec="seconds")
