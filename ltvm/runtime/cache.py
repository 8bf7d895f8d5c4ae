"""Where this package keeps what can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """``LTVM_CACHE_DIR``, or ``ltvm`` in the user's cache directory; it may not exist yet."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("LTVM_CACHE_DIR") or f"{home}/ltvm").expanduser()
