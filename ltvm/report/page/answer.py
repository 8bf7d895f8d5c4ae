"""The answer that ``index.html`` begins with, in Markdown."""

from __future__ import annotations

import pandas as pd

from ltvm.report.sentences.answer import BEST_TEXT, Answer
from ltvm.report.tables.writers import to_markdown


def answer_text(said: Answer) -> list[str]:
    """Its sentence, the comparison's lines, and what all rows say."""
    parts = [f"**{said.sentence}**\n"] if said.sentence else []
    if said.lines:
        parts += [to_markdown(lines_table(said)) + "\n"]
    if said.lines and said.corrected:
        parts.append(f"{said.significance_text}\n")
    if said.rows:
        parts += ["All rows:\n", *(f"- {title}: {text}" for title, text in said.rows), ""]
        parts += [f"{BEST_TEXT}\n"] if said.best_found else []
    return parts


def lines_table(said: Answer) -> pd.DataFrame:
    """What the row does, then what it costs, beside the reference."""
    found = [*said.lines, *said.cost]
    return pd.DataFrame(
        [[line.title, line.reference, line.own, line.difference, line.said] for line in found],
        columns=["", said.reference, said.own, "difference", "how sure"],
    )
