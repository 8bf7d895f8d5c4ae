"""What a record or an evaluation must be to be worked with: said of a file that is not.

A file may lack what an earlier state of a run, or an earlier version, did not say; what it says
must be of its kind. So whoever reads one may rely on the kinds below.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RULES = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()  # of this file: other kinds, others


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return type(value) in (float, int) and math.isfinite(value)  # no bool


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_object(value: Any) -> bool:
    return isinstance(value, dict)


def is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def are_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_text_or_none, value.values()))


def are_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(n is None or is_number(n) for n in value.values())


def are_objects(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, dict) for one in value.values())


def is_temperature(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2 and all(map(is_number, value))
    return value is None or pair


def is_number_or_none(value: Any) -> bool:
    return value is None or is_number(value)


def is_sampler(value: Any) -> bool:
    """What an evaluation says of its sampler, if it has one: how long the fit took, at least.

    None: it was not fitted yet.
    """
    known = isinstance(value, dict) and is_number_or_none(value.get("fit_seconds", ""))
    return value is None or (known and isinstance(value.get("stated", {}), dict))


def are_values(value: Any) -> bool:
    return are_objects(value) and all(is_number(own.get("value", 0)) for own in value.values())


Kinds = dict[str, tuple[Callable[[Any], bool], str]]  # key -> what holds of its value, in words

OF_BOTH: Kinds = {
    "status": (is_text, "a text"),
    "reason": (is_text_or_none, "a text"),
    "identity": (is_text, "a text"),
    "versions": (are_texts, "texts"),
    **dict.fromkeys(
        ("device", "execution", "commit", "started", "final_sha256"), (is_text_or_none, "a text")
    ),
}
OF_RECORD: Kinds = OF_BOTH | {
    **dict.fromkeys(
        ("data", "method", "label", "protocol", "precision", "command", "equal"),
        (is_text_or_none, "a text"),
    ),
    "fingerprints": (are_texts, "texts"),
    "curves": (are_objects, "objects"),
    "seconds": (are_numbers, "finite numbers"),
    "peak_memory_mb": (are_numbers, "finite numbers"),
    "external": (is_object, "an object"),
    "stored": (is_text, "a text"),
    "temperature": (is_temperature, "two finite numbers"),
    **dict.fromkeys(
        ("passes", "decoder_updates", "flops", "iterations_done"), (is_number, "a finite number")
    ),
}
OF_EVALUATION: Kinds = OF_BOTH | {
    "name": (is_text, "a text"),
    "config": (is_object, "an object"),
    "sampler": (is_sampler, "an object with the seconds of its fit"),
    "columns": (are_objects, "objects"),
    "values": (are_values, "objects, each with a finite number"),
    "seconds": (is_number_or_none, "a finite number"),
}


@dataclass(frozen=True)
class Sort:
    """Of what sort a file is: ``what`` it is called, and what its entries are."""

    what: str
    kinds: Kinds

    def check(self, content: Any) -> None:
        """Raise ``ValueError`` for what is no file of this sort."""
        wrong = what_is_wrong(content, self.kinds)
        if wrong is not None:
            raise ValueError(wrong)


RECORD = Sort("a record", OF_RECORD)
EVALUATION = Sort("an evaluation", OF_EVALUATION)


def what_is_wrong(content: Any, kinds: Kinds) -> str | None:
    """Why this is no file of these ``kinds``, in words; None where it can be one."""
    if not isinstance(content, dict):
        return "it is no object"
    if "status" not in content:
        return "it has no status"
    for key, (holds, kind) in kinds.items():
        if key in content and not holds(content[key]):
            return f"{key} is not {kind}"
    return None
