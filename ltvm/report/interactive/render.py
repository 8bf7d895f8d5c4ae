"""The page from its contents: one template, its style and script inlined, nothing fetched."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from ltvm.report.comparisons.claims import CLAIMS, claims_table
from ltvm.report.comparisons.hypotheses import Key, Outcome
from ltvm.report.interactive.contents import contents
from ltvm.report.interactive.header import budget_texts, methods_of
from ltvm.report.sentences.answer import BEST_TEXT, Answer, answer
from ltvm.report.sentences.gaps import wrong_side_texts
from ltvm.report.sentences.terms import equal_text, reading_text, state_text
from ltvm.report.tables.run_list import link_base, report_command
from ltvm.report.values.comparability import Marks
from ltvm.runs.files.reading import DISK, Files
from ltvm.runtime.files import write_text

INTERVAL = {"t": "95 % Student t interval", "bootstrap": "95 % bootstrap interval"}


def write_index(
    manifest: dict[str, Any],
    table: pd.DataFrame,
    marks: Marks,
    interval: str,
    results: Path,
    folder: Path,
    files: Files = DISK,
    tests: Mapping[Key, Outcome] | None = None,
    whole: Sequence[str] = (),
    said: Answer | None = None,
) -> Path:
    """Write ``<folder>/index.html`` and return it; ``whole`` names the files with all rows.

    ``tests`` as for ``differences_table``; ``said`` is the answer, where it is known.
    """
    file = folder / "index.html"
    rebuild = report_command(manifest["name"], link_base(folder, results))
    text = page(manifest, table, marks, interval, results, files, tests, whole, said, rebuild)
    write_text(file, text)
    return file


def page(
    manifest: dict[str, Any],
    table: pd.DataFrame,
    marks: Marks,
    interval: str,
    results: Path,
    files: Files = DISK,
    tests: Mapping[Key, Outcome] | None = None,
    whole: Sequence[str] = (),
    said: Answer | None = None,
    rebuild: str = "ltvm report",
) -> str:
    """The page's text; parameters as for ``write_index``, ``rebuild`` the command that makes it."""
    found = contents(manifest, table, marks, interval, results, files, tests)
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("index.html.j2").render(
        name=manifest["name"],
        rebuild=rebuild,
        question=manifest["question"],
        claims=rows_of(claims_table(table, manifest, marks)),
        claims_note=CLAIMS,
        answer=said or answer(table, manifest, marks, interval, tests),
        best_text=BEST_TEXT,
        caveats=wrong_side_texts(table, manifest, marks, interval),
        head=[plain_words(text) for text in state_text(table, manifest)],
        terms=[plain_words(text) for text in reading_text(table)],
        equal=plain_words(equal_text(table)),
        several="equal" in table and table["equal"].nunique() > 1,  # currencies of equal terms
        budget=budget_texts(table),
        command=manifest["command"],
        methods=methods_of(manifest, {cell["method"] for cell in found["cells"]}),
        interval=INTERVAL[interval],
        contents=found,
        rows=len(found["cells"]) + found["left_out"],
        whole=whole,
        families=list(dict.fromkeys(c["family"] for c in sorted(found["columns"], key=place))),
        columns=sorted(found["columns"], key=place),
        data=as_script(found),
    )


def rows_of(frame: pd.DataFrame | None) -> list[dict[Hashable, Any]]:
    return [] if frame is None else frame.to_dict("records")


def plain_words(text: str) -> str:
    """A text of a Markdown page, as plain words."""
    return text.replace("*", "").replace("`", "").strip()


def place(column: dict[str, Any]) -> tuple[int, int]:
    """Families in their order, headline metrics first in each."""
    return column["rank"], not column["headline"]


def as_script(found: dict[str, Any]) -> str:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
