"""The effects of one method against another as a folder: a page, a figure, a table for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ltvm.errors import require
from ltvm.report.comparisons.differences import signed, test_text
from ltvm.report.comparisons.statistics import INTERVALS, format_estimate
from ltvm.report.effects.forest import Groups, forest
from ltvm.report.effects.pairing import Effect, complete, effects, label_of, matched, method_of
from ltvm.report.leaderboard.entries import Json, read_entries
from ltvm.report.leaderboard.pages import Page, Row, pages
from ltvm.report.leaderboard.write import options
from ltvm.report.tables.writers import remove_stale, to_markdown
from ltvm.runs.files.store import check_writable
from ltvm.runtime.files import write_text, writing

NAME = "effects"
USUAL = "the protocol's settings"
RULES = (
    "Differences are paired by seed (mean ± half-width of the 95 % Student t interval). A setting "
    "is all that both rows have in common: images, protocol, budget, and every configuration key "
    "but those in which the two methods differ by default. p is that of the paired t test, and in "
    "brackets after Holm's adjustment over all {tests} tests of this page; bold: below 0.05. The "
    "settings were not drawn at random, so how many of them agree is a description."
)


def write_effects(
    directories: Sequence[Path], reports: Path, first: str, second: str, interval: str = "t"
) -> Json:
    """Write ``<reports>/effects/<first>-against-<second>/``; returns what it says.

    Raises :class:`ltvm.errors.InputError` if the two have no setting in common, or the folder
    cannot be written.
    """
    require(first != second, "effects", first, "two methods that differ")
    require(interval in INTERVALS, "--interval", interval, ", ".join(INTERVALS))
    made = pages(read_entries(directories))
    places = ", ".join(map(str, directories))
    require(bool(made), "--results", places, "directories with records, such as results/reference")
    known = sorted({method_of(row) for page in made for row in page.rows})
    for name in (first, second):
        require(name in known, "effects", name, f"a method with records: {', '.join(known)}")
    found = effects(made, first, second, interval)
    require(bool(found), "effects", f"{first} {second}", "two methods run with all else equal")
    folder = reports / NAME / f"{first}-against-{second}"
    check_writable("--reports", folder)
    written = {"README.md", "effects.csv"}
    labels = (label_of(found[0].first), label_of(found[0].second))
    said = summary(found, labels)
    parts = [f"# {labels[0]} against {labels[1]}", *said]
    for name, title, groups in drawn(found):
        forest(groups, labels, folder / name)
        written |= {f"{name}.png", f"{name}.svg"}
        parts.append(f"![{title}]({name}.png)")
    for metric in dict.fromkeys(e.metric for e in found):
        own = [e for e in found if e.metric == metric]
        parts += [f"## {own[0].page.headings[metric]}", to_markdown(table(own, labels, interval))]
    parts.append(RULES.format(tests=sum(e.test is not None for e in found)))
    alone = without(made, first, second)
    parts += [f"Of “{labels[0]}” without such a counterpart: {'; '.join(alone)}."] if alone else []
    command = f"ltvm effects {first} {second} {options(directories)}"
    parts.append(f"Command: `{command}`")
    parts.append("Every value by seed, with its record: [effects.csv](effects.csv).")
    write_text(folder / "README.md", "\n\n".join(parts) + "\n")
    frame = raw(found)
    with writing(folder / "effects.csv") as file:
        frame.to_csv(file, index=False, mode="wb")
    remove_stale(folder, written)
    return {"page": str(folder / "README.md"), "answer": said, "effects": facts(found)}


def summary(found: Sequence[Effect], labels: tuple[str, str]) -> list[str]:
    """A sentence for every metric: at how many settings the first row is better, and how surely."""
    said = []
    for metric in dict.fromkeys(e.metric for e in found):
        own = [e for e in found if e.metric == metric]
        better = [e for e in own if e.is_better]
        stands = [e for e in own if e.test is not None and e.test.stands]
        sure = sum(e.is_better for e in stands)
        said.append(
            f"{own[0].page.columns[metric].title}: “{labels[0]}” has the better mean at "
            f"{len(better)} of {len(own)} settings, significantly at {sure}, and is significantly "
            f"worse at {len(stands) - sure}."
        )
    return said


def drawn(found: Sequence[Effect]) -> list[tuple[str, str, Groups]]:
    """(file, heading, effects by terms and settings): of the methods' own samples, of densities."""
    figures: list[tuple[str, str, Groups]] = []
    for name, title, of_density in (
        ("effects", "Differences by settings", False),
        ("effects-densities", "Differences by settings, samples of a density on the codes", True),
    ):
        groups: dict[str, dict[str, list[Effect]]] = {}
        for effect in found:
            if bool(effect.first.density) == of_density:
                terms = f"{effect.terms}: {count(effect.passes)} passes"
                lines = groups.setdefault(terms, {})
                lines.setdefault(effect.settings or USUAL, []).append(effect)
        figures += [(name, title, groups)] if groups else []
    return figures


def count(passes: float) -> str:
    """``22.8``, ``1,088``"""
    return f"{passes:,.0f}" if passes >= 100 else f"{passes:.3g}"


def table(own: Sequence[Effect], labels: tuple[str, str], interval: str) -> pd.DataFrame:
    """A row for every setting of one metric."""

    def mean_of(row: Row, effect: Effect) -> str:
        values = row.values[effect.metric]
        return format_estimate(INTERVALS[interval]([values[seed] for seed in effect.seeds]))

    return pd.DataFrame({
        "images, protocol": [e.terms for e in own],
        "settings": [e.settings or USUAL for e in own],
        "passes per image": [count(e.passes) for e in own],
        "seeds": [str(len(e.seeds)) for e in own],
        labels[1]: [mean_of(e.second, e) for e in own],
        labels[0]: [mean_of(e.first, e) for e in own],
        "difference": [signed(e.difference, bold=False) for e in own],
        "%": [f"{e.share[0]:+.1f}" for e in own],
        "p": [test_text(e.test) for e in own],
    })  # fmt: skip


def raw(found: Sequence[Effect]) -> pd.DataFrame:
    """A row for every setting, metric and seed, with both records."""
    return pd.DataFrame([
        {
            "terms": e.terms, "settings": e.settings, "passes": e.passes, "metric": e.metric,
            "seed": seed,
            **{f"{place}_{key}": value
               for place, row in (("first", e.first), ("second", e.second))
               for key, value in (("value", row.values[e.metric][seed]),
                                  ("record", str(row.entries[seed].run.record_file)))},
        }
        for e in found for seed in e.seeds
    ])  # fmt: skip


def facts(found: Sequence[Effect]) -> list[Json]:
    """The same for programs, a row for every setting and metric."""
    return [
        {
            "terms": e.terms, "settings": e.settings, "passes": e.passes, "metric": e.metric,
            "seeds": e.seeds, "reference": e.reference, "difference": e.difference.mean,
            "errors": list(e.difference.errors), "percent": e.share[0],
            "p": e.test and e.test.p, "p_adjusted": e.test and e.test.corrected,
        }
        for e in found
    ]  # fmt: skip


def without(made: Sequence[Page], first: str, second: str) -> list[str]:
    """Rows of the first method that no row of the second one has the settings of."""
    return [
        f"{page.title}: {row.name}"
        for page in made
        for row in complete(page)
        if method_of(row) == first
        and row.id not in {one.id for one, _ in matched(page, first, second)}
    ]
