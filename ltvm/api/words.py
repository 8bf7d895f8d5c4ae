"""Whose the overrides of a command are; without Hydra, which takes a while to import."""

from __future__ import annotations

from collections.abc import Sequence

from ltvm.errors import InputError


def refuse_text(argument: str, value: Sequence[str]) -> None:
    """Raise :class:`InputError` for one text, whose letters would be taken for a list."""
    if isinstance(value, str):
        raise InputError(f"{argument}={value}: allowed: a list, such as {value.split()}")


def split_hydra(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate what configures the launcher (``hydra/...``, ``hydra.*``) from the rest."""
    refuse_text("overrides", overrides)
    ours = [o for o in overrides if not o.lstrip("+~").startswith(("hydra/", "hydra."))]
    return ours, [o for o in overrides if o not in ours]
