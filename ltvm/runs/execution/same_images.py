"""Runs of a folder of images are keyed by its path: are its images still those of the runs?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ltvm.config import Config
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
        known = (run.record() or {}).get("fingerprints")
        if path is None or not Path(path).is_dir() or not known:
            continue
        limits = (protocol["train_images"], protocol["test_images"])
        about = repr((data, *limits, config.get("validation_images")))
        if about not in here:
            from ltvm.data.cache import load_data  # torch takes seconds to import

            here[about] = load_data(config).fingerprints
        if here[about] != known:
            raise InputError(
                f"data.load.path={path}: holds other images than {run.directory} was trained on "
                "(runs are keyed by the path); allowed: the same images, a folder of another "
                "name, or other results (paths.results=FOLDER)"
            )
