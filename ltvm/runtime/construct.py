"""Parts by import path: the ``_target_`` of a configuration called with its other keys."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ltvm.errors import InputError, require
from ltvm.runtime.config_dirs import hidden_modules, make_importable


def target_of(key: str, parameters: Mapping[str, Any]) -> Callable[..., Any]:
    """The class or function that ``parameters["_target_"]`` names.

    Raises :class:`InputError` where it cannot be imported.
    """
    from hydra.utils import get_object

    if not isinstance(parameters, Mapping):
        raise InputError(f"{key}={parameters}: allowed: a part, which names its class by _target_")
    target = parameters.get("_target_")
    require(isinstance(target, str), f"{key}._target_", target, "the import path of a class")
    make_importable()
    try:
        function: Callable[..., Any] = get_object(str(target))
    except Exception as error:
        hidden = hidden_modules(str(target).split(".")[0])
        raise InputError(
            f"{key}._target_={target}: {' '.join(str(error).split())[:160]}; allowed: a class or "
            f"function that can be imported{hidden}"
        ) from error
    return function


def takes(key: str, parameters: Mapping[str, Any], name: str) -> bool:
    """Whether the target of ``parameters`` at ``key`` has a parameter of this name."""
    try:
        return name in inspect.signature(target_of(key, parameters)).parameters
    except ValueError:  # of a builtin nothing is known
        return False


def construct(key: str, parameters: Mapping[str, Any], **given: Any) -> Any:
    """Call the ``_target_`` of ``parameters`` with the others and with ``given``.

    Raises :class:`InputError` for a target that cannot be imported or other parameters than
    it takes; what it raises itself passes through.
    """
    function, target = target_of(key, parameters), parameters.get("_target_")
    arguments = {k: v for k, v in parameters.items() if k != "_target_"} | given
    try:
        inspect.signature(function).bind(**arguments)
    except (TypeError, ValueError) as error:  # ValueError: of a builtin nothing is known
        raise InputError(f"{key}: {target} takes other parameters: {error}") from error
    try:
        return function(**arguments)
    except (TypeError, IndexError) as error:  # a word where a number belongs, and the like
        raise InputError(f"{key}: {target}: {error}") from error
