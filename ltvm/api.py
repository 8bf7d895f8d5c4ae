"""The Python interface: what the command line does, as functions.

Examples:
    >>> import ltvm                                                        # doctest: +SKIP
    >>> record = ltvm.train(["data=mnist5k", "method=vae", "protocol=smoke"])  # doctest: +SKIP
    >>> record["metrics"]["mse_test"]["value"]                             # doctest: +SKIP
    >>> folder = ltvm.ablate(["ablation=ot", "protocol=smoke"]).folder     # doctest: +SKIP
    >>> folder = ltvm.compare(["short_run_ot", "vae"], ["seeds=[0,1]"]).folder # doctest: +SKIP
    >>> rows = ltvm.long_table("results")                                  # doctest: +SKIP
    >>> own = rows[(rows.metric == "fd_digits") & rows.sampler.isna()]     # doctest: +SKIP
    >>> own.groupby(["data", "protocol", "method", "cell"]).value.mean()   # doctest: +SKIP
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltvm.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from ltvm.data.image_set import ImageSet
    from ltvm.methods.base import Method
    from ltvm.runs.ablations.ablation import Plan
    from ltvm.runs.launching.outcome import Outcome
    from ltvm.tuning.search import Search, Trial
    from ltvm.tuning.tune import Tuning


def split_hydra(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate what configures the launcher (``hydra/...``, ``hydra.*``) from the rest."""
    if isinstance(overrides, str):
        raise InputError(f"overrides={overrides}: allowed: a list, such as {overrides.split()}")
    ours = [o for o in overrides if not o.lstrip("+~").startswith(("hydra/", "hydra."))]
    return ours, [o for o in overrides if o not in ours]


def train(overrides: Sequence[str] = (), restart: bool = False) -> dict[str, Any]:
    """Do what is not done of one run and its evaluation; ``overrides`` as for ``ltvm train``.

    An unfinished run goes on from its checkpoint; with ``restart`` it begins again. Processes that
    torchrun started do it together (docs/scale.md). Returns the record of the run, with the values
    of that evaluation under ``metrics`` and its place under ``directory``. Raises
    :class:`ltvm.errors.InputError` for bad input, or a checkpoint that it cannot go on from.
    """
    from ltvm.config import resolve
    from ltvm.runtime.processes import processes

    ours, hydra_overrides = split_hydra(overrides)
    config = resolve(ours)
    if processes() == 1:
        return train_resolved(config, ours, hydra_overrides, restart)
    if hydra_overrides:
        raise InputError(f"{hydra_overrides[0]}: allowed without torchrun, which launches already")
    from ltvm.runs.execution.follow import follow
    from ltvm.runtime.distributed import joined

    with joined(config["device"]) as world:
        if not world.is_first:
            return follow(config, world)
        record = train_resolved(config, ours, [], restart)
        if not world.parted:
            world.broadcast({"record": record})
        return record


def train_resolved(
    config: dict[str, Any], ours: Sequence[str], hydra_overrides: Sequence[str], restart: bool
) -> dict[str, Any]:
    """``train`` of what ``ours`` resolve to, in the one process of a run or in the first."""
    from ltvm.config import settled
    from ltvm.runs.execution.same_images import check_images
    from ltvm.runs.files.store import FINAL, Store, with_evaluation
    from ltvm.runs.housekeeping.stored import forget_held, is_stored
    from ltvm.runs.identity import evaluation_identity

    store = Store(Path(config["paths"]["results"]))
    run, evaluation = store.run(config), evaluation_identity(config)
    shipped = is_stored(run)  # not what this command is for: weights
    if run.status(evaluation) in FINAL and not shipped:
        check_images([(run, config)])
        return with_evaluation(run, evaluation)

    from ltvm.runs.execution.execute import check_input
    from ltvm.runs.execution.progress import Reporter, set_reporter
    from ltvm.runs.execution.resuming import check_checkpoint, discard_checkpoint
    from ltvm.runs.launching.launch import check_launcher, in_process, launch

    store.check_writable()
    check_launcher(hydra_overrides)
    if restart:
        discard_checkpoint(config)
    if in_process(hydra_overrides):  # else the job looks, where data and GPU are
        check_input(config)
        check_checkpoint(config)
    if shipped:
        forget_held(run)
    with Reporter() as reporter:
        set_reporter(reporter)
        try:
            (record,) = launch([settled(ours, config)], hydra_overrides)
        finally:
            set_reporter(None)
    if record["status"] == "refused":
        raise InputError(record["reason"])
    return dict(record)


def plan(overrides: Sequence[str], name: str | None = None) -> Plan:
    """All runs of an ablation, without doing any (``ltvm ablate --list``)."""
    from ltvm.runs.ablations.ablation import plan as make_plan

    return make_plan(split_hydra(overrides)[0], name)


def ablate(
    overrides: Sequence[str],
    name: str | None = None,
    *,
    allow_mixed: bool = False,
    interval: str = "t",
    restart: bool = False,
    shown: Callable[[Path], object] = lambda _: None,
    retry: Sequence[str] = (),
    retries: int = 1,
    wait: bool = False,
) -> Outcome:
    """Do what is not done of an ablation's runs and write its report.

    Returns how it stands: the report's ``folder``, the ``plan`` with all runs, what was
    ``refused``, whether anything ``failed`` or is ``unfinished``, and a ``summary()`` in words.

    Runs go seed by seed. The report is also written after every seed but the last, and when the
    runs are stopped, Ctrl-C included; ``shown`` is then called with its folder. ``allow_mixed``
    and ``interval`` are those of :func:`make_report`, ``restart`` that of :func:`train`. Runs that
    failed or diverged before are left, unless ``retry`` names that status: they are then tried up
    to ``retries`` times. Runs that other processes are at are left to them; ``wait`` waits for
    them. Raises :class:`ltvm.errors.InputError` for bad input; a report that is refused leaves its
    runs done.
    """
    from ltvm.runs.ablations.manifest import write_manifest
    from ltvm.runs.execution.same_images import check_images
    from ltvm.runs.files.store import FINAL, check_writable
    from ltvm.runs.housekeeping.stored import (
        candidates,
        forget_held,
        is_stored,
        of_these_images,
        take_all,
    )
    from ltvm.runs.launching.outcome import Options, Outcome

    planned = plan(overrides, name)
    launcher, options = split_hydra(overrides)[1], Options(tuple(retry), retries, wait)
    paths = planned.runs[0].config["paths"]
    results, reports = Path(paths["results"]), Path(paths["reports"])

    def report() -> Path:
        return make_report(planned.report_name, results, reports, allow_mixed, interval)

    check_writable("paths.reports", reports / planned.report_name)  # before hours of training
    check_images((p.run, p.config) for p in planned.runs if p.status in FINAL)
    taken = candidates(planned)
    taken = of_these_images(taken) if taken else []
    again = [p for p in planned.runs if planned.ablation.stored is False and is_stored(p.run)]
    todo = [p for p in planned.runs if p.status not in FINAL or p.status in retry or p in again]
    todo = [p for p in todo if p not in taken]
    refused: dict[str, str] = {}
    if todo:
        from ltvm.runs.launching.sweep import prepare, sweep

        check_writable("paths.reports", reports)
        prepare(todo, launcher, results, restart)
    for planned_run in again:
        forget_held(planned_run.run)
    take_all(planned, taken, results)
    write_manifest(planned, results, external_entries(planned, results))
    if todo:
        refused = sweep(planned, launcher, lambda: shown(report()), options)
    return Outcome(planned, report(), refused)


def external_entries(planned: Plan, results: Path) -> list[dict[str, Any]]:
    """Score a plan's external rows, if it has any; their entries in its manifest."""
    if not planned.external:
        return []
    from ltvm.runs.afterwards.external_scores import add_external  # torch takes seconds to import

    return add_external(planned, results)


def compare(
    methods: Sequence[str],
    overrides: Sequence[str] = (),
    name: str | None = None,
    *,
    reference: str | None = None,
    allow_mixed: bool = False,
    interval: str = "t",
    restart: bool = False,
    retry: Sequence[str] = (),
    retries: int = 1,
    wait: bool = False,
) -> Outcome:
    """Put methods side by side on shared seeds, as ``ltvm compare``; the rest as :func:`ablate`.

    Differences are to ``reference`` (None: the first method). ``overrides`` may have ``seeds=``,
    ``margin=``, ``external=`` and ``stored=`` of the ablation. Raises
    :class:`ltvm.errors.InputError` for fewer than two methods, or another reference.
    """
    chosen = [f"methods=[{','.join(methods)}]", *([f"reference={reference}"] if reference else [])]
    return ablate(
        comparison([*chosen, *overrides]),
        name,
        allow_mixed=allow_mixed,
        interval=interval,
        restart=restart,
        retry=retry,
        retries=retries,
        wait=wait,
    )


def comparison(overrides: Sequence[str]) -> list[str]:
    """The overrides of ``ablation=compare`` that ``methods=[A,B] reference=A ...`` stand for.

    Raises :class:`ltvm.errors.InputError` for fewer than two methods, or another reference.
    """
    from ltvm.errors import require
    from ltvm.overrides import parse

    ours, hydra_overrides = split_hydra(overrides)
    bare = [o for o in ours if re.fullmatch(r"[\w.,/-]+", o)]
    if bare:
        listed = f"'methods=[{','.join(bare)}]'"
        raise InputError(f"{' '.join(bare)}: allowed: KEY=VALUE, such as {listed}")
    parsed = list(zip(ours, parse(ours), strict=True))
    given = {key: value for _, (key, value) in parsed}
    require("method" not in given, "method", given.get("method"), "'methods=[A,B]'")
    methods = given.get("methods")
    least = 1 if given.get("external") else 2  # beside rows from elsewhere one is enough
    several = isinstance(methods, list) and len(set(map(str, methods))) == len(methods) >= least
    require(several, "methods", methods, "two methods or more, 'methods=[short_run_ot,vae]'")
    assert isinstance(methods, list)
    reference = given.get("reference", methods[0])
    require(reference in methods, "reference", reference, ", ".join(map(str, methods)))
    own = ("methods", "reference")
    keys = {key: f"ablation.{key}" for key in ("seeds", "margin", "external", "stored")}
    rest = [o for o, (key, _) in parsed if key not in (*own, *keys)]
    return [
        "ablation=compare",
        f"ablation.name=compare-{'-'.join(map(str, methods))}",
        f"ablation.axes.method=[{','.join(map(str, methods))}]",
        f"ablation.reference={reference}",
        *(f"{keys[key]}={o.split('=', 1)[1]}" for o, (key, _) in parsed if key in keys),
        *rest,
        *hydra_overrides,
    ]


def tune(
    overrides: Sequence[str],
    metric: str | None = None,
    trials: int | None = None,
    validation: int | None = None,
    restart: bool = False,
    told: Callable[[Search, Trial, int], object] = lambda search, trial, trials: None,  # noqa: ARG005
) -> Tuning:
    """Do what is not done of ``trials`` trials (20) for every method of ``method=[A,B]``.

    Or for every cell of ``ablation=tuned``, which says how many trials and by which ``metric``.
    Each is a run in the store, on the training images without ``validation`` of them (None: one in
    five, at most 10,000); ``metric`` is measured on those. What was found is written
    below ``<results>/tuning`` (docs/tools.md), for ``ablation=tuned`` to take. ``told`` is
    called after every trial, with how many there are to be. Raises
    :class:`ltvm.errors.InputError` for bad input.
    """
    try:
        from ltvm.tuning.tune import Tuning, asked
        from ltvm.tuning.tune import tune as do
    except ModuleNotFoundError as error:
        raise InputError(f'tune: {error}; pip install "ltvm[tune]" adds it') from error

    ours, hydra_overrides = split_hydra(overrides)
    wanted = asked(ours, metric, trials, validation)
    found = do(
        wanted.searches,
        wanted.trials,
        lambda trial: train([*trial, *hydra_overrides], restart),
        lambda search, trial: told(search, trial, wanted.trials),
    )
    return Tuning(found, wanted.comparison)


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
    by: str | None = None,
) -> dict[str, Any]:
    """Compare two methods at every setting at which both were run with all else equal.

    Writes ``<reports>/effects/<first>-against-<second>/``: tables of the differences ``first`` -
    ``second``, paired by seed, of every headline metric, and forest plots in percent of the second
    method's mean. ``by`` names a metric (``latent_sliced_w2``) of the second method, against which
    differences are drawn as well: where does the first one help? Returns its ``page``, the
    ``answer`` in sentences and the ``effects`` as plain values. Raises
    :class:`ltvm.errors.InputError` for a method without records, where no setting is shared, or for
    a ``by`` that is no metric of theirs.
    """
    from ltvm.report.effects import write_effects

    several = [results] if isinstance(results, str | Path) else results
    places = [Path(one) for one in several]
    return write_effects(places, Path(reports), first, second, interval, by)


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


def evaluate(
    images: Path | str, against: Path | str | None = None, **options: Any
) -> dict[str, Any]:
    """Score a directory of images, or a run's samples, with every metric on features.

    ``options`` are those of :class:`ltvm.scoring.Request`. Returns {name: {"value",
    "column", ...provenance}}. Raises :class:`ltvm.errors.InputError` for bad input.
    """
    from ltvm import scoring

    return scoring.evaluate(scoring.Request(images, against, **options))


def metric_parity(
    images: Path | str, against: Path | str | None = None, **options: Any
) -> pd.DataFrame:
    """One Frechet distance by each convention in the wild; arguments as ``evaluate``.

    Columns: convention, what, n, distance, ratio (to this suite's own, the first row).
    """
    from ltvm import scoring

    return scoring.metric_parity(scoring.Request(images, against, **options))


def evaluate_runs(
    runs: Sequence[Path | str], overrides: Sequence[str] = (), device: str | None = None
) -> dict[str, dict[str, Any]]:
    """Evaluate runs that are trained, without training; what is done already is not done again.

    ``overrides`` choose the evaluation, such as ``evaluation=digits_thorough``. Returns {directory:
    record with the values under ``metrics``}. Raises :class:`ltvm.errors.InputError` for bad
    input, or for a run that is not trained.
    """
    from ltvm.runs.afterwards.evaluate_again import evaluate_again

    return {str(run): evaluate_again(Path(run), overrides, device) for run in runs}


def make_pictures(
    runs: Sequence[Path | str], overrides: Sequence[str] = (), device: str | None = None
) -> dict[str, list[str]]:
    """Make the pictures that trained runs lack, from their weights; {directory: files made}.

    With ``sampler=NAME`` in ``overrides`` those of that evaluation's samples. Raises
    :class:`ltvm.errors.InputError` for a run that is not trained or has no weights any more.
    """
    from ltvm.runs.afterwards.pictures_again import add_pictures

    return {str(run): add_pictures(Path(run), overrides, device) for run in runs}


def write_images(overrides: Sequence[str], to: Path | str) -> dict[str, ImageSet]:
    """Write what a configuration trains and is tested on as ``to/train/*.png``, ``to/test/*.png``.

    Returns the images by split. Raises :class:`ltvm.errors.InputError` for bad input, or a folder
    that is there already.
    """
    import tempfile

    from ltvm.config import resolve
    from ltvm.data.cache import load_data
    from ltvm.data.folder import write_images as write
    from ltvm.errors import require
    from ltvm.runs.files.store import check_writable

    folder = Path(to).expanduser()
    require(not folder.exists() and str(to) != "", "--to", to, "a folder that is not there yet")
    data = load_data(resolve(list(overrides)))
    splits = {images.split: images for images in (data.train, data.test)}
    check_writable("--to", folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".images-", dir=folder.parent) as aside:
        whole = Path(aside) / folder.name
        for split, images in splits.items():
            write(images, whole / split)
        whole.rename(folder)
    return splits


def load(run_directory: Path | str, device: str | None = None, trust: bool = False) -> Method:
    """A trained method from a run's directory, computing as it did in training.

    It may have been trained on another ``device`` (None: the one in its configuration). Raises
    :class:`ltvm.errors.InputError` if files are absent or unreadable, or do not fit each other.
    Nothing of a stranger's run is executed: parts that its configuration names are followed where
    this installation offers them, or with ``trust``.
    """
    from ltvm.runs.execution.load import load_method

    return load_method(run_directory, device, trust)
