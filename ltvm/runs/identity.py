"""The identity of a run, and of an evaluation: hashes of what can change their numbers alone.

A part (anything with a ``_target_``) is identified by its declared name and its parameters, not by
where its file is: moving a file disowns no record. A part from outside this package counts with
its class and with what it is from (``ltvm.runs.own_code``). ``NUMERICS`` says what no configuration
can: that the code of this package now gives other numbers.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ltvm.runs.own_code import from_outside

NUMERICS = 3  # raise it when a change of code changes the numbers of an unchanged configuration

# What changes no weight and no code of a trained run. Which device computed, and how, is in the
# record, not in the identity: records made on a GPU must be found by a report on a laptop. Reports
# say so where devices are mixed.
NOT_TRAINING: frozenset[tuple[str, ...]] = frozenset(
    {
        ("seed",), ("device",), ("execution",), ("paths",), ("keep",), ("paper",), ("tensorboard",),
        ("ablation",), ("evaluation",), ("sampler",), ("protocol", "evaluation"),
        ("protocol", "test_images"),
        ("data", "load", "root"), ("data", "family"), ("decoder", "encoder"),
        ("method", "label"), ("method", "about"), ("method", "style"), ("method", "tuning"),
        ("method", "tuned"), ("method", "idle"),
    }
)  # fmt: skip
# Of an evaluation: what it is called, when curves are measured, where the extractor's weights are
# (their checksum counts).
NOT_EVALUATED: frozenset[tuple[str, ...]] = frozenset(
    {("name",), ("every",), ("extractor", "weights")}
)
SOLVER = ("method", "solver")  # a name, or an import path without a mapping of its own
NOT_SAMPLED: frozenset[tuple[str, ...]] = frozenset(
    {("label",)}
)  # of a sampler: its name in tables


def identity(config: dict[str, Any]) -> str:
    """Twelve hexadecimal digits for what is trained: a resolved configuration without its seed.

    >>> a = {"seed": 0, "method": {"alpha": 0.5}, "paths": {"results": "here"}}
    >>> b = {"seed": 1, "method": {"alpha": 0.5}, "paths": {"results": "there"}}
    >>> identity(a) == identity(b)
    True
    """
    kept = pruned(config, NOT_TRAINING)
    if kept.get("validation_images") is None:
        kept.pop("validation_images", None)
    return digits({"numerics": NUMERICS, **kept})


def evaluation_identity(config: dict[str, Any]) -> str:
    """Twelve hexadecimal digits for what is measured on a run of ``config``.

    The metrics with their parameters, the extractor with its checksum, and how many test images
    there are to choose from, or validation images in their place; and the sampler, where images
    are not sampled from what the method samples of itself.
    """
    test_images = config.get("protocol", {}).get("test_images")
    kept = pruned(config["evaluation"], NOT_EVALUATED)
    validation = config.get("validation_images")
    held_out = {} if validation is None else {"validation_images": validation}
    sampler = config.get("sampler") or {}
    sampled = {"sampler": pruned(sampler, NOT_SAMPLED)} if "_target_" in sampler else {}
    return digits({"numerics": NUMERICS, "test_images": test_images, **held_out, **kept, **sampled})


def sampler_identity(config: dict[str, Any]) -> str | None:
    """Twelve hexadecimal digits for its sampler; None: images are what the method samples."""
    sampler = config.get("sampler") or {}
    return digits(pruned(sampler, NOT_SAMPLED)) if "_target_" in sampler else None


def digits(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def pruned(value: Any, left_out: frozenset[tuple[str, ...]], path: tuple[str, ...] = ()) -> Any:
    """``value`` without what is left out, by its whole path; import paths become parts."""
    if path == SOLVER and isinstance(value, str) and "." in value:
        return part(value, None)
    if not isinstance(value, dict):
        return value
    kept = {
        key: pruned(inner, left_out, (*path, key))
        for key, inner in value.items()
        if (*path, key) not in left_out and key != "_target_"
    }
    if "_target_" in value:
        kept["_part_"] = part(str(value["_target_"]), value.get("name"))
    return kept


def part(target: str, name: Any) -> list[str]:
    """What identifies a part: its name, declared or its own, and what it is from."""
    module, _, own_name = target.rpartition(".")
    package = module.split(".")[0]
    if package == "ltvm":
        return [str(name or own_name)]
    return [str(name or own_name), own_name, *from_outside(module)]
