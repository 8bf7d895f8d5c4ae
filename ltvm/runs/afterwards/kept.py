"""A run that is there to be used again: evaluated, pictured, repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ltvm.config import Config
from ltvm.errors import InputError, require
from ltvm.runs.ablations.external import refuse_external
from ltvm.runs.execution.intact import check_config
from ltvm.runs.files.store import Run
from ltvm.runs.places import at_home
from ltvm.runs.trust import check_data_root, check_parts


def kept(directory: Path) -> tuple[Run, dict[str, Any], Config]:
    """A run that is trained, its record, and its configuration.

    Raises :class:`ltvm.errors.InputError` for one that is not, for images from elsewhere, and for a
    configuration that was changed or names what is not to be followed of a stranger's.
    """
    allowed = "the directory of a run that was trained here"
    require(directory.is_dir(), "run", directory, allowed)
    run = Run(directory)
    record = run.record()
    is_run = record is not None or run.config_file.is_file()
    require(is_run, "run", directory, f"{allowed}, runs/DATA/METHOD/IDENTITY/seed=N")
    if record is None or record["status"] != "done":
        raise InputError(f"{directory}: the run is {run.status()}; allowed: one that is trained")
    refuse_external(record, directory)
    config = run.config()
    check_parts(config, run.config_file)
    check_config(config, run.config_file, record)
    config = at_home(config)
    check_data_root(config, run.config_file)
    return run, record, config
