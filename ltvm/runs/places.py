"""Directories in a configuration: of the machine that ran it, the usual ones, this machine's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ltvm.errors import InputError

PLACES = {"results": "results", "reports": "reports", "data": "~/.cache/ltvm"}  # by default


def without_places(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with the default directories in place of those in its ``paths``.

    They belong to the machine that ran it, and are in no identity.
    """
    paths = config.get("paths")
    if not isinstance(paths, dict) or not PLACES.keys() <= paths.keys():
        raise InputError(f"paths={paths}: allowed: {', '.join(PLACES)}")
    own = {str(paths[key]): usual for key, usual in PLACES.items()}

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


def with_places(config: dict[str, Any], results: Path) -> dict[str, Any]:
    """A configuration with this machine's directories, so that its run can be evaluated here."""
    own = {
        "results": str(results),
        "reports": os.environ.get("LTVM_REPORTS", PLACES["reports"]),
        "data": data_place(),
    }
    return replaced(without_places(config), PLACES["data"], own["data"]) | {"paths": own}


def at_home(config: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration whose images were at the usual place, which is where they are here.

    Records that are committed or sent on name that place (``without_places``).
    """
    paths = config.get("paths")
    if not isinstance(paths, dict) or paths.get("data") != PLACES["data"]:
        return config
    moved: dict[str, Any] = replaced(config, PLACES["data"], data_place())
    return moved


def data_place() -> str:
    """Where this machine has images: ``LTVM_DATA_ROOT``, or the usual place."""
    return os.environ.get("LTVM_DATA_ROOT", PLACES["data"])


def replaced(value: Any, place: str, other: str) -> Any:
    """Paths at and below ``place`` moved to ``other``, anywhere in a configuration."""
    if isinstance(value, dict):
        return {key: replaced(content, place, other) for key, content in value.items()}
    if isinstance(value, str) and (value == place or value.startswith(f"{place}/")):
        return other + value[len(place) :]
    return value
