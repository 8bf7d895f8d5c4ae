"""Copy an ablation's records to another results directory: what is worth committing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from ltvm.errors import InputError
from ltvm.runtime.files import read_json, write_json, write_text

CONFIG = "config.yaml"
KEPT = (CONFIG, "record.json", "history.csv", "samples.png", "reconstructions.png")
# and the evaluations that the ablation asked for

PLACES = {"results": "results", "reports": "reports", "data": "~/.cache/ltvm"}  # by default


def without_places(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with the default directories in place of those in its ``paths``.

    They belong to the machine that ran it, and are in no identity.
    """
    own = {str(config["paths"][key]): usual for key, usual in PLACES.items()}

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: moved(content) for key, content in value.items()}
        if isinstance(value, str):
            for place, usual in own.items():
                if value == place or value.startswith(place.rstrip("/") + "/"):
                    return usual + value[len(place.rstrip("/")) :]
        return value

    result: dict[str, Any] = moved(config)
    return result


def export(name: str, results: Path, target: Path) -> Path:
    """Copy the manifest and every run's small files; returns the manifest's new path.

    Configurations are copied without this machine's directories (see ``without_places``).
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
        if (copy / CONFIG).is_file():
            config = yaml.safe_load((copy / CONFIG).read_text())
            write_text(copy / CONFIG, yaml.safe_dump(without_places(config), sort_keys=False))
    write_json(target / "ablations" / f"{name}.json", manifest)
    return target / "ablations" / f"{name}.json"
