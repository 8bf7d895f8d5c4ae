"""``ltvm compare`` in words of an ablation: which rows, which reference, under which name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ltvm.api.words import split_hydra
from ltvm.errors import InputError, require
from ltvm.overrides import parse


def comparison(overrides: Sequence[str]) -> list[str]:
    """The overrides of ``ablation=compare`` that ``methods=[A,B] reference=A ...`` stand for.

    Raises :class:`ltvm.errors.InputError` for fewer than two methods, or another reference.
    """
    from ltvm.runs.ablations.ablation import digest

    ours, hydra_overrides = split_hydra(overrides)
    bare = [o for o in ours if re.fullmatch(r"[\w.,/-]+", o)]
    if bare:
        listed = f"'methods=[{','.join(bare)}]'"
        raise InputError(f"{' '.join(bare)}: allowed: KEY=VALUE, such as {listed}")
    parsed = list(zip(ours, parse(ours), strict=True))
    given = {key: value for _, (key, value) in parsed}
    require("method" not in given, "method", given.get("method"), "'methods=[A,B]'")
    methods = given.get("methods")
    least = 1 if given.get("external") else 2  # beside rows from elsewhere one is enough
    several = isinstance(methods, list) and len(set(map(str, methods))) == len(methods) >= least
    require(several, "methods", methods, "two methods or more, 'methods=[short_run_ot,vae]'")
    assert isinstance(methods, list)
    choices = [str(method) for method in methods]
    reference = str(given.get("reference", choices[0]))
    require(reference in choices, "reference", reference, ", ".join(choices))
    own = ("methods", "reference")
    keys = {key: f"ablation.{key}" for key in ("seeds", "margin", "external", "stored")}
    rest = [o for o, (key, _) in parsed if key not in (*own, *keys)]
    # what makes another comparison of the same methods, whose page would be in the way of this one
    changes = [o for o, (key, _) in parsed if key in ("margin", "external")]
    usual = ("ablation.seeds=", "ablation.stored=")
    changes += [o for o in rest if o.startswith("ablation.") and not o.startswith(usual)]
    changes += [f"reference={reference}"] if reference != choices[0] else []
    refuse_same(choices, [o for o in rest if not o.startswith("ablation.")])
    name = "-".join(["compare", *choices, *([digest(changes)] if changes else [])])
    return [
        "ablation=compare",
        f"ablation.name={name}",
        f"ablation.axes.method=[{','.join(first_of_its_name(reference, choices))}]",
        f"ablation.reference={name_of(reference)}",
        *(f"{keys[key]}={o.split('=', 1)[1]}" for o, (key, _) in parsed if key in keys),
        *rest,
        *hydra_overrides,
    ]


def name_of(choice: str) -> str:
    """The method of a choice: ``vae`` of ``tuned/vae-mnist5k-small-c173c4-8``."""
    from ltvm.config import resolve

    return str(resolve([f"method={choice}"])["method"]["name"])


def refuse_same(choices: Sequence[str], others: Sequence[str]) -> None:
    """Raise :class:`InputError` for two choices that train the same: they would be one row."""
    from ltvm.config import resolve
    from ltvm.runs.ablations.ablation import ordered
    from ltvm.runs.identity import identity

    seen: dict[str, str] = {}
    for choice in choices:
        config = resolve(ordered([*others, f"method={choice}"]))
        other = seen.setdefault(identity(config), choice)
        if other != choice:
            raise InputError(f"methods: {other} and {choice} train the same; allowed: one of them")


def first_of_its_name(reference: str, choices: Sequence[str]) -> list[str]:
    """Choices, the reference before others of the same method: the first is the reference."""
    name = name_of(reference)
    before = choices[: choices.index(reference)]
    if name in map(name_of, before):
        return [reference, *(choice for choice in choices if choice != reference)]
    return list(choices)
