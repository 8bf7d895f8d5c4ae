"""A folder of tables, each as Markdown, LaTeX and CSV with what it is, and a page of them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ltvm.report.paper.heat_map import heat_maps
from ltvm.report.paper.shapes import QUALITY
from ltvm.report.paper.sources import Source, source
from ltvm.report.paper.tables import TABLES, PaperTable
from ltvm.report.sentences.notes import provenance_notes
from ltvm.report.sentences.terms import unequal_text
from ltvm.report.tables.writers import file_name, remove_stale, to_latex, to_markdown
from ltvm.report.values.cells import cell_names
from ltvm.report.values.comparability import MIXED, WARNED
from ltvm.report.values.declared import columns_of, headings
from ltvm.report.values.published import COUNTERPARTS, published, published_frames
from ltvm.runs.files.index import indexed
from ltvm.runs.files.store import check_writable
from ltvm.runtime.files import write_text

HEAD = (
    "# Tables\n\n"
    "Mean ± half-width of the 95 % Student t interval over seeds. `missing`: planned and not done; "
    "the command that makes it stands below its table. A dash: no ablation plans it, or its runs "
    "are final without it (they diverged, or did not measure it). Figures as "
    "published stand in a table where nothing that both declare of their protocol differs. "
    "Nothing is bold among differences while cells of their table are missing. Nothing is trained "
    "for this page.\n"
)
NONE = "No published figures for these data sets.\n"


def write_paper_tables(results: Path, folder: Path, overrides: Sequence[str] = ()) -> Path:
    """Write every table of ``TABLES`` from the records in ``results``; returns the page.

    ``overrides`` hold for all ablations, as of ``ltvm ablate``. Raises
    :class:`ltvm.errors.InputError` for bad ones, and where the folder cannot be written.
    """
    check_writable("--out", folder)
    known: dict[tuple[str, ...], Source] = {}
    parts, written = [HEAD], {"README.md"}
    with indexed(results) as index:
        wanted = {table.name: changed(table.sources, overrides) for table in TABLES}
        for words in dict.fromkeys(words for every in wanted.values() for words in every):
            known[words] = source(words, overrides, results, index)
        for table in TABLES:
            own = [known[words] for words in wanted[table.name]]
            parts.append(write_one(table, own, folder, written))
    write_text(folder / "README.md", "\n".join(parts))
    remove_stale(folder, written)
    return folder / "README.md"


def changed(sources: Sequence[tuple[str, ...]], overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """A table's sources without what the user gives in its place, each once."""
    given = {override.split("=")[0] for override in overrides}
    kept = (tuple(w for w in words if w.split("=")[0] not in given) for words in sources)
    return list(dict.fromkeys(kept))


def write_one(table: PaperTable, sources: Sequence[Source], folder: Path, written: set[str]) -> str:
    """Write one table in all its forms; returns its part of the page."""
    frames, literature = table.shape(sources), published_of(table, sources)
    about, alone = lines_about(sources)
    about = [*([table.note] if table.note else []), *about]
    parts = [f"## {table.caption}\n"]
    for family, frame in frames.items():
        parts += [f"### {family.capitalize()}\n"] if family else []
        parts.append(to_markdown(frame) + "\n")
        name = file_name(table.name, family)
        lines = [table.caption, *about]
        comments = "".join(f"% {line}\n" for line in alone)
        tabulars = [to_latex(one, f"As published. {table.caption}") for one in literature]
        latex = [to_latex(frame, " ".join(lines)) + comments, *tabulars]
        write_text(folder / f"{name}.tex", "\n".join(latex))
        head = "".join(f"# {line}\n" for line in [*lines, *alone])
        write_text(folder / f"{name}.csv", head + csv(frame))
        written |= {f"{name}.csv", f"{name}.tex"}
    if table.figure:
        heat_maps(frames, folder / table.name)
        parts.append(f"![{table.caption}]({table.name}.png)\n")
        written |= {f"{table.name}.png", f"{table.name}.svg"}
    parts += [f"{line}\n" for line in about]
    rest = [*(f"- {line}" for line in alone), ""]
    if table.family is not None:
        rest += ["As published:\n", *([to_markdown(one) + "\n" for one in literature] or [NONE])]
        for number, one in enumerate(literature, start=1):
            name = f"{table.name}-published-{number}.csv"
            write_text(folder / name, csv(one))
            written.add(name)
    written.add(f"{table.name}.md")
    page = "\n".join([*parts, *rest]).replace("## ", "# ", 1)
    write_text(folder / f"{table.name}.md", page)
    if len(rest) > 1:
        further = "missing cells one by one" if alone else ""
        further += " and " if alone and table.family else ""
        further += "all figures as published" if table.family else ""
        parts.append(f"In [{table.name}.md]({table.name}.md): {further}.\n")
    return "\n".join(parts)


def csv(frame: pd.DataFrame) -> str:
    return frame.map(lambda text: str(text).replace("**", "")).to_csv(index=False)


def lines_about(sources: Sequence[Source]) -> tuple[list[str], list[str]]:
    """Command, protocol and how many runs are missing; then each missing cell with its command."""
    lines = [
        "Command: " + "; ".join(f"`{one.command}`" for one in sources) + ".",
        "Protocol: " + "; ".join(dict.fromkeys(one.protocol for one in sources)) + ".",
    ]
    alone = []
    for one in sources:
        missing = one.missing()
        runs = sum(len(seeds) for seeds, _ in missing.values())
        if missing:
            every = len(one.manifest["runs"])
            lines.append(f"Missing: {runs} of {every} runs; `{one.command}` makes them.")
        if lost := one.diverged():
            lines.append(f"Diverged, which is a result and is not tested: {'; '.join(lost)}.")
        lines += signs_lines(one)
        for name, (seeds, command) in missing.items():
            several = "seeds" if len(seeds) > 1 else "seed"
            alone.append(f"{name}, {several} {', '.join(map(str, seeds))}: `{command}`")
    return lines, alone


def signs_lines(one: Source) -> Iterator[str]:
    """What the signs at numbers of a source mean, where there are any."""
    names = cell_names(one.table, one.manifest)
    for text in unequal_text(one.table, one.manifest):
        yield text.replace("*", "").strip()
    for text in provenance_notes(one.marks, names, headings(columns_of(one.table))):
        if text.startswith((f"- {MIXED}", f"- {WARNED}")):
            yield text.removeprefix("- ").replace("*", "")


def published_of(table: PaperTable, sources: Sequence[Source]) -> list[pd.DataFrame]:
    """All published figures of a table's values, with what tells them from ours."""
    if table.family is None:
        return []
    ours = pd.concat([one.table for one in sources])
    wanted = [name for name, (own, _) in COUNTERPARTS.items() if own == QUALITY[table.family]]
    frames: list[pd.DataFrame] = []
    for data in ours["data"].unique():
        known = published(str(data), ours)
        known = known[known["metric"].str.startswith(tuple(wanted))]
        for frame in published_frames(known) if len(known) else []:
            frame.insert(0, "data", str(data))
            frames.append(frame)
    return frames
