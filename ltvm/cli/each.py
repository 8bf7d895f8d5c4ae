"""Several things, one after the other: one that is refused does not keep the others from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ltvm.errors import InputError

Done = TypeVar("Done")


@contextmanager
def each(names: Iterable[str], do: Callable[[str], Done]) -> Iterator[dict[str, Done]]:
    """What ``do`` returned of every name that it does not refuse, by name.

    Raises :class:`InputError` at the end of the block, with every reason once, if any was refused.
    """
    done: dict[str, Done] = {}
    refused: dict[str, InputError] = {}
    for name in names:
        try:
            done[name] = do(name)
        except InputError as error:
            refused.setdefault(str(error), error)
    yield done
    if refused:
        raise InputError("\n".join(refused)) from next(iter(refused.values()))
