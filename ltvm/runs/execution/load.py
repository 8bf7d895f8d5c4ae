"""A trained method from a run's directory."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ltvm.chain.execution import Execution
from ltvm.config import Config
from ltvm.data.absent import absent
from ltvm.data.cache import load_data
from ltvm.data.image_set import DataSet
from ltvm.errors import InputError, OneRunError
from ltvm.methods.base import Method
from ltvm.runs.ablations.external import refuse_external
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.runs.execution.intact import check_config
from ltvm.runs.execution.trained import restore_trained, trained_on
from ltvm.runs.files.store import Run
from ltvm.runs.places import at_home
from ltvm.runs.trust import check_data_root, check_parts
from ltvm.runtime.devices import resolve_device, use_full_float32
from ltvm.training.checkpoint import newest, read_checkpoint


def load_method(
    directory: Path | str,
    device: str | None = None,
    trust: bool = False,
    without_images: bool = False,
) -> Method:
    """The method of a run as training left it, computing as it did then.

    ``device`` None is that of its configuration. Of a run that was interrupted, the last
    checkpoint. With ``without_images`` a trained method needs no images where these cannot be
    loaded. Raises :class:`ltvm.errors.InputError` if files are absent, unreadable, or do not fit
    each other, or name parts that are not to be followed without ``trust``.
    """
    run = Run(Path(directory))
    record = run.record()
    if record is None or not run.config_file.is_file():
        raise OneRunError(f"{directory}: no config.yaml and record.json there")
    refuse_external(record, directory)
    config = run.config()
    check_parts(config, run.config_file, trust)
    check_config(config, run.config_file, record)
    config = at_home(config)
    use_full_float32()
    try:
        check_data_root(config, run.config_file, trust)
        config["device"] = config["device"] if device is None else device
        data = data_of(run, record, config, without_images)
        problem = build_problem(config, data, execution=execution_of(record, config))
        method = build_method(config, problem)
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"{directory}: its files do not fit: no key {error}") from error
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise InputError(f"{directory}: its files do not fit: {what}") from error
    if run.trained_file.is_file():
        restore_trained(run.trained_file, method, record.get("final_sha256"))
        return method
    checkpoint = newest(run.checkpoint_file)
    if checkpoint is None and record.get("stored"):
        raise OneRunError(
            f"{directory}: a run that ships with {record['stored']}, without weights; "
            "`ltvm train` with the command in its record trains it"
        )
    if checkpoint is None:
        again = f"`{record.get('command', 'ltvm train')}` does it again"
        if run.status() == "done":
            again = (
                f"remove its record.json, and {again} (or elsewhere, with another paths.results)"
            )
        raise OneRunError(
            f"{directory}: no {run.trained_file.name} and no {run.checkpoint_file.name} there: "
            f"the run is {run.status()}; {again}"
        )
    try:
        method.load_state_dict(read_checkpoint(checkpoint, problem.device)["method"])
    except (KeyError, TypeError, RuntimeError) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise OneRunError(
            f"{directory}: config.yaml and {checkpoint.name} do not fit ({what})"
        ) from error
    return method


def data_of(run: Run, record: dict[str, Any], config: Config, without_images: bool) -> DataSet:
    """The images of a run; where they cannot be loaded and need not be, what is known of them."""
    try:
        return load_data(config)
    except InputError as error:
        there = without_images and run.trained_file.is_file()
        shape = trained_on(run.trained_file) if there else None
        if shape is None:
            raise
        return absent(config["data"]["name"], shape, record["fingerprints"], str(error))


def execution_of(record: dict[str, Any], config: Config) -> Execution:
    """How the run computed, as far as the device it is loaded on can do the same."""
    stated = record["execution_settings"]
    settings = {key: stated[key] for key in asdict(Execution())}
    if resolve_device(config["device"]).type != record["device_type"]:
        settings = {"precision": settings["precision"]}  # the rest is a device's own
    return Execution(**settings)
