"""Tables as files: Markdown, LaTeX and CSV; the long table as Parquet and CSV; which there are."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pandas as pd

from ltvm.errors import InputError
from ltvm.runs.trust import check_name
from ltvm.runtime.files import write_text, writing

LONGEST = 100_000  # rows of a long.csv
LIST = ".files"  # of a report's folder: the names of what the report wrote there

LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "²": r"$^2$",
        "↓": r"$\downarrow$",
        "↑": r"$\uparrow$",
        "†": r"$^\dagger$",
        "‡": r"$^\ddagger$",
    }
)


def file_name(name: str, family: str) -> str:
    """``table``, ``table-generation``, ``crossed-auprc-digit-left-out``"""
    return "-".join([name, *re.findall(r"[a-z0-9]+", family.lower())])


def remove_stale(folder: Path, written: set[str]) -> None:
    """Remove what an earlier report wrote to ``folder`` and this one did not, by its list of files.

    Only files that stand in that list, by plain names: what others put there stays.
    """
    try:
        listed = [line for line in (folder / LIST).read_text().splitlines() if line not in written]
    except (OSError, ValueError):  # none yet, or none that can be believed
        listed = []
    for name in listed:
        with suppress(InputError, FileNotFoundError, IsADirectoryError, PermissionError):
            check_name("file", name)
            (folder / name).unlink()
    write_text(folder / LIST, "\n".join(sorted(written)) + "\n")


def write_table(frame: pd.DataFrame, path: Path, caption: str) -> set[str]:
    """``path`` as .md, .tex and .csv; in the last without the marks of the best. Returns names."""
    write_text(path.with_suffix(".md"), to_markdown(frame) + "\n")
    write_text(path.with_suffix(".tex"), to_latex(frame, caption))
    plain = frame.map(lambda text: str(text).replace("**", ""))
    write_text(path.with_suffix(".csv"), plain.to_csv(index=False))
    return {path.with_suffix(suffix).name for suffix in (".md", ".tex", ".csv")}


def write_long_table(table: pd.DataFrame, folder: Path) -> set[str]:
    """``long.parquet`` and ``long.csv``, the latter without what the page says once of a metric,
    the images' hash, and provenance as one text, of which most has columns of its own.

    Of more than ``LONGEST`` rows there is the former alone: the latter would be hundreds of MB.
    """
    write_parquet(table, folder / "long.parquet")
    if len(table) > LONGEST:
        return {"long.parquet"}
    plain = table.drop(
        columns=["title", "definition", "unit", "fingerprint", "provenance"], errors="ignore"
    )
    with writing(folder / "long.csv") as file:
        plain.to_csv(file, index=False, mode="wb")
    return {"long.parquet", "long.csv"}


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """A swept key may mix kinds (a solver's name, null): columns of Parquet hold one, as text."""
    mixed = [name for name in table if is_mixed(table[name])]
    with writing(path) as file:
        table.astype(dict.fromkeys(mixed, "string")).to_parquet(file, index=False)


def is_mixed(column: pd.Series) -> bool:
    """Whether an object column has values of several kinds."""
    return column.dtype == object and column.dropna().map(type).nunique() > 1


def to_markdown(frame: pd.DataFrame) -> str:
    return frame.to_markdown(index=False, disable_numparse=True)


def to_latex(frame: pd.DataFrame, caption: str) -> str:
    """A booktabs table; marks become ``\\textbf``."""
    rows = [" & ".join(map(latex, row)) for row in (list(frame), *frame.to_numpy().tolist())]
    head, *body = [f"{row} \\\\\n" for row in rows]
    return "".join([
        "\\begin{table}\n", f"\\caption{{{latex(caption)}}}\n",
        f"\\begin{{tabular}}{{l{'r' * (len(frame.columns) - 1)}}}\n",
        "\\toprule\n", head, "\\midrule\n", *body, "\\bottomrule\n",
        "\\end{tabular}\n", "\\end{table}\n",
    ])  # fmt: skip


def latex(text: object) -> str:
    """A text with its signs escaped, bold where it is in ``**``."""
    plain = str(text)
    if plain.startswith("**"):
        return rf"\textbf{{{plain.strip('*').translate(LATEX)}}}"
    return plain.translate(LATEX)
