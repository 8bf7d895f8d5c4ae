"""Claims of an ablation, stated before it is run: what its report then judges.

    claims:
      - name: C1
        claim: The correction lowers the Frechet distance at equal terms.
        row: {method: short_run_ot}
        against: {method: short_run_uncorrected}
        metric: fd_digits
        expected: better # or worse
        smallest: 0.1 # difference of interest, as a share of the mean of `against`
        family: C1 # whose tests are corrected together; without it each claim is its own
        stated: 2026-11-29

A row is named by what tells it from the others: its method, sampler, swept keys, and the keys that
a further cell sets; ``null`` is the value of a key that a cell does not set.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ltvm.errors import InputError, did_you_mean, require, require_one_of
from ltvm.runs.words import literal, note_words

EXPECTED = ("better", "worse")
KEY = "ablation.claims"
SAMPLER = "sampler"


@dataclass(frozen=True)
class Claim:
    """One claim; ``smallest`` is a share of the other row's mean, ``stated`` a date."""

    name: str
    claim: str
    row: Mapping[str, Any]
    against: Mapping[str, Any]
    metric: str
    smallest: float
    stated: str
    expected: str = "better"
    family: str = ""

    @property
    def tested_with(self) -> str:
        """The family whose tests are corrected together."""
        return self.family or self.name


def claims_of(contents: Any) -> tuple[Claim, ...]:
    """Claims as a definition or a manifest has them; raises :class:`InputError`."""
    require(isinstance(contents, list), KEY, contents, "a list of claims")
    claims = tuple(map(claim_of, contents))
    names = [claim.name for claim in claims]
    require(len(set(names)) == len(names), KEY, ", ".join(names), "every name once")
    return claims


def claim_of(content: Any) -> Claim:
    require(isinstance(content, Mapping), KEY, content, "mappings with a name, a claim, ...")
    known = [field.name for field in fields(Claim)]
    for key in content:
        near = did_you_mean(str(key), known)
        require(key in known, f"{KEY}.{key}", content[key], f"{', '.join(known)}{near}")
    # A date is one in YAML, a word in a manifest and on a command line.
    dates = {k: v.isoformat() for k, v in content.items() if isinstance(v, datetime.date)}
    try:
        claim = Claim(**{**content, **dates})
    except TypeError as error:
        absent = [key for key in known if key not in ("expected", "family", *content)]
        raise InputError(f"{KEY}: {content.get('name')}: without {', '.join(absent)}") from error
    check(claim)
    return claim


def check(claim: Claim) -> None:
    for key in ("name", "claim", "metric", "stated"):
        value = getattr(claim, key)
        require(isinstance(value, str) and bool(value), f"{KEY}.{key}", value, "a word")
    require(isinstance(claim.family, str), f"{KEY}.family", claim.family, "a word")
    for key in ("row", "against"):
        value = getattr(claim, key)
        sound = isinstance(value, Mapping) and bool(value)
        require(sound, f"{KEY}.{key}", value, "what tells the row, such as {method: vae}")
    require_one_of(f"{KEY}.expected", claim.expected, EXPECTED)
    sound = type(claim.smallest) is float and 0 < claim.smallest < 1
    require(sound, f"{KEY}.smallest", claim.smallest, "a share between 0 and 1, such as 0.1")
    try:
        datetime.date.fromisoformat(claim.stated)
    except ValueError as error:
        raise InputError(f"{KEY}.stated={claim.stated}: allowed: a date, 2026-11-29") from error


def fitting(row: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """The cells of a manifest's entries that ``row`` names, in their order.

    A cell has all that is said of it; what sets it apart from those of the axes (its sampler, the
    keys of a further cell) is said, too.
    """
    stated = {key: literal(value) for key, value in row.items()}
    found: dict[str, None] = {}
    for entry in entries:
        usual, special = facts_of(entry)
        facts = dict.fromkeys(stated, literal(None)) | usual | special
        if special.keys() <= stated.keys() and stated.items() <= facts.items():
            found.setdefault(entry["cell"])
    return list(found)


def facts_of(entry: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """(what every cell has, what sets this one apart), as an override says it."""
    values = {k: v for k, v in entry["values"].items() if k != SAMPLER and v is not None}
    usual = {**values, "data": entry["data"], "method": entry["method"]}
    words = note_words(entry.get("note"))
    special = {key: value for key, value in words if value is not None and key != "method"}
    if sampler := entry.get(SAMPLER):
        special[SAMPLER] = sampler["name"]
    return {key: literal(value) for key, value in usual.items()}, special


def refuse_ambiguous(claims: Iterable[Claim], entries: Sequence[Mapping[str, Any]]) -> None:
    """Raise :class:`InputError` for a row that several cells are."""
    for claim in claims:
        for key in ("row", "against"):
            row = getattr(claim, key)
            cells = fitting(row, entries)
            told = "; ".join(text_of(next(e for e in entries if e["cell"] == c)) for c in cells[:3])
            name, allowed = f"{KEY}.{key}", f"what tells it from the others; here {len(cells)} fit"
            require(len(cells) < 2, name, text_of_row(row), f"{allowed} ({told}, ...)")


def text_of(entry: Mapping[str, Any]) -> str:
    usual, special = facts_of(entry)
    return text_of_row(usual | special)


def text_of_row(row: Mapping[str, Any]) -> str:
    """``method=vae data=mnist5k``"""
    return " ".join(f"{key}={literal(value)}" for key, value in row.items())
