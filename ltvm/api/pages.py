"""Tables and pages of the records, without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltvm.api.words import split_hydra
from ltvm.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def make_report(
    name: str,
    results: Path | str = "results",
    reports: Path | str = "reports",
    allow_mixed: bool = False,
    interval: str = "t",
) -> Path:
    """Rebuild one report from the records, without training; returns its folder.

    Numbers of different provenance in one column are refused, or marked with ``allow_mixed``.
    ``interval`` over seeds: ``t`` or ``bootstrap``. Raises :class:`ltvm.errors.InputError` for
    those, if there is no such ablation, or if none of its runs has a record.
    """
    from ltvm.report.page.write import write_report
    from ltvm.runs.ablations.manifest import manifest_file, read_manifest
    from ltvm.runs.ablations.overview import known_names
    from ltvm.runs.files.locks import LEASE, holding
    from ltvm.runs.files.store import check_writable
    from ltvm.runs.trust import check_name
    from ltvm.runtime.files import remove_all_aside

    check_name("report", name)
    manifest = manifest_file(Path(results), name)
    if not manifest.is_file():
        known = known_names(Path(results), name)
        raise InputError(f"report {name}: no records of it in {results}; {known}")
    read_manifest(manifest)  # before anything is written
    check_writable("paths.reports", Path(reports))
    folder = Path(reports) / name
    with holding(Path(reports) / f".{name}.held", timeout=2 * LEASE) as hold:
        if hold is None:  # who reads the records later writes later, so that the last one is whole
            raise InputError(f"{folder}: kept by another process; allowed: one at a time")
        remove_all_aside(folder)
        return write_report(manifest, Path(reports), allow_mixed, interval)


def make_leaderboard(
    results: Path | str | Sequence[Path | str] = "results",
    reports: Path | str = "reports",
    interval: str = "t",
) -> dict[str, Any]:
    """Rank all records of one or several results directories, a page per data set and protocol.

    Writes ``<reports>/leaderboard/`` and returns its ``index``, its ``pages`` with the ranks by
    every headline metric, and what was ``left_out``. Of a run that several directories have the
    first one's counts. ``interval`` over seeds, of values: ``t`` or ``bootstrap``. Raises
    :class:`ltvm.errors.InputError` if there is no record, or the folder cannot be written.
    """
    from ltvm.report.leaderboard import write_leaderboard

    several = [results] if isinstance(results, str | Path) else results
    return write_leaderboard([Path(one) for one in several], Path(reports), interval)


def make_effects(
    first: str,
    second: str,
    results: Path | str | Sequence[Path | str] = "results",
    reports: Path | str = "reports",
    interval: str = "t",
    by: str | Sequence[str] | None = None,
) -> dict[str, Any]:
    """Compare two methods at every setting at which both were run with all else equal.

    Writes ``<reports>/effects/<first>-against-<second>/``: tables of the differences ``first`` -
    ``second``, paired by seed, of every headline metric, and forest plots in percent of the second
    method's mean. ``by`` names metrics (``latent_sliced_w2``) of the second method, against which
    differences are drawn as well: where does the first one help? Returns its ``page``, the
    ``answer`` in sentences and the ``effects`` as plain values. Raises
    :class:`ltvm.errors.InputError` for a method without records, where no setting is shared, or for
    a ``by`` that is no metric of theirs.
    """
    from ltvm.report.effects import write_effects

    several = [results] if isinstance(results, str | Path) else results
    places = [Path(one) for one in several]
    metrics = [by] if isinstance(by, str) else by or ()
    return write_effects(places, Path(reports), first, second, interval, metrics)


def paper_tables(
    results: Path | str = "results",
    out: Path | str = "reports/paper",
    overrides: Sequence[str] = (),
) -> Path:
    """Write the tables of a paper on the method, without training; returns their page.

    ``overrides`` hold for every ablation that a table is made of. Cells that were not run are
    shown as missing, with the command that makes them. Raises :class:`ltvm.errors.InputError` for
    bad input.
    """
    from ltvm.report.paper import write_paper_tables

    return write_paper_tables(Path(results), Path(out), split_hydra(overrides)[0])


def long_table(results: Path | str = "results") -> pd.DataFrame:
    """All runs below ``results``: a row for every value of every evaluation of every run.

    Among the columns are data, protocol, method, ``cell`` (all settings but the seed), seed,
    ``sampler`` (NaN: the method's own), metric, value, every configuration key that varies between
    the runs, and what each number is (``n``, ``split``, ``extractor``, ...). Costs are rows, too;
    of a run that is not done there is a row without a metric. Choose before taking means: a run
    has a row for each density that it was sampled from.
    """
    from ltvm.report.values.long_table import long_table_of_store

    if not Path(results).is_dir():
        raise InputError(f"results={results}: allowed: a directory with records")
    return long_table_of_store(Path(results))
