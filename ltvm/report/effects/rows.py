"""The rows of two methods that can be a pair: all their runs done, each with what it was set to.

records of both methods -> those on the same terms (as on the leaderboard) -> rows, and why not
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ltvm.report.leaderboard.entries import EXTERNAL, Entry, Found, Json, by_terms
from ltvm.report.leaderboard.names import (
    defaults_of,
    page_titles,
    resolved,
    sampler_label,
    settings_of,
)
from ltvm.report.leaderboard.pages import Row, rows_of, unfinished
from ltvm.report.values.flat import flatten
from ltvm.runs.identity import NOT_TRAINING, identity, pruned


@dataclass
class Setting:
    """A row of one method, and what of its configuration decides what it is compared with."""

    row: Row
    why_not: str = ""  # why it is no part of any pair

    @cached_property
    def own(self) -> Json:
        return flatten(pruned(self.entry.config, NOT_TRAINING))

    @cached_property
    def usual(self) -> Json | None:
        """What its method is by default, on its data and protocol; None if that is unknown."""
        entry = self.entry
        names = (entry.config["data"]["name"], self.method, entry.record.get("protocol"))
        return defaults_of(*map(str, names))

    @cached_property
    def idle(self) -> tuple[str, ...]:
        """Keys that its method's file says have no part in it, such as the solver without alpha."""
        entry = self.entry
        names = (entry.config["data"]["name"], self.method, entry.record.get("protocol"))
        method = (resolved(*map(str, names)) or {}).get("method", {})
        return tuple(f"method.{key}" for key in method.get("idle", ()))

    @cached_property
    def is_current(self) -> bool:
        """Whether today's code gives its configuration the identity that it has."""
        return self.entry.identity == identity(self.entry.config)

    @property
    def entry(self) -> Entry:
        return self.row.first

    @property
    def method(self) -> str:
        return str(self.entry.config["method"]["name"])

    @property
    def precision(self) -> str:
        return str(self.entry.config.get("precision") or self.entry.record.get("precision"))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """``GMM on the codes``, ``sigma = 0.6``: what it has otherwise than by default."""
        sampler = self.row.sampler
        density = (f"{sampler_label(sampler)} on the codes",) if sampler else ()
        changed = settings_of(self.entry).items()
        return density + tuple(f"{key.split('.', 1)[-1]} = {value}" for key, value in changed)

    @property
    def marks(self) -> list[str]:
        """What a reader has to know of it."""
        tuned = ["settings found by a search"] if self.entry.record.get("tuned") else []
        return [*self.row.marks, *tuned, *([] if self.is_current else ["of earlier code"])]


@dataclass
class Terms:
    """The rows of both methods that were trained on the same terms."""

    title: str
    data: str
    equal: str | None
    first: list[Setting] = field(default_factory=list)
    second: list[Setting] = field(default_factory=list)


def terms_of_both(found: Found, first: str, second: str) -> list[Terms]:
    """The terms on which either method was run; what others did has no part in them."""
    mine = [e for e in found.entries if e.config["method"]["name"] in (first, second)]
    groups = by_terms(mine)
    titles = page_titles([terms for terms, _ in groups])
    made = []
    for (terms, entries), title in zip(groups, titles, strict=True):
        own = Terms(title, str(terms["data"]), terms["equal"])
        for row in rows_of(entries):
            setting = Setting(row)
            setting.why_not = "; ".join(reasons(setting))
            (own.first if setting.method == first else own.second).append(setting)
        made.append(own)
    return made


def reasons(setting: Setting) -> Iterator[str]:
    """Why a row is compared with none: its seeds would be those that went well."""
    row = setting.row
    if EXTERNAL in row.origins:
        yield "made elsewhere, so that it shares no seed"
    yield from unfinished(row)
    if setting.usual is None:
        yield "this installation has no such method, data set or protocol (--config-dir?)"


def of_today(settings: Sequence[Setting]) -> list[Setting]:
    """Those of today's code, where there are any."""
    return [one for one in settings if one.is_current] or list(settings)
