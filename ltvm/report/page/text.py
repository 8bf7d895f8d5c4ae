"""The page of a report, in Markdown: what is asked, the tables, and where each number is from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ltvm.report.comparisons.claims import CLAIMS
from ltvm.report.comparisons.differences import AGAIN
from ltvm.report.comparisons.hypotheses import EXPLORATORY, PRIMARY, families_of_tests
from ltvm.report.comparisons.power import POWER
from ltvm.report.comparisons.statistics import RESAMPLES
from ltvm.report.comparisons.time_to_quality import UP_TO
from ltvm.report.interactive.header import budget_texts, methods_of
from ltvm.report.page.answer import answer_text
from ltvm.report.page.repeating import repeating_text
from ltvm.report.sentences.answer import Answer
from ltvm.report.sentences.gaps import wrong_side_texts
from ltvm.report.sentences.notes import either, notes, sentence
from ltvm.report.sentences.terms import equal_text, reading_text, state_text
from ltvm.report.tables.run_list import LISTED, RUNS, report_command, run_lines
from ltvm.report.tables.writers import LONGEST, file_name, to_markdown
from ltvm.report.values.cells import cell_names, crossed_key, short_names
from ltvm.report.values.comparability import Marks
from ltvm.report.values.declared import columns_of, compared_metrics, headings, names_of
from ltvm.report.values.published import published, published_frames

ROWS, COLUMNS = 100, 40  # of a table that the page shows

MEANINGS = {
    "t": "Mean ± half-width of the 95 % Student t interval over seeds.",
    "bootstrap": f"Mean [95 % bootstrap interval over seeds: BCa, {RESAMPLES:,} seeded resamples; "
    "too narrow for a handful of seeds].",
}
BEST = (
    "Bold: best, where every row is done and paired t tests (same seeds) tell it from each other "
    "row at the 5 % level, after Holm's adjustment over the columns: those of headline metrics "
    "as one family, the others as another."
)
IMPROVEMENT = (
    "How probably a row is better than the reference at the same seed, with its exact "
    "(Clopper-Pearson) 95 % interval; 0.5: neither. A tie counts half. Not adjusted for "
    "the number of comparisons or metrics.\n"
)
POWER_TEXT = (
    "Detectable: the smallest true difference that a paired t test at the 5 % level (not "
    f"adjusted) finds with a chance of {100 * POWER:g} % with so many seeds, if differences "
    "spread as they did here, also as a share of the reference's mean. Seeds needed: so that a "
    "true difference as large as the observed one is found with that chance; in brackets, with "
    "the smallest and the largest spread that these seeds leave open (its 95 % interval, wide for "
    "a handful). Equivalent: p of the difference lying within that share of the reference's mean, "
    "by two one-sided tests; below 0.05, it does. Headline metrics only.\n"
)
RESAMPLING = (
    "Standard deviation over seeds (other weights, data order and samples), and over draws "
    "of the samples alone at a fixed model, which the first contains (a jackknife: up to "
    "half too large where a distance is little more than its bias).\n"
)
TIME_TEXT = (
    "What was spent when a row's learning curve was first as good as the reference's at its end, "
    "at the same seed; where any seed never was, the row missed it and has no mean. Curves are "
    "measured after iterations, of as many images as their definitions say, which may be fewer "
    "than of final values: this is to an iteration, and no final value. "
    "Over its last quarter: by how much a curve changed in the last quarter of its FLOPs; where it "
    "still falls by much, more training would change the row. "
    "Clocks count inference, transport and learning, neither the trial of how to compute, nor "
    "trials of tuning, nor measuring; what first steps take to warm up is in them. Seconds stand "
    "here where all rows are of one device.\n"
)
TRADE_OFF = (
    "A row is on the frontier at a seed unless another one is at least as good in both there, and "
    "better in one; of the means likewise. A row that samples from a density has its run's error. "
    "A description: nothing here is tested, and near the frontier noise decides.\n"
)
ALONG = (
    "Of the first headline learning curve of generation, paired by seed, where that share of the "
    "reference's FLOPs is spent: "
    "straight lines between measurements, a dash before the first. Negative: lower than the "
    "reference. A description: points of one curve depend on each other, and none is tested.\n"
)
PROFILES = (
    "On each data set three targets: the reference's value at its end, and 1.25 and 1.5 times it; "
    "the median over seeds of what each took, a miss being infinite, over the least that any row "
    "took. Within r: on how many targets that is at most r. Score: the mean of that share over r "
    f"from 1 to {UP_TO:g}, as in AlgoPerf; 1 is the best everywhere. A dash: not run on "
    "every data set, and without a part in the scores of the others.\n"
)
COST = (
    "A pass is one forward and backward through the decoder (or the VAE's encoder) per image; "
    "FLOP are counted from the layers, a multiplication and an addition being two. "
    "Peak memory is counted since the run began or, where the system cannot count anew, since the "
    "process did.\n"
)
PUBLISHED = (
    "From the literature, not measured here: published re-runs of one method differ by a factor of "
    'two. "Against ours" compares what the source declares of its protocol with that of our '
    "value, and nothing is marked best across the two.\n"
)
Families = dict[str, pd.DataFrame]  # family, or "" -> table


def page_text(
    manifest: dict[str, Any],
    table: pd.DataFrame,
    shown: dict[str, Families],
    pictures: list[tuple[str, str]],
    marks: Marks,
    interval: str,
    said: Answer,
    unread: Sequence[str] = (),
    base: str | None = None,
) -> str:
    """The page; ``shown`` has its tables by name, ``pictures`` (heading, file without suffix).

    ``said`` is the answer that it begins with, ``unread`` which histories and pictures could not
    be read, ``base`` the way from the page to the results.
    """
    parts = [
        f"# {manifest['name']}\n",
        f"**{manifest['question']}**\n",
        *above_text(manifest, table, said),
        f"{MEANINGS[interval]} {BEST}\n",
        *crossed_text(manifest, shown.get("crossed", {})),
        *tables_text("headline", shown["headline"]),
        *headline_differences_text(manifest, shown),
        command_text(manifest),
        *(f"- {text}" for text in wrong_side_texts(table, manifest, marks, interval)),
        *notes(table, marks, cell_names(table, manifest), unread),
    ]
    for name, heading, text in sections(manifest, table, shown, interval):
        parts += [f"## {heading}\n", text, *tables_text(name, shown[name]), command_text(manifest)]
    for data in table["data"].unique():
        parts += published_text(str(data), table)
    parts += [f"## {heading}\n\n![{heading}]({file}.png)\n" for heading, file in pictures]
    return "\n".join([*parts, *provenance(manifest, table, base)])


def sections(
    manifest: dict[str, Any], table: pd.DataFrame, shown: dict[str, Families], interval: str
) -> list[tuple[str, str, str]]:
    """(table, heading, what to know of it) of every table below the first that is there."""
    reference = manifest["reference"]
    texts = (
        ("claims", "Claims, stated beforehand", f"{CLAIMS}\n"),
        ("table", "All metrics", ""),
        ("differences", f"Differences to {reference}, paired by seed", differences_text(interval)),
        ("tests", f"Tests of the differences to {reference}", tests_text(table, shown)),
        ("power", f"What these seeds can tell of differences to {reference}", POWER_TEXT),
        ("improvement", f"Probability of improvement over {reference}", IMPROVEMENT),
        ("trade-off", "Reconstruction against generation", TRADE_OFF),
        ("resampling", "Spread over seeds, and over draws of the sample", RESAMPLING),
        ("points", "Points of grids", points_text(table)),
        ("time-to-quality", f"Cost of the quality of {reference}", TIME_TEXT),
        ("along-training", f"Differences to {reference} along training", ALONG),
        ("performance-profiles", "Performance profiles over data sets and targets", PROFILES),
        ("cost", "Cost", equal_text(table) + COST + repeating_text(table)),
    )
    return [section for section in texts if section[0] in shown]


def above_text(manifest: dict[str, Any], table: pd.DataFrame, said: Answer) -> list[str]:
    """What ``index.html`` says above its numbers, in its order."""
    methods = methods_of(manifest, set(table["method"]))
    about = [f"- {label}: {' '.join(text.split())}" for label, text in methods.items()]
    _, common = short_names(table, manifest)
    alike = f"All rows have {', '.join(common)} unless their names say otherwise.\n"
    return [
        *answer_text(said),
        *([alike] if common else []),
        *(["What the methods are:\n", *about, ""] if about else []),
        *(f"{text}\n" for text in budget_texts(table)),
        *state_text(table, manifest),
        *reading_text(table),
    ]


def headline_differences_text(manifest: dict[str, Any], shown: dict[str, Families]) -> list[str]:
    if "differences-headline" not in shown:
        return []
    text = (
        f"Differences to {manifest['reference']}, paired by seed (bold: stands after adjustment):\n"
    )
    return [text, *tables_text("differences-headline", shown["differences-headline"])]


def command_text(manifest: dict[str, Any]) -> str:
    return f"Command: `{manifest['command']}`\n"


def tables_text(name: str, families: Families, by: str = "") -> list[str]:
    """One table, or several under the names of their families and what they are ``by``."""
    parts = []
    for family, frame in families.items():
        parts += [f"### {family[0].upper() + family[1:]}{by}\n"] if family else []
        parts.append(table_text(frame, file_name(name, family)))
    return parts


def table_text(frame: pd.DataFrame, file: str) -> str:
    """A table, or its first rows and columns and where all of it is."""
    shown = frame.iloc[:ROWS, :COLUMNS]
    text = to_markdown(shown) + "\n"
    sizes = zip(shown.shape, frame.shape, ("rows", "columns"), strict=True)
    some = [f"{own} of {every:,} {what}" for own, every, what in sizes if own < every]
    if some:
        text += f"\nHere: the first {' and '.join(some)}. All: [{file}.csv]({file}.csv), `.md`.\n"
    return text


def differences_text(interval: str) -> str:
    """What is bold among the differences."""
    return (
        "Negative: lower than the reference. Bold: found by a paired t test at the 5 % level after "
        f"adjustment (next table). The {'' if interval == 't' else 'bootstrap '}intervals are not "
        "adjusted.\n"
    )


def tests_text(table: pd.DataFrame, shown: dict[str, Families]) -> str:
    """What was looked at first, and what is adjusted for how many tests."""
    columns = columns_of(table)
    titles = headings(columns)
    families = families_of_tests(columns, compared_metrics(columns))
    texts = {
        family: frame.iloc[:, 1:].to_numpy().ravel().tolist()
        for family, frame in shown.get("tests", {}).items()
    }
    again = any(AGAIN in text for own in texts.values() for text in own)
    tests = {
        family: count_of(sum(text != "-" and AGAIN not in text for text in own), "test")
        for family, own in texts.items()
    }
    parts = ["p of the paired t test, and in brackets p after Holm's adjustment over its family."]
    if PRIMARY in tests:
        parts.append(
            f"Primary, looked at first: the headline metrics, declared in their code "
            f"({'; '.join(titles[m] for m in families[PRIMARY])}), at every comparison: "
            f"{tests[PRIMARY]}."
        )
    if EXPLORATORY in tests:
        parts.append(
            f"Exploratory: all other values with a better direction, {tests[EXPLORATORY]}; "
            "what stands there is a lead for an experiment of its own."
        )
    if again:
        parts.append(
            f"{AGAIN.strip()}: the very values of an earlier comparison, which are one test."
        )
    parts.append("Bold: adjusted p below 0.05. Values without a better direction are not tested.")
    return " ".join(parts) + "\n"


def count_of(number: int, noun: str) -> str:
    """``1 test``, ``2 tests``"""
    return f"{number} {noun}" + ("s" if number != 1 else "")


def points_text(table: pd.DataFrame) -> str:
    """What the points are, in their metrics' words, and of how many images."""
    columns = columns_of(table)
    points = names_of(columns, "point")
    said = [sentence(columns[metric].definition) for metric in points]
    rows = table[table["metric"].isin(points)]
    sizes = [int(n) for n in sorted(rows["n"].dropna().unique())] if "n" in rows else []
    text = [*dict.fromkeys(said), *([f"n = {either(sizes)}."] if sizes else [])]
    return " ".join([*text, "A dash where a method has none."]) + "\n"


def crossed_text(manifest: dict[str, Any], crossed: Families) -> list[str]:
    """Methods by values of the one swept key, a table for each metric."""
    key = crossed_key(manifest)
    return tables_text("crossed", crossed, f" by {key}")


def published_text(data: str, table: pd.DataFrame) -> list[str]:
    """The published figures for a data set; never mixed into our own columns."""
    rows = published(data, table)
    if rows.empty:
        return [f"## As published, {data}\n\nNo published figures for this data set.\n"]
    frames = [to_markdown(frame) + "\n" for frame in published_frames(rows)]
    return [f"## As published, {data}\n", PUBLISHED, *frames]


def provenance(manifest: dict[str, Any], table: pd.DataFrame, base: str | None) -> list[str]:
    """Where every number comes from."""
    records = table.dropna(subset=["identity"])
    lines = ["## Provenance\n"]
    for column in ("device", "execution", "torch", "commit", "fingerprint", "evaluation_name"):
        values = list(records[column].dropna().unique()) if column in records else []
        text = ", ".join(map(str, values))
        lines.append(f"- {column.replace('_name', '')}: {text or 'unknown'}")
    number = len(manifest["runs"])
    if number <= LISTED:
        lines += ["", "Every run: its values, their files, and the command that does it alone:\n"]
        lines += run_lines(manifest, table, base)
    else:
        lines += ["", f"The {number:,} runs, with files and command of each: [{RUNS}]({RUNS})."]
    lines += [
        "",
        f"Rebuild this page without training: `{report_command(manifest['name'], base)}`. "
        f"The long table is `long.parquet`{long_csv(len(table))}.\n",
    ]
    return lines


def long_csv(rows: int) -> str:
    if rows <= LONGEST:
        return " and `long.csv`"
    return f" (of more than {LONGEST:,} rows, here {rows:,}, there is no `long.csv`)"
