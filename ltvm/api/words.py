"""Whose the overrides of a command are; without Hydra, which takes a while to import."""

from __future__ import annotations

from collections.abc import Sequence

from ltvm.errors import InputError


def split_hydra(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate what configures the launcher (``hydra/...``, ``hydra.*``) from the rest."""
    if isinstance(overrides, str):
        raise InputError(f"overrides={overrides}: allowed: a list, such as {overrides.split()}")
    ours = [o for o in overrides if not o.lstrip("+~").startswith(("hydra/", "hydra."))]
    return ours, [o for o in overrides if o not in ours]
