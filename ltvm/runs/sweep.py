"""The runs of an ablation, seed by seed, so that a whole first table is there early.

plan -> the runs not done of the first seed -> a table -> those of the next seed -> ...
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ltvm.runs.ablation import Plan, PlannedRun
from ltvm.runs.launch import launch
from ltvm.runs.progress import Reporter, set_reporter
from ltvm.runs.store import FINAL


def sweep(plan: Plan, hydra_overrides: Sequence[str], table: Callable[[], object]) -> None:
    """Do what is not done of a plan; a launcher is given one batch for every seed.

    ``table`` makes the table of what is done so far. It is called after every seed but the last
    one that had anything to do, and when something stops the runs, Ctrl-C included, which is
    raised again. A table that cannot be made stops no run.
    """
    batches = [batch for batch in plan.not_done_by_seed() if batch]
    reporter = Reporter([planned.kind for batch in batches for planned in batch])
    set_reporter(reporter)

    def say_table(text: str) -> None:
        reporter.say(text)
        try:
            table()
        except Exception as error:  # what is wrong with it is raised where it is made last
            reporter.say(f"no table of it ({type(error).__name__}: {error})")

    try:
        for batch in batches:
            launch_batch(batch, hydra_overrides, reporter)
            if batch is not batches[-1]:
                say_table(seed_sentence(plan, batch[0].config["seed"], reporter))
    except (Exception, KeyboardInterrupt):
        done = sum(planned.status in FINAL for planned in plan.runs)
        if done:
            say_table(f"stopped: the table of what is done ({done} of {len(plan.runs)} runs)")
        raise
    finally:
        set_reporter(None)


def launch_batch(
    batch: Sequence[PlannedRun], hydra_overrides: Sequence[str], reporter: Reporter
) -> None:
    """Launch the runs of one seed. Those in other processes report nothing: they share its time."""
    started, before = time.monotonic(), reporter.finished
    with reporter:
        launch([planned.overrides for planned in batch], hydra_overrides)
    if reporter.finished == before:
        share = (time.monotonic() - started) / len(batch)
        for planned in batch:
            reporter.count(planned.kind, share)


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
