"""Records from another machine beside those that are here: nothing is ever overwritten.

an export -> checksums -> runs, evaluations, manifests: new ones join, equal ones stay, conflicts
are named
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ltvm.errors import InputError, UnreadableError
from ltvm.runs.ablations.found import found_file, found_folder, read_found
from ltvm.runs.ablations.manifest import changing, manifest_file, read_manifest, set_seeds
from ltvm.runs.files.store import FINAL, SAMPLED, Run, Store
from ltvm.runs.housekeeping.archive import SUMS, unpacked, verified
from ltvm.runs.housekeeping.export import CONFIG, KEPT, PICTURED, WEIGHTS
from ltvm.runs.places import with_places, without_places
from ltvm.runs.trust import check_no_link, check_stays, is_own
from ltvm.runtime.files import write_sealed_json, write_text, writing

RECORD = "record.json"
TRAINING = (*(f for f in KEPT if f != RECORD), *PICTURED, WEIGHTS, RECORD)  # the record last
ONE_ABLATION = ("ablation", "axes", "combine", "reference")  # what manifests of one agree in
STATED = ("claims", "question", "margin")  # of which ours stay


@dataclass
class Merged:
    """What came of an import: (what, how) -> how many, and what is in conflict."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    conflicts: list[str] = field(default_factory=list)
    ablations: list[str] = field(default_factory=list)  # those that have something new
    checked: bool = True  # whether there were checksums

    def conflict(self, what: str, where: str, why: str) -> None:
        self.counts[what, "in conflict"] += 1
        self.conflicts.append(f"{where}: {why}")


def import_records(source: Path, results: Path) -> Merged:
    """Add what an export has, an archive or a directory, to ``results``.

    The same run with another content is a conflict: what is here stays, and the rest is added.
    Raises :class:`InputError`, before anything is added, for what is no export, or is not what its
    checksums say. A directory without checksums is taken as it is.
    """
    Store(results).check_writable()
    if source.is_file():
        with unpacked(source, results) as folder:
            return merge(folder, results)
    if not source.is_dir():
        gone = "" if source.exists() else "no such file or directory; "
        made = "allowed: a file or directory made by `ltvm export`"
        raise InputError(f"import {source}: {gone}{made}")
    if (source / SUMS).is_file():
        return merge(verified(source, source), results)
    merged = merge(source, results)
    merged.checked = False
    return merged


def merge(source: Path, results: Path) -> Merged:
    """Add the runs and manifests below ``source`` to ``results``."""
    manifests = [their_manifest(file) for file in sorted((source / "ablations").glob("*.json"))]
    runs = Store(source).runs()
    if not manifests and not runs:
        raise InputError(f"import {source}: no records in it")
    merged = Merged()
    for run in runs:
        path = run.directory.relative_to(source)
        check_path(run.record_file, path)
        merge_run(run, Run(results / path), path.as_posix(), merged)
    for file in sorted(found_folder(source).glob("*.json")):
        merge_found(file, source, results, merged)
    for manifest in manifests:
        merge_manifest(manifest, manifest_file(results, manifest["name"]), merged)
    return merged


def merge_found(new: Path, source: Path, results: Path, merged: Merged) -> None:
    """Add what tuning found for a cell."""
    where = new.relative_to(source).as_posix()
    try:
        content = read_found(new)
        old = found_file(results, content["study"], len(content["trials"]))
        check_stays(old.parent, results.resolve())
    except InputError as error:
        merged.conflict("tuned settings", where, str(error))
        return
    if not is_own(new, source) or new.name != old.name:
        merged.conflict("tuned settings", where, "allowed: STUDY-TRIALS.json, and no link")
    elif not old.is_file():
        add(new, old)
        merged.counts["tuned settings", "added"] += 1
    elif new.read_bytes() == old.read_bytes():
        merged.counts["tuned settings", "equal"] += 1
    else:
        merged.conflict("tuned settings", where, "another content")


def merge_run(theirs: Run, ours: Run, name: str, merged: Merged) -> None:
    """Add one run: what its training left as a whole or not at all, then its evaluations."""
    there = theirs.status()
    if there == "unreadable":
        merged.conflict("runs", name, f"the {RECORD} there is damaged")
        return
    try:
        check_no_link(theirs.directory)
        if theirs.config_file.is_file():
            without_places(theirs.config())
    except InputError as error:
        merged.conflict("runs", name, str(error))
        return
    with ours.held() as hold:
        if hold is None:
            merged.conflict("runs", name, f"{ours.holder() or 'another process'} is at it")
            return
        pairs = [(theirs.directory / file, ours.directory / file) for file in TRAINING]
        pairs = [(new, old) for new, old in pairs if is_own(new, theirs.directory)]
        other = [old.name for new, old in pairs if old.is_file() and not equal(new, old)]
        if other:
            what = f"{', '.join(other)}: another content"
            merged.conflict("runs", name, f"{what} (here {ours.status()}, there {there})")
            return
        absent = [(new, old) for new, old in pairs if not old.is_file()]
        for new, old in absent:
            add(new, old)
        merged.counts["runs", "added" if absent else "equal"] += 1
        for new in sorted((theirs.directory / "evaluations").glob("*.json")):
            if not is_own(new, theirs.directory):
                continue
            old = ours.evaluation_file(new.stem)
            if not old.is_file():
                add(new, old)
                merged.counts["evaluations", "added"] += 1
                for kind in SAMPLED:
                    picture = theirs.evaluation_picture(new.stem, kind)
                    if is_own(picture, theirs.directory):
                        add(picture, ours.evaluation_picture(new.stem, kind))
            elif equal(new, old):
                merged.counts["evaluations", "equal"] += 1
            else:
                where = f"{name}/evaluations/{new.name}"
                merged.conflict("evaluations", where, "another content")


def equal(new: Path, old: Path) -> bool:
    """Whether two files say the same: byte for byte, or but for the directories of a machine.

    A record that was taken from the package says so, and is the same run all the same.
    """
    if new.read_bytes() == old.read_bytes():
        return True
    if old.name == RECORD:
        records = [dict(Run(path.parent).record() or {}) for path in (new, old)]
        taken = [record.pop("stored", None) is not None for record in records]
        return any(taken) and records[0] == records[1]
    if old.name != CONFIG:
        return False
    first, second = (Run(path.parent).config() for path in (new, old))
    return without_places(first) == without_places(second)


def add(new: Path, old: Path) -> None:
    """Copy a file to where there is none; a configuration gets this machine's directories."""
    if old.name == CONFIG:
        config = with_places(Run(new.parent).config(), old.parents[5])
        write_text(old, yaml.safe_dump(config, sort_keys=False))
    else:
        with new.open("rb") as source, writing(old) as file:
            shutil.copyfileobj(source, file)


def their_manifest(file: Path) -> dict[str, Any]:
    """A manifest of theirs; raises :class:`InputError` if it is none, or of another name."""
    manifest = read_manifest(file)
    if manifest["name"] != file.stem:
        raise InputError(f"{file}: the manifest of another name, {manifest['name']}")
    return manifest


def check_path(file: Path, path: Path) -> None:
    """Raise :class:`InputError` unless a path is that of a run below a results directory."""
    if len(path.parts) != 5:
        raise InputError(f"{file}: allowed: runs/DATA/METHOD/IDENTITY/seed=N/{RECORD}")


def merge_manifest(theirs: dict[str, Any], file: Path, merged: Merged) -> None:
    """Add a manifest, or its cells, seeds and evaluations to that of the same ablation here."""
    with changing(file):
        merge_held_manifest(theirs, file, merged)


def merge_held_manifest(theirs: dict[str, Any], file: Path, merged: Merged) -> None:
    if not file.is_file():
        write_sealed_json(file, theirs)
        merged.counts["ablations", "added"] += 1
        merged.ablations.append(file.stem)
        return
    ours = read_manifest(file)
    other = [key for key in ONE_ABLATION if ours.get(key) != theirs.get(key)]
    if other:
        merged.conflict("ablations", f"ablations/{file.name}", f"another {', '.join(other)}")
        return
    stated = [key for key in STATED if key in theirs and theirs[key] != ours.get(key)]
    if stated:
        why = f"another {', '.join(stated)}; what is here stays"
        merged.conflict("ablations", f"ablations/{file.name}", why)
    joined = join_manifests(ours, theirs, file.parents[1])
    if joined != ours:
        write_sealed_json(file, joined)
        merged.ablations.append(file.stem)
        merged.counts["ablations", "added to"] += 1
    elif not stated:
        merged.counts["ablations", "equal"] += 1


def join_manifests(ours: dict[str, Any], theirs: dict[str, Any], results: Path) -> dict[str, Any]:
    """Our manifest with the cells and seeds that only theirs has, and the evaluations.

    Of an evaluation only where it has ended below ``results`` by now: for one that was refused, or
    ended nowhere, a report would wait. A new run of which none has has all that theirs asks for.
    """
    order = latest_first(ours, theirs, results)
    entries = {(entry["cell"], entry["seed"]): dict(entry) for entry in ours["runs"]}
    for entry in theirs["runs"]:
        run, wanted = Run(results / entry["path"]), entry["evaluations"]
        here = [name for name in wanted if has_ended(run, name)]
        own = entries.get((entry["cell"], entry["seed"]))
        if own is None:
            new = entry | {"evaluations": sorted(here or wanted, key=order.index)}
            entries[entry["cell"], entry["seed"]] = new
        elif not set(here) <= set(own["evaluations"]):
            own["evaluations"] = sorted({*own["evaluations"], *here}, key=order.index)
    cells = list(dict.fromkeys(cell for cell, _ in entries))
    places = sorted(entries, key=lambda key: (cells.index(key[0]), key[1]))
    seeds = sorted({seed for _, seed in entries})
    joined = ours | {"runs": [entries[key] for key in places]}
    set_seeds(joined, seeds)
    return joined


def latest_first(ours: dict[str, Any], theirs: dict[str, Any], results: Path) -> list[str]:
    """The evaluations of two manifests in one order for all seeds, which alike take their values.

    Ours in the order in which they were asked for; one of theirs alone follows the last of ours
    that began later. One of ours that is still to come was asked for last.
    """
    own, others = (
        list(dict.fromkeys(name for entry in one["runs"] for name in entry["evaluations"]))
        for one in (ours, theirs)
    )
    began: dict[str, str] = {}
    for entry in [*ours["runs"], *theirs["runs"]]:
        for name in entry["evaluations"]:
            content = evaluation_or_none(Run(results / entry["path"]), name) or {}
            began[name] = max(began.get(name, ""), content.get("started") or "")
    found = list(own)
    for name in (name for name in others if name not in own):
        dates = [began[one] for one in found]
        later = [place for place, date in enumerate(dates, 1) if not date or date >= began[name]]
        found.insert(max(later, default=0), name)
    return found


def has_ended(run: Run, name: str) -> bool:
    content = evaluation_or_none(run, name)
    return content is not None and content["status"] in FINAL


def evaluation_or_none(run: Run, name: str) -> dict[str, Any] | None:
    try:
        return run.evaluation(name)
    except UnreadableError:
        return None
