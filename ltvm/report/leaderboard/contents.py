"""What a page shows, as plain values: the one thing that its template and its script read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from ltvm.report.comparisons.statistics import INTERVALS, format_estimate
from ltvm.report.leaderboard.entries import Json
from ltvm.report.leaderboard.names import overrides_of, settings_of
from ltvm.report.leaderboard.pages import Page, Row, in_words
from ltvm.report.leaderboard.ranks import Rank, Ranking, errors_needed
from ltvm.report.values.costs import CURRENCIES

OF_RUN = ("status", "reason", "command", "commit", "device", "precision", "execution", "started",
          "finished", "identity", "stored", "external")  # fmt: skip
SAID = 20  # names of rows in a list
SHOWN = ("training_seconds",)  # of the costs, beside the currency of equal terms


def contents(page: Page, interval: str) -> Json:
    """Everything; strings are what people wrote, to be escaped by whoever shows them."""
    rows = ordered(page)
    return {
        "title": page.title,
        "heading": heading(page),
        "overrides": shlex.join(overrides_of(page.terms, page.rows[0].first)),
        "metrics": [column_facts(page, metric) for metric in page.ranked],
        "costs": [
            column_facts(page, cost)
            | {"shown": cost in SHOWN or cost == CURRENCIES.get(str(page.terms["equal"]))}
            for cost in page.costs
        ],
        "rows": [row_facts(page, row, interval) for row in rows],
        "rankings": {metric: ranking_facts(page, metric) for metric in page.ranked},
        "kinds": {metric: in_words(page.kinds[metric]) for metric in page.ranked},
        "aside": aside_facts(page, rows),
        "seeds": sorted({seed for row in page.rows for seed in row.entries}),
    }


def heading(page: Page) -> str:
    """``mnist5k, protocol small, equal flops``, and what is otherwise on this page."""
    equal = page.terms["equal"]
    beside = [text for text in page.title.split(", ")[2:] if text != f"equal {equal}"]
    protocol = [f"protocol {page.terms['protocol']}"] if page.terms["protocol"] else []
    return ", ".join([
        str(page.terms["data"]), *protocol, *([f"equal {equal}"] if equal else []), *beside,
    ])  # fmt: skip


def ordered(page: Page) -> list[Row]:
    """Rows by the first ranking, then those without a rank by their names."""
    order = list(page.rankings[page.ranked[0]].ranks) if page.ranked else []
    place = {id: number for number, id in enumerate(order)}
    return sorted(page.rows, key=lambda row: (place.get(row.id, len(place)), row.name))


def column_facts(page: Page, metric: str) -> Json:
    column = page.columns[metric]
    return {
        "id": metric,
        "title": page.headings[metric],
        "definition": column.definition,
        "unit": column.unit,
        "direction": column.direction,
    }


def row_facts(page: Page, row: Row, interval: str) -> Json:
    first = row.first
    return {
        "id": row.id,
        "name": row.name,
        "label": row.label,
        "method": str(first.config["method"]["name"]),
        "origins": row.origins,
        "marks": row.marks,
        "unranked": row.aside.get(""),
        "runs": str(len(row.entries)),
        "settings": settings_of(first),
        "tuned": first.record.get("tuned"),
        "values": {
            metric: estimate_facts(row.values[metric], interval)
            for metric in (*page.ranked, *page.costs)
            if metric in row.values
        },
        "stated": {
            metric: in_words(row.stated[metric]) for metric in page.ranked if metric in row.stated
        },
        "records": [
            {
                "seed": seed,
                "results": str(entry.results),
                "path": str(entry.run.directory),
                **{key: entry.record.get(key) for key in OF_RUN},
                "checksums": "without: " + ", ".join(entry.unsealed) if entry.unsealed else "hold",
            }
            for seed, entry in sorted(row.entries.items())
        ],
    }


def estimate_facts(by_seed: dict[int, float], interval: str) -> Json:
    estimate = INTERVALS[interval](list(by_seed.values()))
    return {
        "text": format_estimate(estimate),
        "mean": estimate.mean,
        "seeds": {str(seed): value for seed, value in by_seed.items()},
    }


def ranking_facts(page: Page, metric: str) -> Json:
    found = page.rankings[metric]
    names = {row.id: row.name for row in page.rows}
    seeds = max((len(r.values[metric]) for r in page.rows if r.id in found.ranks), default=0)
    needed = errors_needed(found.tests, seeds)
    return {
        "tests": found.tests,
        "rows": len(found.ranks),
        "seeds": seeds,
        "needed": None if needed is None else f"{needed:.0f}" if needed > 10 else f"{needed:.1f}",
        "answer": answer(page, metric),
        "of": {
            id: {
                "place": place,
                "text": rank.text,
                "low": rank.low,
                "high": rank.high,
                "expected": rank.expected,
                "at_one_seed": at_one_seed(rank),
                "bounds": rank.bounds,
                "first": f"{rank.first} of {rank.seeds}",
                "better_than": some(rank.better_than, names),
                "worse_than": some(rank.worse_than, names),
            }
            for place, (id, rank) in enumerate(found.ranks.items(), 1)
        },
    }


def some(rows: Sequence[str], names: Mapping[str, str]) -> str:
    """Their names, of very many the first."""
    texts = [names[row] for row in rows[:SAID]] or ["no row"]
    return "; ".join([*texts, *([f"and {len(rows) - SAID} more"] if len(rows) > SAID else [])])


def at_one_seed(rank: Rank) -> str:
    """``2.3 [1, 4]``"""
    if rank.bounds is None:
        return f"{rank.expected:.1f}"
    low, high = rank.bounds
    return f"{rank.expected:.1f} [{low:.3g}, {high:.3g}]"


def answer(page: Page, metric: str) -> str:
    """What the ranking by one metric says significantly, in a few sentences."""
    found, title = page.rankings[metric], page.columns[metric].title
    ranks = found.ranks
    names = {row.id: row.name for row in page.rows}
    if len(ranks) < 2:
        return f"By {title}: {len(ranks)} row, so nothing to rank."
    leaders = [id for id, rank in ranks.items() if rank.low == 1]
    told = told_apart(found)
    if len(leaders) == 1:
        first = names[leaders[0]]
        return f"By {title}: “{first}” is significantly first, of {len(ranks)} rows. {told}"
    least = min(rank.expected for rank in ranks.values())
    ahead = [f"“{names[id]}”" for id, rank in ranks.items() if rank.expected == least]
    have = "has" if len(ahead) == 1 else "have"
    return (
        f"By {title}: no row is significantly first, {len(leaders)} of {len(ranks)} may be. "
        f"{' and '.join(ahead[:SAID])} {have} the best rank at one seed, {least:.1f} on average. "
        f"{told}"
    )


def told_apart(found: Ranking) -> str:
    """``3 seeds tell 120 of 3,160 pairs of rows apart.``"""
    seeds = "1 seed tells" if found.seeds == "1" else f"{found.seeds} seeds tell"
    pairs = f"{found.pairs:,} pairs" if found.pairs > 1 else "1 pair"
    return f"{seeds} {found.told_apart:,} of {pairs} of rows apart."


def aside_facts(page: Page, rows: list[Row]) -> list[Json]:
    """Row, what of it is not ranked, and why."""
    found = []
    for row in rows:
        for metric, reason in row.aside.items():
            if metric == "" or metric in page.ranked:
                what = "all" if metric == "" else page.columns[metric].title
                found.append({"row": row.name, "what": what, "reason": reason})
    return found


def page_summary(page: Page, file: str) -> Json:
    """What the index, and a program, is told of a page."""
    ranks: dict[str, Any] = {}
    names = {row.id: row.name for row in page.rows}
    by_id = {row.id: row for row in page.rows}
    for metric in page.ranked:
        ranks[metric] = [
            {
                "row": names[id],
                "low": rank.low,
                "high": rank.high,
                "expected": rank.expected,
                "first": rank.first,
                "mean": fmean(by_id[id].values[metric].values()),
                "seeds": sorted(by_id[id].values[metric]),
                "marks": by_id[id].marks,
            }
            for id, rank in page.rankings[metric].ranks.items()
        ]
    rows = ordered(page)
    return {
        "title": page.title,
        "page": file,
        "rows": len(page.rows),
        "answer": answer(page, page.ranked[0]) if page.ranked else "No headline metric.",
        "ranks": ranks,
        "set_aside": aside_facts(page, rows),
    }
