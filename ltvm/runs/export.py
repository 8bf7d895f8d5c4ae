"""Copy an ablation's records to another results directory: what is worth committing."""

from __future__ import annotations

import shutil
from pathlib import Path

from ltvm.errors import InputError
from ltvm.runtime.files import read_json, write_json

KEPT = ("config.yaml", "record.json", "history.csv", "samples.png", "reconstructions.png")
# and the evaluations that the ablation asked for


def export(name: str, results: Path, target: Path) -> Path:
    """Copy the manifest and every run's small files; returns the manifest's new path.

    Raises :class:`ltvm.errors.InputError` if there is no such ablation in ``results``.
    """
    manifest_file = results / "ablations" / f"{name}.json"
    if not manifest_file.is_file():
        raise InputError(f"export {name}: no file {manifest_file}")
    manifest = read_json(manifest_file)
    for entry in manifest["runs"]:
        source, copy = results / entry["path"], target / entry["path"]
        for file in (*KEPT, *(f"evaluations/{one}.json" for one in entry["evaluations"])):
            if (source / file).is_file():
                (copy / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / file, copy / file)
    write_json(target / "ablations" / f"{name}.json", manifest)
    return target / "ablations" / f"{name}.json"
