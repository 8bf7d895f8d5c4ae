"""What a record or an evaluation says of an error that nobody foresaw."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from ltvm.errors import in_words
from ltvm.runtime.config_dirs import config_dirs


def failure(error: Exception) -> dict[str, Any]:
    """What a record or an evaluation says of an error that is being handled."""
    return {
        "status": "failed",
        "reason": in_words(error) + own_line(error),
        "traceback": traceback.format_exc(),
    }


def own_line(error: Exception) -> str:
    """`` (my_method.py:12)``: where in code of the user's own it was raised; empty if nowhere."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    own = (frame for frame in frames if any(is_below(frame.filename, d) for d in config_dirs()))
    found = next(own, None)
    return f" ({Path(found.filename).name}:{found.lineno})" if found is not None else ""


def is_below(file: str, folder: str) -> bool:
    return Path(folder).resolve() in Path(file).resolve().parents
