"""Copy an ablation's records to another results directory, or into one file: what is worth keeping.

manifest -> its runs' small files (and weights, if wanted) -> a directory, or FILE.tar.gz
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from ltvm.errors import InputError, UnreadableError, require
from ltvm.runs.ablations.found import found_file
from ltvm.runs.ablations.manifest import manifest_file, read_manifest
from ltvm.runs.ablations.overview import known_names
from ltvm.runs.files.store import FINAL, PICTURES, SAMPLED, Run
from ltvm.runs.housekeeping.archive import SUFFIXES, pack, write_sums
from ltvm.runs.places import without_places
from ltvm.runs.trust import check_name, check_no_link, is_own
from ltvm.runtime.files import write_sealed_json, write_text

CONFIG = "config.yaml"
WEIGHTS = "final.safetensors"
KEPT = (CONFIG, "record.json", "history.csv")
PICTURED = tuple(f"{kind}.png" for kind in PICTURES)
# and the evaluations that the ablation asked for, with their pictures
KEEP_PICTURES = ("all", "first", "none")


def export(
    name: str, results: Path, target: Path, weights: bool = False, pictures: str = "all"
) -> Path:
    """Copy the manifest, every run's small files and what was tuned; returns the new manifest.

    With ``weights`` the final weights and codes, too. ``pictures``: ``all``, or those of a cell's
    ``first`` seed alone: they are most of an export's bytes. Configurations are copied without
    this machine's directories (see ``without_places``). Says what a manifest there no longer lists.
    Raises :class:`ltvm.errors.InputError`, before anything is copied, if there is no such ablation
    in ``results``, or if ``target`` has runs of it that are done and of another training.
    """
    check_name("export", name)
    require(target.resolve() != results.resolve(), "--to", target, "another place than --results")
    file = manifest_file(results, name)
    if not file.is_file():
        raise InputError(f"export {name}: no file {file}; {known_names(results, name)}")
    manifest = read_manifest(file)
    require(pictures in KEEP_PICTURES, "--pictures", pictures, ", ".join(KEEP_PICTURES))
    refuse_other_trainings(manifest["runs"], results, target)
    first = first_seeds(manifest["runs"])
    for entry in manifest["runs"]:
        source, copy = results / entry["path"], target / entry["path"]
        check_no_link(source)
        is_first = entry["seed"] == first[entry["cell"]]
        pictured = pictures == "all" or (pictures == "first" and is_first)
        for part in small_files(entry, pictured) + [WEIGHTS] * weights:
            if is_own(source / part, source):
                (copy / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / part, copy / part)
        if (copy / CONFIG).is_file():
            config = without_places(Run(copy).config())
            write_text(copy / CONFIG, yaml.safe_dump(config, sort_keys=False))
    copy_found(manifest, results, target)
    say_shrunk(manifest_file(target, name), manifest)
    write_sealed_json(manifest_file(target, name), manifest)
    return manifest_file(target, name)


def refuse_other_trainings(entries: list[dict[str, Any]], results: Path, target: Path) -> None:
    """Raise :class:`InputError` that names runs in ``target`` of another training than here.

    What was measured there, of this ablation or another, is nothing of the training here.
    """
    paths = list(dict.fromkeys(entry["path"] for entry in entries))
    other = [path for path in paths if is_other(Run(results / path), Run(target / path))]
    if other:
        named = f"{len(other)} ({other[0]}{', ...' if other[1:] else ''})"
        raise InputError(
            f"--to={target}: runs of another training there: {named}; allowed: another place, or "
            "the same without the folders of such runs"
        )


def is_other(run: Run, there: Run) -> bool:
    """Whether a run there is done, and of another training: not of the same weights.

    A training that has no weights is the same if its record is, whether or not it was taken from
    the package. Images from elsewhere are the same, since they are what identifies such a run.
    """
    own, known = record_or_none(run), record_or_none(there)
    if own is None or known is None or known["status"] not in FINAL or "external" in known:
        return False
    weights = known.get("final_sha256")
    if weights is not None and own.get("final_sha256") == weights:
        return False
    return {**own, "stored": None} != {**known, "stored": None}


def record_or_none(run: Run) -> dict[str, Any] | None:
    try:
        return run.record()
    except UnreadableError:  # an export makes it whole
        return None


def say_shrunk(file: Path, manifest: dict[str, Any]) -> None:
    """Say how much of what a manifest lists another one in its place will not."""
    try:
        known = read_manifest(file)
    except UnreadableError:  # none, or a damaged one
        return
    runs, evaluations = listed_runs(known), listed_evaluations(known)
    fewer, less = runs - listed_runs(manifest), evaluations - listed_evaluations(manifest)
    if fewer or less:
        print(f"ltvm: {file}: no longer lists {len(fewer)} of {len(runs)} runs, "
              f"{len(less)} of {len(evaluations)} evaluations", file=sys.stderr)  # fmt: skip


def listed_runs(manifest: dict[str, Any]) -> set[tuple[str, int]]:
    return {(entry["cell"], entry["seed"]) for entry in manifest["runs"]}


def listed_evaluations(manifest: dict[str, Any]) -> set[tuple[str, int, str]]:
    entries = manifest["runs"]
    return {(e["cell"], e["seed"], name) for e in entries for name in e["evaluations"]}


def first_seeds(entries: list[dict[str, Any]]) -> dict[str, int]:
    """cell -> the smallest of its seeds."""
    first: dict[str, int] = {}
    for entry in entries:
        first[entry["cell"]] = min(entry["seed"], first.get(entry["cell"], entry["seed"]))
    return first


def small_files(entry: dict[str, Any], pictured: bool) -> list[str]:
    """What is kept of a manifest's run, below its directory; ``pictured``: with pictures."""
    evaluations = [f"evaluations/{one}" for one in entry["evaluations"]]
    files = [*KEPT, *(f"{one}.json" for one in evaluations)]
    pictures = [*PICTURED, *(f"{one}{end}.png" for one in evaluations for end in SAMPLED.values())]
    return files + pictures * pictured


def copy_found(manifest: dict[str, Any], results: Path, target: Path) -> None:
    """Copy what tuning found for rows of a manifest."""
    for entry in manifest["runs"]:
        tuned = entry.get("tuned") or {}
        if "study" not in tuned:
            continue
        source, copy = (
            found_file(root, tuned["study"], tuned["trials"]) for root in (results, target)
        )
        if is_own(source, results):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def export_file(
    name: str,
    results: Path,
    file: Path,
    weights: bool = False,
    report: Path | None = None,
    pictures: str = "all",
) -> Path:
    """The same as one ``.tar.gz``, with the folder ``report`` if it exists, and checksums.

    Equal contents make equal files. Raises as ``export``, and if the file cannot be written.
    """
    require(file.parent.is_dir(), "--to", file, "a file in a directory that exists")
    with tempfile.TemporaryDirectory(prefix=".export-", dir=file.parent) as temporary:
        folder = Path(temporary) / name
        export(name, results, folder, weights, pictures)
        if report is not None and report.is_dir():
            shutil.copytree(report, folder / "reports" / name)
        write_sums(folder)
        pack(folder, file)
    return file


def is_file_name(target: Path) -> bool:
    """Whether ``--to`` names an archive; raises :class:`InputError` for kinds that are not made."""
    if target.name.endswith(SUFFIXES):
        return True
    other = target.suffix in (".zip", ".tar", ".gz", ".bz2", ".xz", ".zst", ".7z")
    require(not other, "--to", target, f"a directory, or a file named *{' or *'.join(SUFFIXES)}")
    return False
