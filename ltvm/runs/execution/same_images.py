"""Runs of a folder of images are keyed by its path: are its images still those of the runs?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ltvm.config import Config
from ltvm.data.cache import load_data
from ltvm.errors import InputError
from ltvm.runs.files.store import Run


def check_images(runs: Iterable[tuple[Run, Config]]) -> None:
    """Raise :class:`InputError` where runs that are here were trained on other images.

    Each folder is read once. One that is not there any more contradicts nothing.
    """
    here: dict[str, dict[str, str]] = {}
    for run, config in runs:
        data, protocol = config["data"], config["protocol"]
        path = data["load"].get("path")
        if path is None or not Path(path).is_dir():
            continue
        known = (run.record() or {}).get("fingerprints")
        about = repr((data, protocol["train_images"], protocol["test_images"]))
        if known and about not in here:
            images = load_data(config)
            here[about] = {part: getattr(images, part).fingerprint for part in ("train", "test")}
        if known and here[about] != known:
            raise InputError(
                f"data.load.path={path}: holds other images than {run.directory} was trained on "
                "(runs are keyed by the path); allowed: the same images, a folder of another "
                "name, or other results (paths.results=FOLDER)"
            )
