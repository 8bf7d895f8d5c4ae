"""The effects of one method against another as a folder: a page, figures, a table for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ltvm.errors import require
from ltvm.report.comparisons.statistics import INTERVALS
from ltvm.report.effects.along import correlation_text, declared, points, scatter
from ltvm.report.effects.forest import Groups, forest
from ltvm.report.effects.pairing import KINDS, Effect, Effects, effects, facts
from ltvm.report.effects.rows import terms_of_both
from ltvm.report.effects.tables import USUAL, count, raw, table
from ltvm.report.interactive.render import INTERVAL
from ltvm.report.leaderboard.entries import Found, Json, read_entries
from ltvm.report.tables.writers import remove_stale, to_markdown
from ltvm.runs.files.store import check_writable
from ltvm.runtime.commands import command_line
from ltvm.runtime.files import write_text, writing

NAME = "effects"
SAID = 60  # rows that are left out, by name
RULES = (
    "Differences are paired by seed; intervals are {interval}s. Both rows have the same images, "
    "budget and sampler, and the same value of every configuration key but those in which the two "
    "methods differ by default, such as alpha, or that the second one has no use for: in these the "
    "second method is as its file says, and the first one as the settings say. %: of the second "
    "row's mean, taken as exact. p is that of the paired t test, and in brackets after Holm's "
    "adjustment over all tests of its kind ({tests}); bold: below 0.05. Settings were not drawn at "
    "random, and several may share a run, so how many of them agree is a description."
)


def write_effects(
    directories: Sequence[Path],
    reports: Path,
    first: str,
    second: str,
    interval: str = "t",
    by: Sequence[str] = (),
) -> Json:
    """Write ``<reports>/effects/<first>-against-<second>/``; returns what it says.

    ``by`` names metrics of the second method against which differences are drawn as well. Raises
    :class:`ltvm.errors.InputError` if the two have no setting in common, if one of ``by`` is no
    such metric, or the folder cannot be written.
    """
    require(first != second, "effects", first, "two methods that differ")
    require(interval in INTERVALS, "--interval", interval, ", ".join(INTERVALS))
    records = read_entries(directories)
    found = effects(terms_of_both(records, first, second), interval)
    refuse_empty(records, found, directories, (first, second))
    titles = {metric: declared(found.effects, metric).title for metric in by}
    folder = reports / NAME / f"{first}-against-{second}"
    check_writable("--reports", folder)
    labels = labels_of(found.effects[0], first, second)
    said = summary(found.effects, labels)
    parts = [f"# {labels[0]} against {labels[1]}", *said]
    written = {"README.md", "effects.csv"}
    for name, title, groups in drawn(found.effects):
        forest(groups, labels, folder / name)
        written |= {f"{name}.png", f"{name}.svg"}
        parts.append(f"![{title}]({name}.png)")
    for metric, title in titles.items():
        name = f"{NAME}-by-{metric}"
        if points(found.effects, metric):
            scatter(found.effects, metric, title, labels, folder / name)
            written |= {f"{name}.png", f"{name}.svg"}
            parts.append(f"![Differences against {title} of “{labels[1]}”]({name}.png)")
        parts += correlation_text(found.effects, metric, title, labels[1])
    for metric in metrics_of(found.effects):
        own = [e for e in found.effects if e.metric == metric]
        parts += [f"## {own[0].title}", to_markdown(table(own, labels, interval, titles))]
    tested = Counter(e.kind for e in found.effects if e.test is not None and not e.test.again)
    tests = "; ".join(f"{kind}: {number}" for kind, number in tested.items())
    parts.append(RULES.format(interval=INTERVAL[interval], tests=tests or "none"))
    parts.append(TO_KNOW)
    parts += left_out_text(found, records, labels[0])
    options = [word for directory in directories for word in ("--results", str(directory))]
    options += ["--interval", interval] if interval != "t" else []
    options += [word for metric in titles for word in ("--by", metric)]
    parts.append(f"Command: `{command_line('effects', first, second, *options)}`")
    parts.append("Every value by seed, with its record: [effects.csv](effects.csv).")
    write_text(folder / "README.md", "\n\n".join(parts) + "\n")
    with writing(folder / "effects.csv") as file:
        raw(found.effects, by).to_csv(file, index=False, mode="wb")
    remove_stale(folder, written)
    return {
        "page": str(folder / "README.md"), "answer": said, "effects": facts(found.effects),
        "left_out": [f"{terms.title}: {', '.join(one.words) or USUAL} ({why})"
                     for terms, one, why in found.left_out],
    }  # fmt: skip


TO_KNOW = (
    "To know: “unverified”, runs whose records have no checksum, as older ones have not, so that a "
    "change by hand would not be noticed; “settings found by a search”, runs of either row whose "
    "settings come from `ltvm tune`, also where its search ended at the defaults."
)


def refuse_empty(
    records: Found, found: Effects, directories: Sequence[Path], methods: tuple[str, str]
) -> None:
    """Raise :class:`ltvm.errors.InputError` where there is nothing to say, with the reason."""
    known = sorted({str(e.config["method"]["name"]) for e in records.entries})
    places = ", ".join(map(str, directories))
    allowed = "directories with records, such as results/reference"
    require(bool(known), "--results", places, allowed)
    for name in methods:
        require(name in known, "effects", name, f"a method with records: {', '.join(known)}")
    whys = list(dict.fromkeys(why for _, _, why in found.left_out))[:3]
    told = f" ({'; '.join(whys)})" if whys else ""
    allowed = f"two methods that were run with all else equal{told}"
    require(bool(found.effects), "effects", " ".join(methods), allowed)


def labels_of(effect: Effect, first: str, second: str) -> tuple[str, str]:
    """What tables call the two methods; their names where they are called the same."""
    records = (effect.first.entry.record, effect.second.entry.record)
    labels = [str(record.get("label") or name) for record, name in zip(records, (first, second),
                                                                       strict=True)]  # fmt: skip
    if labels[0] == labels[1]:
        return first, second
    return labels[0].replace("|", "/"), labels[1].replace("|", "/")


def metrics_of(found: Sequence[Effect]) -> list[str]:
    """The metrics, that of the most settings first."""
    return [metric for metric, _ in Counter(e.metric for e in found).most_common()]


def summary(found: Sequence[Effect], labels: tuple[str, str]) -> list[str]:
    """A sentence for every metric: at how many settings the first row is better, and how surely."""
    said = []
    for metric in metrics_of(found):
        own = [e for e in found if e.metric == metric]
        stands = [e for e in own if e.test is not None and e.test.stands]
        sure = sum(e.is_better for e in stands)
        rows = len({e.second.row.id for e in own})
        shared = f" (against {rows} rows of “{labels[1]}”)" if rows < len(own) else ""
        said.append(
            f"{own[0].column.title}: “{labels[0]}” has the better mean at "
            f"{sum(e.is_better for e in own)} of {len(own)} settings{shared}, significantly at "
            f"{sure}, and is significantly worse at {len(stands) - sure}."
        )
    return said


def drawn(found: Sequence[Effect]) -> list[tuple[str, str, Groups]]:
    """(file, heading, effects by terms and settings): at settings that both have, of the first
    method's alone, and of samples of a density.

    Metrics of few of these settings have a figure of their own, with no line but of these.
    """
    figures: list[tuple[str, str, Groups]] = []
    names = ("effects", "effects-variants", "effects-densities")
    for name, kind in zip(names, KINDS, strict=True):
        own = [e for e in found if e.kind == kind]
        counts = Counter(e.metric for e in own)
        few = {metric for metric, count in counts.items() if 2 * count < max(counts.values())}
        title = f"Differences by {kind}"
        figures.append((name, title, grouped([e for e in own if e.metric not in few], found)))
        rare = grouped([e for e in own if e.metric in few], found)
        figures.append((f"{name}-others", f"{title}, by metrics of few of them", rare))
    return [figure for figure in figures if figure[2]]


def grouped(own: Sequence[Effect], found: Sequence[Effect]) -> Groups:
    """Effects by their terms and settings, as figures show them."""
    groups: dict[str, dict[str, list[Effect]]] = {}
    for effect in own:
        line = f"{effect.settings or USUAL}, {effect.first.precision}"
        groups.setdefault(heading(effect, found), {}).setdefault(line, []).append(effect)
    return groups


def heading(effect: Effect, found: Sequence[Effect]) -> str:
    """``mnist5k, medium: 88 passes``, over all settings on the same terms."""
    same = [e.cost("passes") for e in found if e.terms is effect.terms]
    passes = sorted({count(both[0]) for both in same if both}, key=lambda text: (len(text), text))
    several = passes[:1] + (passes[-1:] if len(passes) > 1 else [])
    return effect.terms.title + (f": {' to '.join(several)} passes" if passes else "")


def left_out_text(found: Effects, records: Found, label: str) -> list[str]:
    """Rows of the first method that are compared with none, and records that are not read."""
    lines = [
        f"- {terms.title}: {', '.join(one.words) or USUAL}, {one.precision} ({why})"
        for terms, one, why in found.left_out
    ]
    lines += [f"- {line}" for line in records.left_out]
    more = [f"- and {len(lines) - SAID} more"] if len(lines) > SAID else []
    text = "\n".join([*lines[:SAID], *more])
    return [f"Left out of “{label}”, or of all records:\n\n{text}"] if lines else []
