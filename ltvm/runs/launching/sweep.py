"""The runs of an ablation, seed by seed, so that a whole first table is there early.

plan -> the runs to do of the first seed -> a table -> those of the next seed -> ...

Everything that several processes have to agree on stands in the store: a run that another one is
at is left to it, and one that was killed goes on from its last iteration.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ltvm.errors import (
    InputError,
    UnreadableError,
    VanishedError,
    did_you_mean,
    in_words,
    require,
)
from ltvm.runs.ablations.ablation import Plan, PlannedRun
from ltvm.runs.ablations.claims import claims_of
from ltvm.runs.ablations.forecast import Work
from ltvm.runs.execution.build import build_metrics
from ltvm.runs.execution.execute import check_input
from ltvm.runs.execution.progress import Reporter, set_reporter, workers_quiet
from ltvm.runs.execution.resuming import check_checkpoint, discard_checkpoint
from ltvm.runs.execution.same_images import check_images
from ltvm.runs.files.store import FINAL, Store
from ltvm.runs.launching.launch import check_launcher, in_process, launch
from ltvm.runs.launching.outcome import Options, alone, is_refused
from ltvm.runs.launching.watch import Watch
from ltvm.runtime.devices import resolve_device

STARTS = 3  # of a batch whose launcher stops: a worker that died, a node that was lost
UNDONE = ("pending", "interrupted", "unreadable")
POLL = 5.0  # seconds between two looks at runs that others are at


def prepare(
    runs: Sequence[PlannedRun], launcher: Sequence[str], results: Path, restart: bool
) -> None:
    """Check what can be checked before anything is begun; raises :class:`InputError`.

    Where the runs go to other processes, which may be on other machines, nothing here touches
    data, feature extractors or a GPU, which a login node does not have: a cell's first run finds
    what is wrong with it, and its others are then not begun.
    """
    Store(results).check_writable()
    check_launcher(launcher)
    if restart:
        for planned in runs:
            discard_checkpoint(planned.config)
    if not in_process(launcher):
        return
    check_images((planned.run, planned.config) for planned in runs)
    for cell in {planned.cell: planned for planned in runs}.values():
        check_input(cell.config)
    for planned in runs:
        check_checkpoint(planned.config)


def check_claims(plan: Plan, launcher: Sequence[str]) -> None:
    """Raise :class:`InputError` for a claim about what no row of the plan measures, or has.

    Found later it could be put right only when values are known. Not looked at where the runs go
    to other processes, as in ``prepare``.
    """
    claims = claims_of(plan.ablation.claims)
    if not claims or not in_process(launcher):
        return
    configs = {planned.evaluation: planned.config for planned in plan.runs}
    device = resolve_device(plan.runs[0].config["device"])
    known = {
        name: None
        for config in configs.values()
        for metric in build_metrics(config, device).values()
        for name in metric.columns()
    }
    for planned in plan.runs:  # by another evaluation, before
        with suppress(UnreadableError):
            for evaluation in planned.run.evaluations().values():
                known |= dict.fromkeys(evaluation.get("columns") or {})
    for claim in claims:
        allowed = f"what is measured: {', '.join(known)}{did_you_mean(claim.metric, known)}"
        require(claim.metric in known, f"claim {claim.name}: metric", claim.metric, allowed)


@dataclass
class Sweep:
    """One command's way through a plan; ``launcher`` are Hydra's overrides that choose one."""

    plan: Plan
    launcher: Sequence[str]
    options: Options
    reporter: Reporter
    refused: dict[str, str] = field(default_factory=dict)  # cells, or single runs: the reason
    started: float = field(default_factory=time.monotonic)

    def to_do(self, runs: Sequence[PlannedRun]) -> list[PlannedRun]:
        """Those to be begun now; statuses are read anew."""
        wanted = {*UNDONE, *self.options.retry}
        return [p for p in runs if p.status in wanted and not is_refused(p, self.refused)]

    def out_of_time(self) -> bool:
        hours = self.plan.ablation.max_hours
        return hours is not None and time.monotonic() - self.started > hours * 3600

    def do(self, runs: Sequence[PlannedRun]) -> None:
        """Runs of one seed, and again those that are to be retried."""
        one_by_one = in_process(self.launcher) and self.plan.ablation.max_hours is not None
        for part in [[run] for run in runs] if one_by_one else [list(runs)]:
            if self.out_of_time():
                return
            self.launch(part)
            for _ in range(self.options.retries - 1):
                again = [p for p in part if p.status in self.options.retry]
                if again:
                    self.launch(again)

    def launch(self, runs: Sequence[PlannedRun]) -> None:
        """Hand runs to the launcher, and again what it leaves undone.

        That is what a worker that died was at, what comes after an engine that stopped, and the
        second of two cells that share their training. Raises what stopped the launcher where it
        began nothing twice, or stopped too often.
        """
        left = list(runs)
        for planned in left:
            forget_divergence(planned)
        for start in range(1, STARTS + 1):
            stopped: Exception | None = None
            try:
                self.launch_once(left)
            except (InputError, VanishedError):
                raise
            except Exception as error:
                stopped = error
                what = " ".join(in_words(error).split())[:200]
                self.reporter.say(f"the launcher stopped ({what})")
            before, left = len(left), [p for p in left if p.status in UNDONE]
            left = [p for p in left if not is_refused(p, self.refused)]
            if not left or (stopped is None and len(left) == before):
                return
            begun = any(p.status == "interrupted" for p in left)  # a worker died in the middle
            idle = len(left) == before and not begun and start > 1
            if stopped is not None and (start == STARTS or idle):
                raise stopped

    def launch_once(self, runs: Sequence[PlannedRun]) -> None:
        elsewhere = not in_process(self.launcher)
        with self.reporter, Watch(runs, self.reporter, elsewhere), workers_quiet(elsewhere):
            records = launch([planned.overrides for planned in runs], self.launcher)
        for planned, record in zip(runs, records or [], strict=False):
            if isinstance(record, dict) and record.get("status") == "refused":
                key = alone(planned) if record.get("alone") else planned.cell
                self.refused.setdefault(key, record["reason"])

    def others(self) -> list[PlannedRun]:
        """The runs that other processes are at."""
        return [p for seed in self.plan.by_seed() for p in seed if p.status == "running"]

    def settle_others(self) -> None:
        """Wait for others' runs, and do those that they leave undone; or say whose they are."""
        held = self.others()
        if held and not self.options.wait:
            who = sorted({str(p.run.holder() or "another process") for p in held})
            holds = "holds" if len(who) == 1 else "hold"
            self.reporter.say(
                f"{' and '.join(who)} {holds} {len(held)} of the runs; --wait waits, the same "
                "command looks again"
            )
        while held and self.options.wait and not self.out_of_time():
            time.sleep(POLL)
            free = self.to_do(held)
            if free:
                self.do(free)
            held = [
                p for seed in self.plan.by_seed() for p in seed if self.unsettled(p, held, free)
            ]

    def unsettled(
        self, planned: PlannedRun, held: Sequence[PlannedRun], tried: Sequence[PlannedRun]
    ) -> bool:
        """Whether another process is at it, or was until a moment ago: then it is not done yet."""
        status = planned.status  # one look: at the next it may be another
        was_held = any(planned is p for p in held) and not any(planned is p for p in tried)
        return status == "running" or (
            was_held and not is_refused(planned, self.refused) and status in UNDONE
        )


def sweep(
    plan: Plan,
    launcher: Sequence[str],
    table: Callable[[], object],
    options: Options | None = None,
) -> dict[str, str]:
    """Do what is to do of a plan; a launcher is given one batch for every seed.

    ``table`` makes the table of what is done so far. It is called after every seed but the last
    one that had anything to do, and when something stops the runs, Ctrl-C included, which is
    raised again. A table that cannot be made stops no run. Returns the cells and runs that were
    refused with the reasons; raises :class:`ltvm.errors.InputError` where all were.
    """
    options = options or Options()
    going = Sweep(plan, launcher, options, Reporter())
    batches = [batch for batch in map(going.to_do, plan.by_seed()) if batch]
    all_runs = [planned for batch in batches for planned in batch]
    going.reporter = reporter = Reporter(
        work_of(all_runs),
        {(planned.kind, planned.config["seed"]): planned.label for planned in all_runs},
    )
    set_reporter(reporter)

    def say_table(text: str) -> None:
        reporter.say(text)
        try:
            table()
        except Exception as error:  # what is wrong with it is raised where it is made last
            reporter.say(f"no table of it ({in_words(error)})")

    try:
        for batch in batches:
            going.do(going.to_do(batch))
            if all(is_refused(planned, going.refused) for planned in plan.runs):
                raise InputError(next(iter(going.refused.values())))
            if batch is not batches[-1] and not going.out_of_time():
                say_table(seed_sentence(plan, batch[0].config["seed"], reporter))
        going.settle_others()
    except (Exception, KeyboardInterrupt):
        done = sum(planned.status in FINAL for planned in plan.runs)
        if done:
            say_table(f"stopped: the table of what is done ({done} of {len(plan.runs)} runs)")
        raise
    finally:
        set_reporter(None)
    return going.refused


def work_of(runs: Sequence[PlannedRun]) -> list[Work]:
    """What each run takes: of those that share a training the first one trains."""
    trained: set[Path] = set()
    work = []
    for planned in runs:
        directory = planned.run.directory
        work.append(Work(planned.kind, directory not in trained and not planned.is_trained))
        trained.add(directory)
    return work


def forget_divergence(planned: PlannedRun) -> None:
    """Have a run that ended as ``diverged`` begin again, by what its record says."""
    if planned.status != "diverged":
        return
    with planned.run.held() as hold:
        record = planned.run.record()
        if hold is None or record is None:
            return
        if record["status"] == "diverged":
            reason = f"to be tried again; it had diverged ({record.get('reason')})"
            planned.run.write_record(record | {"status": "interrupted", "reason": reason})
        else:
            planned.run.evaluation_file(planned.evaluation).unlink(missing_ok=True)


def seed_sentence(plan: Plan, seed: int, reporter: Reporter) -> str:
    """``seed 0 done for all 5 cells: a first table (1 of 3 seeds); the other 10 runs will ...``"""
    own = [planned for planned in plan.runs if planned.config["seed"] == seed]
    done = sum(planned.status in FINAL for planned in own)
    cells = f"all {len(own)} cells" if done == len(own) else f"{done} of {len(own)} cells"
    seeds = plan.ablation.seeds
    number = sum(
        all(planned.status in FINAL for planned in plan.runs if planned.config["seed"] == s)
        for s in seeds
    )
    which = "a first table" if number <= 1 else "the table"
    text = f"seed {seed} done for {cells}: {which} ({number} of {len(seeds)} seeds)"
    return "; ".join(filter(None, [text, reporter.forecast.sentence()]))
