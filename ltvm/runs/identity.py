"""The identity of a run: a hash of what can change its numbers, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

NUMERICS = 2  # raise it when a change of code changes the numbers of an unchanged configuration

# Which device computed, and how, is in the record, not in the identity: records made on a GPU
# must be found by a report on a laptop. Reports say so where devices are mixed.
LEFT_OUT = {"seed", "device", "execution", "paths", "ablation"}
LEFT_OUT_INSIDE = {("data", "load", "root"), ("method", "label")}
LEFT_OUT_ANYWHERE = {"weights"}  # the path of an extractor's weights; their checksum counts


def identity(config: dict[str, Any]) -> str:
    """Twelve hexadecimal digits for a resolved configuration without its seed (a cell).

    >>> a = {"seed": 0, "method": {"alpha": 0.5}, "paths": {"results": "here"}}
    >>> b = {"seed": 1, "method": {"alpha": 0.5}, "paths": {"results": "there"}}
    >>> identity(a) == identity(b)
    True
    """
    kept = {key: _pruned(value, (key,)) for key, value in config.items() if key not in LEFT_OUT}
    text = json.dumps({"numerics": NUMERICS, **kept}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _pruned(value: Any, path: tuple[str, ...]) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: _pruned(inner, (*path, key))
        for key, inner in value.items()
        if (*path, key) not in LEFT_OUT_INSIDE and key not in LEFT_OUT_ANYWHERE
    }
