"""The leaderboard as files: a page, the raw table and the ranks of every page, and an index.

Every page is one file that fetches nothing, made from a template with its data, style and script
inlined, as ``index.html`` of a report is.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ltvm.errors import InputError, require
from ltvm.report.comparisons.statistics import INTERVALS
from ltvm.report.interactive.render import INTERVAL, as_script
from ltvm.report.leaderboard.contents import contents, ordered, page_summary
from ltvm.report.leaderboard.entries import Json, read_entries
from ltvm.report.leaderboard.pages import Page, pages
from ltvm.report.leaderboard.ranks import SEEDS_OF_AN_INTERVAL
from ltvm.report.tables.writers import remove_stale, write_parquet
from ltvm.report.values.long_table import add_costs, add_evaluation, columns_of_record
from ltvm.report.values.rows import Rows
from ltvm.runs.files.store import check_writable
from ltvm.runtime.files import write_text, writing

NAME = "leaderboard"


def write_leaderboard(directories: Sequence[Path], reports: Path, interval: str = "t") -> Json:
    """Write ``<reports>/leaderboard/`` of all records of these directories; returns what it says.

    Files of an earlier leaderboard there that are none of this one's are removed. Raises
    :class:`ltvm.errors.InputError` if there is no record, or the folder cannot be written.
    """
    require(interval in INTERVALS, "--interval", interval, ", ".join(INTERVALS))
    folder = reports / NAME
    if (folder / "README.md").exists():
        raise InputError(f"{folder}: has a report of that name; allowed: another --reports")
    found = read_entries(directories)
    if not found.entries:
        places = ", ".join(map(str, directories))
        raise InputError(f"leaderboard: no records in {places}; run `ltvm ablate` first")
    check_writable("--reports", folder)
    made = pages(found)
    links = [{"title": page.title, "file": f"{page.name}.html"} for page in made]
    written: set[str] = set()
    summaries = []
    for page in made:
        written |= write_page(page, folder, links, interval, directories)
        summaries.append(page_summary(page, str(folder / f"{page.name}.html")))
    text = template("board.html.j2").render(
        pages=[summary | link for summary, link in zip(summaries, links, strict=True)],
        left_out=found.left_out,
        directories=[str(directory) for directory in directories],
    )
    write_text(folder / "index.html", text)
    remove_stale(folder, written | {"index.html"})
    return {
        "index": str(folder / "index.html"), "pages": summaries, "left_out": found.left_out,
    }  # fmt: skip


def write_page(
    page: Page, folder: Path, links: list[Json], interval: str, directories: Sequence[Path]
) -> set[str]:
    """The page and its tables; returns the names of the files."""
    shown = contents(page, interval)
    raw, ranks = raw_table(page), ranks_table(page)
    write_parquet(raw, folder / f"{page.name}.parquet")
    plain = raw.drop(columns=["title", "definition", "unit"], errors="ignore")
    with (  # the same texts, thousands of times; without name and time: equal tables, equal files
        writing(folder / f"{page.name}.csv.gz") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
    ):
        plain.to_csv(packed, index=False)
    with writing(folder / f"{page.name}-ranks.csv") as file:
        ranks.to_csv(file, index=False, mode="wb")
    text = template("page.html.j2").render(
        name=page.name,
        interval=INTERVAL[interval],
        terms={k: v for k, v in page.terms.items() if v is not None and "._part_" not in k},
        contents=shown,
        interval_from=SEEDS_OF_AN_INTERVAL,
        links=links,
        results=options(directories),
        again=options(dict.fromkeys([Path("results"), *directories])),  # where one's own runs are
        data=as_script(shown),
    )
    write_text(folder / f"{page.name}.html", text)
    return {f"{page.name}{end}" for end in (".html", ".parquet", ".csv.gz", "-ranks.csv")}


def options(directories: Iterable[Path]) -> str:
    return " ".join(f"--results {directory}" for directory in directories)


def template(name: str) -> Template:
    return environment().get_template(f"leaderboard/{name}")


@cache
def environment() -> Environment:
    return Environment(
        loader=PackageLoader("ltvm.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def raw_table(page: Page) -> pd.DataFrame:
    """All values of all evaluations, those that are set aside too: one row per run and value."""
    rows, priced = Rows(), set(page.costs)
    for row in ordered(page):
        for seed, entry in sorted(row.entries.items()):
            shared = {
                "data": page.terms["data"],
                "method": str(entry.config["method"]["name"]),
                "row": row.name,
                "origin": entry.origin,
                "marks": "; ".join(row.marks),
                "seed": seed,
                "results": str(entry.results),
                "path": str(entry.run.directory),
                "status": entry.status,
                "set_aside": row.aside.get(""),
                **columns_of_record(entry.record),
            }
            costs = {m: v[seed] for m, v in row.values.items() if m in priced and seed in v}
            add_costs(rows, costs, shared)
            for evaluation in row.evaluations[seed]:
                if evaluation["status"] == "done":
                    add_evaluation(rows, evaluation, shared)
    return rows.frame()


def ranks_table(page: Page) -> pd.DataFrame:
    """A row for every headline metric and row of the page, best first."""
    by_id = {row.id: row for row in page.rows}
    found = []
    for metric, ranking in page.rankings.items():
        for id, rank in ranking.ranks.items():
            low, high = rank.bounds or (None, None)
            values = by_id[id].values[metric]
            found.append({
                "metric": metric, "row": by_id[id].name, "rank_low": rank.low,
                "rank_high": rank.high, "rank_at_one_seed": rank.expected,
                "rank_at_one_seed_low": low, "rank_at_one_seed_high": high,
                "first": rank.first, "mean": fmean(values.values()),
                "seeds": len(values), "marks": "; ".join(by_id[id].marks),
            })  # fmt: skip
    return pd.DataFrame(found)
