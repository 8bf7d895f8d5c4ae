"""Copy an ablation's records to another results directory, or into one file: what is worth keeping.

manifest -> its runs' small files (and weights, if wanted) -> a directory, or FILE.tar.gz
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from ltvm.errors import InputError, require
from ltvm.runs.ablations.found import found_file
from ltvm.runs.ablations.manifest import manifest_file, read_manifest
from ltvm.runs.ablations.overview import known_names
from ltvm.runs.files.store import PICTURES, SAMPLED, Run
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
    this machine's directories (see ``without_places``). Raises
    :class:`ltvm.errors.InputError` if there is no such ablation in ``results``.
    """
    check_name("export", name)
    require(target.resolve() != results.resolve(), "--to", target, "another place than --results")
    file = manifest_file(results, name)
    if not file.is_file():
        raise InputError(f"export {name}: no file {file}; {known_names(results, name)}")
    manifest = read_manifest(file)
    require(pictures in KEEP_PICTURES, "--pictures", pictures, ", ".join(KEEP_PICTURES))
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
    write_sealed_json(manifest_file(target, name), manifest)
    return manifest_file(target, name)


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
