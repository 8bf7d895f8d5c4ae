"""Tables as files: Markdown, LaTeX and CSV; the long table as Parquet and CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ltvm.runtime.files import write_text, writing

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


def write_table(frame: pd.DataFrame, path: Path, caption: str) -> None:
    """``path`` as .md, .tex and .csv; in the last without the marks of the best."""
    write_text(path.with_suffix(".md"), to_markdown(frame) + "\n")
    write_text(path.with_suffix(".tex"), to_latex(frame, caption))
    plain = frame.map(lambda text: str(text).replace("**", ""))
    write_text(path.with_suffix(".csv"), plain.to_csv(index=False))


def write_long_table(table: pd.DataFrame, folder: Path) -> None:
    """``long.parquet`` and ``long.csv``, the latter without what the page says once of a metric."""
    # A swept key may mix kinds (a solver's name, null): parquet columns hold one.
    mixed = table.apply(lambda column: column.dropna().map(type).nunique() > 1)
    uniform = table.astype(dict.fromkeys(table.columns[mixed], "string"))
    with writing(folder / "long.parquet") as file:
        uniform.to_parquet(file, index=False)
    plain = table.drop(columns=["title", "definition", "unit"], errors="ignore")
    write_text(folder / "long.csv", plain.to_csv(index=False))


def to_markdown(frame: pd.DataFrame) -> str:
    return frame.to_markdown(index=False, disable_numparse=True)


def to_latex(frame: pd.DataFrame, caption: str) -> str:
    """A booktabs table; marks become ``\\textbf``."""
    style = frame.style.hide(axis="index").format(latex).format_index(latex, axis="columns")
    return style.to_latex(
        hrules=True,
        caption=latex(caption),
        column_format="l" + "r" * (len(frame.columns) - 1),
    )


def latex(text: object) -> str:
    """A text with its signs escaped, bold where it is in ``**``."""
    plain = str(text)
    if plain.startswith("**"):
        return rf"\textbf{{{plain.strip('*').translate(LATEX)}}}"
    return plain.translate(LATEX)
