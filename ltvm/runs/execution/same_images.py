"""Runs of a folder of images are keyed by its path: are its images still those of the runs?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ltvm.config import Config
from ltvm.errors import InputError, UnreadableError
from ltvm.runs.files.store import Run


def check_images(runs: Iterable[tuple[Run, Config]]) -> None:
    """Raise :class:`InputError` where runs that are here were trained on other images.

    Those are the runs themselves and those of other seeds, which would share their row. Each folder
    is read once. One that is not there any more contradicts nothing.
    """
    here: dict[str, dict[str, str]] = {}
    for run, config in runs:
        data, protocol = config["data"], config["protocol"]
        path = data["load"].get("path")
        if path is None or not Path(path).is_dir():
            continue
        known = list(trained_images(run))
        if not known:
            continue
        limits = (protocol["train_images"], protocol["test_images"])
        about = repr((data, *limits, config.get("validation_images")))
        if about not in here:
            from ltvm.data.cache import load_data  # torch takes seconds to import

            here[about] = load_data(config).fingerprints
        for directory, fingerprints in known:
            if here[about] != fingerprints:
                raise InputError(
                    f"data.load.path={path}: holds other images than {directory} was trained on "
                    "(runs are keyed by the path); allowed: the same images, a folder of another "
                    "name, or other results (paths.results=FOLDER)"
                )


def trained_images(run: Run) -> Iterator[tuple[Path, dict[str, str]]]:
    """The directory of every run of this configuration, whatever its seed; its fingerprints."""
    for directory in sorted(run.directory.parent.glob("seed=*")):
        try:
            fingerprints = (Run(directory).record() or {}).get("fingerprints")
        except UnreadableError:  # it is set aside when its own turn comes
            continue
        if fingerprints:
            yield directory, fingerprints
