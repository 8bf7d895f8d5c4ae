"""Data sets by configuration: loaded once per process, limited as the protocol says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ltvm.data.image_set import DataSet
from ltvm.errors import require
from ltvm.runtime.construct import construct

_loaded: dict[str, DataSet] = {}  # one data set at a time, shared by the runs of a process


def load_data(config: Mapping[str, Any]) -> DataSet:
    """The images of ``config["data"]``, limited as ``config["protocol"]`` says, on the CPU.

    With ``validation_images``, so many training images stand in the place of the test images.

    The data set asked for last is kept; another one takes its place.
    """
    protocol = config["protocol"]
    limits = (protocol["train_images"], protocol["test_images"])
    validation = config.get("validation_images")
    key = json.dumps([config["data"], *limits, validation], sort_keys=True)
    if key not in _loaded:
        _loaded.clear()
        load = config["data"]["load"]
        data: DataSet = construct("data.load", load)
        sound = isinstance(data, DataSet)
        require(sound, "data.load._target_", load["_target_"], "a function that returns a DataSet")
        if validation is not None:
            data, limits = data.held_out(validation), (limits[0], None)
        _loaded[key] = data.limited(*limits)
    return _loaded[key]
