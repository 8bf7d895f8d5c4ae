"""Claims of an ablation, stated before it is run: what its report then judges.

    claims:
      - name: C1
        claim: The correction lowers the Frechet distance at equal terms.
        row: {method: short_run_ot}
        against: {method: short_run_uncorrected}
        metric: fd_digits
        expected: better # or worse
        smallest: 0.1 # difference of interest, as a share of the mean of `against`
        absolute: false # true: `smallest` is in units of the metric
        over: data.load.digit # a swept key: both are means over its values, seed by seed
        family: C1 # whose tests are corrected together; without it each claim is its own
        stated: 2026-11-29

A row is named by what tells it from the others: its method, sampler, swept keys, and the keys that
a further cell sets; ``null`` is the value of a key that a cell does not set.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from ltvm.errors import InputError, did_you_mean, require, require_one_of
from ltvm.runs.words import literal, note_words

EXPECTED = ("better", "worse")
KEY = "ablation.claims"
SAMPLER = "sampler"


@dataclass(frozen=True)
class Claim:
    """One claim; ``stated`` is a date.

    ``smallest``, the smallest difference of interest, is a share of the other row's mean, or with
    ``absolute`` a difference in units of the metric. ``over`` is a swept key: at every seed, what
    is compared is then the mean over the rows that differ in this key alone.
    """

    name: str
    claim: str
    row: Mapping[str, Any]
    against: Mapping[str, Any]
    metric: str
    smallest: float
    stated: str
    expected: str = "better"
    family: str = ""
    absolute: bool = False
    over: str = ""

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
        needed = [field.name for field in fields(Claim) if field.default is MISSING]
        absent = [key for key in needed if key not in content]
        raise InputError(f"{KEY}: {content.get('name')}: without {', '.join(absent)}") from error
    check(claim)
    return replace(claim, stated=day_of(claim.stated))


def check(claim: Claim) -> None:
    for key in ("name", "claim", "metric", "stated"):
        value = getattr(claim, key)
        require(isinstance(value, str) and bool(value), f"{KEY}.{key}", value, "a word")
    for key in ("family", "over"):
        value = getattr(claim, key)
        require(isinstance(value, str), f"{KEY}.{key}", value, "a word")
    for key in ("row", "against"):
        value = getattr(claim, key)
        sound = isinstance(value, Mapping) and bool(value)
        require(sound, f"{KEY}.{key}", value, "what tells the row, such as {method: vae}")
        told = f"what tells the rows but for {claim.over}, over which is averaged"
        require(claim.over not in value, f"{KEY}.{key}", text_of_row(value), told)
    require_one_of(f"{KEY}.expected", claim.expected, EXPECTED)
    require(type(claim.absolute) is bool, f"{KEY}.absolute", claim.absolute, "true or false")
    above = type(claim.smallest) is float and 0 < claim.smallest < math.inf
    sound, share = above and (claim.absolute or claim.smallest < 1), "a share between 0 and 1"
    allowed = "a number above 0" if claim.absolute else f"{share}, such as 0.1"
    require(sound, f"{KEY}.smallest", claim.smallest, allowed)


def day_of(stated: str) -> str:
    """``2026-11-29``, however ISO 8601 lets it be written; raises :class:`InputError`."""
    try:
        return datetime.date.fromisoformat(stated).isoformat()
    except ValueError as error:
        raise InputError(f"{KEY}.stated={stated}: allowed: a date, 2026-11-29") from error


def fitting(row: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The cells of a manifest's entries that ``row`` names, in their order.

    A cell has all that is said of it; what sets it apart from those of the axes (its sampler, where
    not every cell has one, and the keys of a further cell) is said, too.
    """
    stated = {key: literal(value) for key, value in row.items()}
    all_sampled = all(entry.get(SAMPLER) for entry in entries)
    found: dict[str, None] = {}
    for entry in entries:
        usual, special = facts_of(entry)
        if all_sampled:
            usual[SAMPLER] = special.pop(SAMPLER)
        facts = dict.fromkeys(stated, literal(None)) | usual | special
        if special.keys() <= stated.keys() and stated.items() <= facts.items():
            found.setdefault(entry["cell"])
    return list(found)


Pair = tuple[list[str], list[str]]


def compared(claim: Claim, entries: Sequence[Mapping[str, Any]]) -> dict[str, Pair]:
    """(cells of its row, cells of the other) by the value of ``over``, or one pair under ``""``.

    A value that neither row has is left out.
    """
    if not claim.over:
        return {"": (fitting(claim.row, entries), fitting(claim.against, entries))}
    stated = [entry["values"].get(claim.over) for entry in entries]
    values = {literal(value): value for value in stated if value is not None}
    own = {text: {claim.over: value} for text, value in values.items()}
    found = {
        text: (fitting({**claim.row, **at}, entries), fitting({**claim.against, **at}, entries))
        for text, at in own.items()
    }
    return {text: pair for text, pair in found.items() if any(pair)}


def why_not_asked(claim: Claim, pairs: Mapping[str, Pair]) -> str:
    """Which row of a claim is not one row of what is ``compared``; "" where all are there."""
    for value, pair in pairs.items():
        for row, cells in zip((claim.row, claim.against), pair, strict=True):
            if len(cells) != 1:
                own = f" {claim.over}={value}" if value else ""
                return f"{text_of_row(row)}{own}: {f'{len(cells)} rows' if cells else 'no row'}"
    return "" if pairs else f"no rows that differ in {claim.over}"


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
        for pair in compared(claim, entries).values():
            for key, cells in zip(("row", "against"), pair, strict=True):
                row = text_of_row(getattr(claim, key))
                fit = [text_of(next(e for e in entries if e["cell"] == c)) for c in cells[:3]]
                allowed = f"what tells it from the others; here {len(cells)} fit"
                require(len(cells) < 2, f"{KEY}.{key}", row, f"{allowed} ({'; '.join(fit)}, ...)")


def text_of(entry: Mapping[str, Any]) -> str:
    usual, special = facts_of(entry)
    return text_of_row(usual | special)


def text_of_row(row: Mapping[str, Any]) -> str:
    """``method=vae data=mnist5k``"""
    return " ".join(f"{key}={literal(value)}" for key, value in row.items())
