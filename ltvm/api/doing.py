"""Train, sweep, compare and tune: what takes time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltvm.api.pages import make_report
from ltvm.api.words import refuse_text, split_hydra
from ltvm.errors import InputError

if TYPE_CHECKING:
    from ltvm.runs.ablations.ablation import Plan
    from ltvm.runs.launching.outcome import Outcome
    from ltvm.tuning.search import Search, Trial
    from ltvm.tuning.tune import Tuning


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
        check_images([(run, config)])
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
    for told in planned.one_row:
        print(f"ltvm: {told}", file=sys.stderr)
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
        from ltvm.runs.launching.sweep import check_claims, prepare, sweep

        check_writable("paths.reports", reports)
        check_claims(planned, launcher)
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
    from ltvm.api.comparing import comparison

    refuse_text("methods", methods)
    refuse_text("overrides", overrides)
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


def tune(
    overrides: Sequence[str],
    metric: str | None = None,
    trials: int | None = None,
    validation: int | None = None,
    restart: bool = False,
    told: Callable[[Search, Trial, int], object] = lambda search, trial, trials: None,  # noqa: ARG005
    seeds: Sequence[int] | None = None,
) -> Tuning:
    """Do what is not done of ``trials`` trials (20) for every method of ``method=[A,B]``.

    Or for every cell of ``ablation=tuned``, which says how many trials and by which ``metric``.
    Each is a run in the store, on the training images without ``validation`` of them (None: one in
    five, at most 10,000); ``metric`` is measured on those. With ``seeds`` a trial is a run with
    each of them, and its value their mean. What was found is written
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
    wanted = asked(ours, metric, trials, validation, seeds)
    found = do(
        wanted.searches,
        wanted.trials,
        lambda trial: train([*trial, *hydra_overrides], restart),
        lambda search, trial: told(search, trial, wanted.trials),
    )
    return Tuning(found, wanted.comparison)
