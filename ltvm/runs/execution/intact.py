"""Whether what stands beside a record is what it was made with: checksums that the record has.

Records of before there were any have none: what they say then stands.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ltvm.config import Config
from ltvm.errors import InputError, OneRunError
from ltvm.runs.places import without_places
from ltvm.runtime.files import sha256_of

CHANGED = "damaged, or changed by hand"


def checksum_of(config: Config) -> str:
    """SHA-256 of a configuration but for the directories of a machine, which exports change."""
    text = json.dumps(without_places(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_config(config: Config, file: Path, record: dict[str, Any]) -> None:
    """Raise :class:`InputError` if a run's configuration is not the one that it was made with."""
    known = record.get("config_sha256")
    try:
        same = known is None or checksum_of(config) == known
    except (KeyError, TypeError, AttributeError, InputError):  # no paths in it, for one
        same = False
    if not same:
        raise OneRunError(
            f"{file} is not the configuration that its record was made with ({CHANGED}); "
            "without the run's record.json the command in it does the run again"
        )


def check_history(file: Path, record: dict[str, Any]) -> None:
    """Raise :class:`InputError` if a history is not the one that its record was written with."""
    known = record.get("history_sha256")
    if known is not None and sha256_of(file) != known:
        raise InputError(f"{file}: its checksum is not that of its record ({CHANGED})")
