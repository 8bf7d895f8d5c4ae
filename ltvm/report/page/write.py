"""A report: one folder with a page, tables, figures and the long table."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ltvm.errors import InputError, require
from ltvm.metrics.columns import Column
from ltvm.report.comparisons.along_training import along_table
from ltvm.report.comparisons.claims import claims_table
from ltvm.report.comparisons.differences import (
    difference_tests,
    differences_table,
    improvement_table,
    p_value_tables,
)
from ltvm.report.comparisons.hypotheses import Key, Outcome
from ltvm.report.comparisons.power import sensitivity_table
from ltvm.report.comparisons.statistics import INTERVALS
from ltvm.report.comparisons.time_to_quality import CELLS, measured, profile_table, time_table
from ltvm.report.comparisons.trade_off import trade_off_table
from ltvm.report.interactive import write_index
from ltvm.report.page.text import page_text
from ltvm.report.plots.drawing import Drawing, draw
from ltvm.report.plots.history_figures import declared_curves, history_table
from ltvm.report.sentences.answer import answer
from ltvm.report.sentences.notes import SAID, unequal_seeds, unreadable_notes
from ltvm.report.sentences.terms import unequal_text
from ltvm.report.tables.resampling_table import resampling_table
from ltvm.report.tables.run_list import LISTED, RUNS, link_base, run_lines
from ltvm.report.tables.texts import by_family, crossed_table, estimates_table, with_devices
from ltvm.report.tables.writers import file_name, remove_stale, write_long_table, write_table
from ltvm.report.values.cells import cell_names, crossed_key, trained_rows
from ltvm.report.values.comparability import Marks, differences, marks_of, refuse_mixed
from ltvm.report.values.declared import (
    columns_of,
    compared_metrics,
    headings,
    headline_metrics,
    main_metrics,
    names_of,
)
from ltvm.report.values.long_table import SAMPLER_LABEL, long_table_of_manifest
from ltvm.runs.ablations.manifest import read_manifest
from ltvm.runs.files.index import indexed
from ltvm.runs.files.store import check_writable
from ltvm.runtime.files import write_text


def write_report(
    manifest_file: Path, reports: Path, allow_mixed: bool = False, interval: str = "t"
) -> Path:
    """Write ``<reports>/<name>/`` from a manifest and its records; returns that folder.

    ``allow_mixed`` marks numbers of different provenance in one column; ``interval`` over seeds
    is ``t`` or ``bootstrap``. What cannot be read is named, on the page and on stderr, and left
    out. Files of an earlier report of that name that are none of this one's are removed. Raises
    :class:`ltvm.errors.InputError` if no run has a record, if the folder cannot be written, and
    without ``allow_mixed`` if provenance differs and no sweep is the reason.
    """
    require(interval in INTERVALS, "--interval", interval, ", ".join(INTERVALS))
    manifest = read_manifest(manifest_file)
    folder = reports / manifest["name"]
    results = manifest_file.parent.parent
    with indexed(results) as index:
        table = long_table_of_manifest(manifest, results, index)
        refuse_empty(table, manifest, results)
        found = differences(table, cell_names(table, manifest), manifest["axes"])
        if not allow_mixed:
            refuse_mixed(found, manifest["name"])
        check_writable("reports", folder)
        drawing = Drawing(manifest, results, folder, interval, index)
        written = write_parts(table, drawing, marks_of(table, found))
    remove_stale(folder, written)
    for line in [*unreadable_notes(table), *drawing.unread][:SAID]:
        print(f"ltvm: left out: {line}", file=sys.stderr)
    unequal = [text.replace("*", "").strip() for text in unequal_text(table, manifest)]
    for line in [*unequal, *unequal_seeds(table, cell_names(table, manifest))]:
        print(f"ltvm: {line}", file=sys.stderr)
    return folder


def refuse_empty(table: pd.DataFrame, manifest: dict[str, Any], results: Path) -> None:
    """Raise :class:`ltvm.errors.InputError` where no run has a record that can be read."""
    if "identity" in table and table["identity"].notna().any():
        return
    damaged = unreadable_notes(table)
    why = f" ({damaged[0]}{', ...' if len(damaged) > 1 else ''})" if damaged else ""
    raise InputError(
        f"report {manifest['name']}: none of its {len(manifest['runs'])} runs has a record in "
        f"{results}{why}; run `{manifest['command']}` first"
    )


def write_parts(table: pd.DataFrame, drawing: Drawing, marks: Marks) -> set[str]:
    """Write tables, figures and page; returns the names of their files."""
    manifest, folder, interval = drawing.manifest, drawing.folder, drawing.interval
    written = write_long_table(table, folder)
    tests = difference_tests(table, manifest, compared_metrics(columns_of(table)), marks)
    shown = shown_tables(table, manifest, marks, interval, tests) | time_tables(table, drawing)
    for name, families in shown.items():
        for family, frame in families.items():
            caption = f"{manifest['question']} {manifest['command']}"
            written |= write_table(frame, folder / file_name(name, family), caption)
    pictures = draw(drawing, table, marks)
    said = answer(table, manifest, marks, interval, tests)
    base = link_base(folder, drawing.results)
    page = page_text(manifest, table, shown, pictures, marks, interval, said, drawing.unread, base)
    write_text(folder / "README.md", page)
    whole = [f"{file_name('table', family)}.csv" for family in shown["table"]]
    write_index(
        manifest, table, marks, interval, drawing.results, folder, drawing.files, tests, whole, said
    )
    written |= drawing.written | {"README.md", "index.html"}
    if len(manifest["runs"]) > LISTED:
        write_text(folder / RUNS, "\n".join(run_lines(manifest, table, base)) + "\n")
        written.add(RUNS)
    return written


def shown_tables(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    marks: Marks,
    interval: str,
    tests: Mapping[Key, Outcome],
) -> dict[str, dict[str, pd.DataFrame]]:
    """name of a table -> family ("" where it is not split) -> the table."""
    columns = columns_of(table)
    metrics, compared = main_metrics(columns), compared_metrics(columns)
    points, costs = names_of(columns, "point"), names_of(columns, "cost")
    quality = estimates_table(table, manifest, metrics, True, marks, interval)
    frames = {
        "table": quality,
        "differences": differences_table(table, manifest, compared, marks, interval, tests),
        "improvement": improvement_table(table, manifest, compared, marks),
    }
    made = {name: frame for name, frame in frames.items() if frame is not None}
    shown = {name: by_family(frame, metrics, columns) for name, frame in made.items()}
    for name, lead in (("headline", "table"), ("differences-headline", "differences")):
        if lead in made:
            shown[name] = {"": headline_part(made[lead], columns)}
    if (told := claims_table(table, manifest, marks)) is not None:
        shown["claims"] = {"": told}
    if (traded := trade_off_table(table, manifest, marks, interval)) is not None:
        shown["trade-off"] = {"": traded}
    if tested := p_value_tables(table, manifest, compared, tests):
        shown["tests"] = tested
    if (able := sensitivity_table(table, manifest, compared, marks)) is not None:
        shown["power"] = {"": able}
    if costs:
        spent = estimates_table(table, manifest, costs, False, interval=interval)
        shown["cost"] = {"": with_devices(spent, table)}
    resampling = resampling_table(table, manifest)
    if resampling is not None:
        shown["resampling"] = {"": resampling}
    if points:
        shown["points"] = {"": estimates_table(table, manifest, points, False, marks, interval)}
    if crossed_key(manifest) is not None:
        shown["crossed"] = crossed_tables(table, manifest, quality, columns)
    return shown


def time_tables(table: pd.DataFrame, drawing: Drawing) -> dict[str, dict[str, pd.DataFrame]]:
    """What histories tell: what the reference's quality took, and who was ahead when."""
    rows = trained_rows(table)
    cells = set(rows["cell"])
    if len(cells) > CELLS:
        return {}
    runs = [entry for entry in drawing.manifest["runs"] if entry["cell"] in cells]
    histories = history_table(runs, drawing.results, [], drawing.files)  # figures name damage
    declared = declared_curves(runs, drawing.results, histories, drawing.files)
    found = measured(histories, declared, rows)
    if found is None:
        return {}
    frames = {
        "time-to-quality": time_table(found, rows, drawing.manifest, drawing.interval),
        "along-training": along_table(found, rows, drawing.manifest, drawing.interval),
        "performance-profiles": profile_table(found, rows, drawing.manifest),
    }
    return {name: {"": frame} for name, frame in frames.items() if frame is not None}


def headline_part(frame: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """A table's headline metrics, beside what its first columns say of each row."""
    chosen, titles = headline_metrics(columns), headings(columns)
    left_out = [title for metric, title in titles.items() if metric not in chosen]
    return frame.drop(columns=left_out, errors="ignore")


def crossed_tables(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    quality: pd.DataFrame,
    columns: Mapping[str, Column],
) -> dict[str, pd.DataFrame]:
    """heading -> methods by values of the one swept key, for every headline metric.

    Of samplers, for those that samples have a part in.
    """
    titles, shown = headings(columns), headline_metrics(columns)
    if SAMPLER_LABEL in table:
        sampled = set(table[table[SAMPLER_LABEL].notna()]["metric"])
        shown = [metric for metric in shown if metric in sampled]
    return {titles[m]: crossed_table(table, manifest, quality, titles[m]) for m in shown}
