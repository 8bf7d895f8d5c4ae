"""Several things, one after the other: one that is refused does not keep the others from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ltvm.errors import DivergedError, InputError, TakenOverError, VanishedError

Done = TypeVar("Done")
OF_ONE = (InputError, DivergedError, TakenOverError, VanishedError)  # say nothing of the others


def each(
    names: Iterable[str], do: Callable[[str], Done], tell: Callable[[dict[str, Done]], object]
) -> dict[str, Done]:
    """What ``do`` returned of every name that it does not refuse, by name.

    ``tell`` is called with it, also where something else ends this early, unless there is nothing.
    Raises :class:`InputError` at the end, with every reason once, if any was refused.
    """
    done: dict[str, Done] = {}
    refused: dict[str, Exception] = {}
    try:
        for name in dict.fromkeys(names):
            try:
                done[name] = do(name)
            except OF_ONE as error:
                refused.setdefault(str(error), error)
    finally:
        if done:
            tell(done)
    if refused:
        raise InputError("\n".join(refused)) from next(iter(refused.values()))
    return done
