"""What is kept of a run that is done: weights, codes and counts, without optimiser state.

One safetensors file; numbers and words stand in its header as JSON, under their path.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import load_file, save
from torch import Tensor

from ltvm.errors import InputError, OneRunError
from ltvm.methods.base import Method
from ltvm.runtime.files import sha256_of, writing
from ltvm.runtime.images import LARGEST

SEPARATOR = "/"
HEADER = "ltvm"  # the entry of the file's header that has what is no tensor
Leaf = Tensor | int | float | str | None


def save_trained(path: Path, method: Method) -> dict[str, Any]:
    """Write ``method.trained_state()``; returns the file's size and checksum, for the record."""
    leaves = dict(flatten(method.trained_state()))
    # A file holds every tensor once: what shares memory is copied.
    tensors = {
        key: value.detach().cpu().clone().contiguous()
        for key, value in leaves.items()
        if isinstance(value, Tensor)
    }
    others = {key: value for key, value in leaves.items() if key not in tensors}
    images = method.problem.images
    about = {"images": images.fingerprint, "shape": [*images.images.shape], "state": others}
    content = save(tensors, {HEADER: json.dumps(about)})
    with writing(path) as file:
        file.write(content)
    return {"final_mb": len(content) / 1e6, "final_sha256": hashlib.sha256(content).hexdigest()}


def restore_trained(path: Path, method: Method, sha256: str | None = None) -> None:
    """Make ``method`` the one that was saved.

    Raises :class:`ltvm.errors.InputError` if the file cannot be read, is not the one with this
    checksum (None: not looked at), was trained on other images, or does not fit the method.
    """
    if sha256 is not None and sha256_of(path) != sha256:
        raise OneRunError(
            f"{path} is damaged: its checksum is not that of its record; without the run's "
            "record.json the command in it trains it again"
        )
    with reading(path):
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()[HEADER])
            images, state = str(about["images"]), dict(about["state"])
        tensors: dict[str, Leaf] = dict(load_file(path))
    if images != method.problem.images.fingerprint:
        name = method.problem.images.name
        raise InputError(f"{path}: trained on other images than data={name} has now")
    try:
        method.load_state_dict(unflatten(tensors | state))
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise OneRunError(f"{path}: does not fit the configuration beside it ({what})") from error


def trained_on(path: Path) -> tuple[int, ...] | None:
    """The shape [n, channels, size, size] of the images that the method in a file was trained on.

    None for a file of before that was written. Raises :class:`ltvm.errors.InputError` as
    ``restore_trained``.
    """
    with reading(path), safetensors.safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()[HEADER])
        if "shape" not in about:
            return None
        n, *shape = map(int, about["shape"])
        if n != file.get_slice("codes").get_shape()[0] or max(shape) > LARGEST:
            raise ValueError(f"no images are {about['shape']}")  # networks would be made for them
        return n, *shape


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong with a file's content is bad input."""
    try:
        yield
    except (
        OSError, KeyError, TypeError, ValueError, RecursionError, safetensors.SafetensorError,
    ) as error:  # fmt: skip
        raise OneRunError(
            f"{path} cannot be read ({' '.join(str(error).split())[:120]})"
        ) from error


def flatten(state: dict[str, Any], prefix: str = "") -> list[tuple[str, Leaf]]:
    """{"a": {"b": 1}} -> [("a/b", 1)]; raises ``TypeError`` for what is no leaf."""
    found: list[tuple[str, Leaf]] = []
    for key, value in state.items():
        if isinstance(value, dict):
            found += flatten(value, f"{prefix}{key}{SEPARATOR}")
        elif value is None or isinstance(value, Tensor | int | float | str):
            found.append((prefix + str(key), value))
        else:
            raise TypeError(
                f"trained_state: {prefix}{key} is a {type(value).__name__}; allowed: tensors, "
                "numbers, words and dicts of them (name others in only_for_training)"
            )
    return found


def unflatten(leaves: dict[str, Leaf]) -> dict[str, Any]:
    """The inverse of ``flatten``."""
    state: dict[str, Any] = {}
    for path, value in leaves.items():
        *parents, last = path.split(SEPARATOR)
        place = state
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return state
