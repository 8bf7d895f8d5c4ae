"""A page: the rows that were trained on the same terms, their values of one kind, their ranks.

Nothing is ranked across terms (those are other pages), and nothing of another kind than most rows
have (extractor, checksum, n, split, ...), of a row whose runs are not all done, or of one that
spent something else: those are set aside, with the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from ltvm.metrics.columns import Column
from ltvm.report.comparisons.hypotheses import PRIMARY, families_of_tests
from ltvm.report.leaderboard.entries import EXTERNAL, OWN, Entry, Found, Json, by_terms
from ltvm.report.leaderboard.names import file_names, page_titles, row_label, row_names
from ltvm.report.leaderboard.ranks import Ranking, rankings
from ltvm.report.values.comparability import COMPARED, NOTED, readable
from ltvm.report.values.costs import COSTS, CURRENCIES, cost_of_evaluations, costs_of_training
from ltvm.report.values.declared import column_of, headings, names_of

AGREE = 0.1  # of what a row's runs spend, against the page's median


@dataclass
class Row:
    """A method with its settings and its sampler: its runs, and their values by metric and seed."""

    id: str
    sampler: str | None
    density: str = ""  # what its samples state of the sampler; empty: they are of the prior
    entries: dict[int, Entry] = field(default_factory=dict)  # by seed
    evaluations: dict[int, list[Json]] = field(default_factory=dict)
    values: dict[str, dict[int, float]] = field(default_factory=dict)
    stated: dict[str, Json] = field(default_factory=dict)  # metric -> what a value says of itself
    aside: dict[str, str] = field(default_factory=dict)  # metric, or "" of all -> reason
    warnings: dict[tuple[str, str], set[int]] = field(default_factory=dict)  # metric, text: seeds
    warned: list[str] = field(default_factory=list)  # those of headline values, in words
    label: str = ""  # method and sampler
    name: str = ""  # the same, and what is set otherwise

    @property
    def first(self) -> Entry:
        return self.entries[min(self.entries)]

    @property
    def origins(self) -> list[str]:
        """``own``, ``stored``, ``external``, as its runs say."""
        return sorted({entry.origin for entry in self.entries.values()})

    @property
    def marks(self) -> list[str]:
        """What a reader has to know before trusting the row."""
        marks = [origin for origin in self.origins if origin != OWN]
        unsealed = sum(bool(entry.unsealed) for entry in self.entries.values())
        if unsealed:
            marks.append(f"unverified: {unsealed} of {len(self.entries)} runs")
        return marks + self.warned


@dataclass
class Page:
    """Rows on the same terms; ``ranked`` are the headline metrics, ``kinds`` their provenance."""

    title: str
    name: str  # of its files
    terms: Json
    rows: list[Row]
    columns: dict[str, Column]
    kinds: dict[str, Json]
    ranked: list[str] = field(default_factory=list)
    rankings: dict[str, Ranking] = field(default_factory=dict)

    @property
    def costs(self) -> list[str]:
        return [name for name in COSTS if any(name in row.values for row in self.rows)]

    @property
    def headings(self) -> dict[str, str]:
        return headings(self.columns)


def pages(found: Found) -> list[Page]:
    """Every page, that with the most rows first."""
    groups = by_terms(found.entries)
    titles = page_titles([terms for terms, _ in groups])
    return [
        page(title, name, terms, own)
        for (terms, own), title, name in zip(groups, titles, file_names(titles), strict=True)
    ]


def page(title: str, name: str, terms: Json, entries: Sequence[Entry]) -> Page:
    rows = rows_of(entries)
    names = row_names({row.id: row.first for row in rows}, {row.id: row.sampler for row in rows})
    for row in rows:
        row.label, row.name = row_label(row.first, row.sampler), names[row.id]
    columns, kinds = settle_values(rows)
    for row in rows:
        row.warned = warnings_of(row, columns)
        settle_costs(row)
        set_aside_unfinished(row)
    set_aside_spending(rows, terms["equal"])
    made = Page(title, name, terms, rows, columns | COSTS, kinds)
    values = names_of(columns, "value")
    made.ranked = families_of_tests(columns, values)[PRIMARY]
    competing = [row for row in rows if "" not in row.aside]
    made.rankings = rankings({
        metric: (
            {
                row.id: row.values[metric]
                for row in competing
                if metric in row.values and metric not in row.aside
            },
            columns[metric].direction or "lower",  # a tested metric has one
        )
        for metric in made.ranked
    })  # fmt: skip
    return made


def rows_of(entries: Sequence[Entry]) -> list[Row]:
    """A row for every cell and sampler; one without evaluations has its training alone.

    A run without evaluations is one of every row of its cell.
    """
    known = known_densities(entries)
    filed = [(entry, by_density(entry, known)) for entry in entries]
    of_cell: dict[str, dict[str, None]] = {}
    for entry, own in filed:
        of_cell.setdefault(cell_of(entry), {}).update(dict.fromkeys(own))
    rows: dict[str, Row] = {}
    for entry, own in filed:
        for density in own or of_cell[cell_of(entry)] or [""]:
            id = f"{cell_of(entry)}{density}"
            sampler = str(json.loads(density).get("name")) if density else None
            row = rows.setdefault(id, Row(id, sampler, density))
            row.entries[entry.seed] = entry
            row.evaluations[entry.seed] = own.get(density, [])
    return list(rows.values())


def cell_of(entry: Entry) -> str:
    return f"{entry.config['method']['name']}-{entry.identity}"


def by_density(entry: Entry, known: dict[str, str]) -> dict[str, list[Json]]:
    """A run's evaluations by ``Row.density``, without those of which that is not known."""
    found: dict[str, list[Json]] = {}
    for identity, evaluation in entry.evaluations.items():
        if identity in known:
            found.setdefault(known[identity], []).append(evaluation)
    return found


def known_densities(entries: Sequence[Entry]) -> dict[str, str]:
    """Identity of an evaluation -> ``Row.density``.

    One that is not done and states no sampler may have had one that was not fitted: what is done
    says so.
    """
    known: dict[str, str] = {}
    for entry in entries:
        for identity, evaluation in entry.evaluations.items():
            stated = (evaluation.get("sampler") or {}).get("stated") or {}
            own = {key: value for key, value in stated.items() if key not in ("n", "found")}
            if own or evaluation["status"] == "done":
                known[identity] = json.dumps(own, sort_keys=True) if own else ""
    return known


def kind_of(stated: Json) -> str:
    """What a number is, without who computed it and what was found along with it."""
    kept = {key: value for key, value in stated.items() if key not in NOTED | COMPARED}
    return json.dumps(kept, sort_keys=True)


def settle_values(rows: Sequence[Row]) -> tuple[dict[str, Column], dict[str, Json]]:
    """Give rows their values of the kind that most rows have; set aside those with other seeds.

    Of several evaluations with a value of that kind the first counts. Returns the columns, and the
    kind, of every metric.
    """
    columns: dict[str, Column] = {}
    all_values: dict[str, dict[str, dict[str, dict[int, Json]]]] = {}  # metric, kind, row, seed
    for row in rows:
        for seed, evaluations in row.evaluations.items():
            for evaluation in evaluations:
                if evaluation["status"] != "done":
                    continue
                for metric, content in evaluation["values"].items():
                    columns.setdefault(metric, column_of(evaluation["columns"][metric]))
                    stated = {key: value for key, value in content.items() if key != "value"}
                    kinds = all_values.setdefault(metric, {}).setdefault(kind_of(stated), {})
                    kinds.setdefault(row.id, {}).setdefault(seed, content)
                    if content.get("warning"):
                        row.warnings.setdefault((metric, content["warning"]), set()).add(seed)
    settled = {}
    for metric, by_kind in all_values.items():
        usual = max(by_kind, key=lambda kind: len(by_kind[kind]))  # of a tie the first
        settled[metric] = json.loads(usual)
        for row in rows:
            own = by_kind[usual].get(row.id, {})
            if own:
                row.values[metric] = {seed: float(own[seed]["value"]) for seed in sorted(own)}
                row.stated[metric] = own[min(own)]
            others: dict[int, str] = {}  # seed -> kind, of those without the usual one
            for kind, of_rows in by_kind.items():
                for seed in of_rows.get(row.id, {}).keys() - own.keys():
                    others.setdefault(seed, kind)
            if others:
                row.aside[metric] = differing_seeds(others, settled[metric], some=bool(own))
    return columns, settled


def differing_seeds(kinds: dict[int, str], usual: Json, some: bool) -> str:
    """``seeds 1, 4: n is 500, of the others 1000``; without seeds where not ``some`` but all are.

    ``kinds`` are those of seeds, as ``kind_of`` has them.
    """
    if not some:
        return differing(json.loads(kinds[min(kinds)]), usual)
    said: dict[str, list[int]] = {}
    for seed, kind in sorted(kinds.items()):
        said.setdefault(differing(json.loads(kind), usual), []).append(seed)
    return "; ".join(
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}: {text}"
        for text, seeds in said.items()
    )


def warnings_of(row: Row, columns: dict[str, Column]) -> list[str]:
    """What the row's headline values warn of: ``data-copying: near copies (2 of 5 seeds)``."""
    found = []
    for (metric, text), seeds in row.warnings.items():
        few = len(seeds) < len(row.entries)
        some = f" ({len(seeds)} of {len(row.entries)} seeds)" if few else ""
        if columns[metric].headline:
            found.append(f"{columns[metric].title}: {text}{some}")
    return found


def differing(own: Json, usual: Json) -> str:
    """``n is 500, of the others 1000``"""
    mine, theirs = in_words(own), in_words(usual)
    return "; ".join(
        f"{key} is {mine.get(key, 'not stated')}, of the others {theirs.get(key, 'not stated')}"
        for key in {**usual, **own}
        if own.get(key) != usual.get(key)
    )


def in_words(stated: Json) -> dict[str, str]:
    """What a number says of itself, hashes by their first digits."""
    return {
        key: readable(json.dumps(value, sort_keys=True))
        for key, value in stated.items()
        if key != "value"
    }


def settle_costs(row: Row) -> None:
    """Costs by seed, of runs that are done."""
    for seed, entry in sorted(row.entries.items()):
        if entry.record["status"] == "done":
            done = [e for e in row.evaluations[seed] if e["status"] == "done"]
            for name, value in (
                costs_of_training(entry.record) | cost_of_evaluations(done)
            ).items():
                row.values.setdefault(name, {})[seed] = float(value)


def set_aside_unfinished(row: Row) -> None:
    """A row is ranked when its runs are done: one that diverged must not count for nothing.

    Images from elsewhere share neither initial weights nor draws with a seed here.
    """
    if EXTERNAL in row.origins:
        row.aside[""] = "made elsewhere: shares no seed, so no difference is paired"
    if said := unfinished(row):
        row.aside[""] = "; ".join(said)


def unfinished(row: Row) -> list[str]:
    """What of a row's runs and their evaluations is not done: its seeds are those that went well.

    A run without evaluation counts where another seed has one.
    """
    said, runs = [], len(row.entries)
    statuses = Counter(e.status for e in row.entries.values() if e.status != "done")
    if statuses:
        words = ", ".join(f"{number} {status}" for status, number in statuses.items())
        said.append(f"{words} of {runs} runs")
    lost = Counter(
        row.entries[seed].run.as_it_is(one["status"])
        for seed, own in row.evaluations.items()
        for one in own
        if one["status"] != "done"
    )
    if lost:
        (status, number), *others = lost.items()
        more = "".join(f", {number} {status}" for status, number in others)
        noun = "evaluation" if number == 1 else "evaluations"
        said.append(f"{number} {noun} {status}{more}")
    without = [s for s, e in row.entries.items() if e.status == "done" and not row.evaluations[s]]
    if without and any(row.evaluations.values()):
        said.append(f"{len(without)} of {runs} runs without evaluation")
    return said


def set_aside_spending(rows: Sequence[Row], equal: str | None) -> None:
    """Terms are equal where rows spent the same, whatever their protocols are called."""
    cost = CURRENCIES.get(str(equal))
    spent = {
        row.id: sum(row.values[cost].values()) / len(row.values[cost])
        for row in rows
        if cost in row.values and EXTERNAL not in row.origins
    }
    if cost is None or not spent:
        return
    usual = median(spent.values())
    for row in rows:
        share = spent[row.id] / usual if usual and row.id in spent else 1.0
        if abs(share - 1) > AGREE:
            row.aside.setdefault(
                "", f"spends {share:.2g} times the {COSTS[cost].title} of the others"
            )
