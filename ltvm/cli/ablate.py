"""``ltvm ablate``: the runs of an ablation that are not done, and its report."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltvm.cli.machine import machine, told
from ltvm.cli.options import OVERRIDES, Add, restarted, shown
from ltvm.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from ltvm.runs.ablations.ablation import Plan, PlannedRun

CHOOSES = (
    "ablation", "data", "method", "protocol", "evaluation", "sampler", "decoder", "prior", "kernel",
)  # fmt: skip
EXAMPLES = """\
examples:
  ltvm ablate --list                               # all ablations, with their questions
  ltvm ablate ablation=ot                          # on the embedded digits, minutes
  ltvm ablate ablation=alpha data=mnist --list     # preview, run nothing
  ltvm ablate ablation=ot evaluation=digits_thorough # more metrics on the same runs, no training
  ltvm ablate ablation=ot data=svhn protocol=full 'ablation.seeds=[0,1,2]'
  ltvm ablate ablation=steps hydra/launcher=joblib hydra.launcher.n_jobs=2"""


def add(add_command: Add) -> None:
    text = (
        "Run what is missing of an ablation and write its report. The same command resumes it, "
        "and does nothing twice."
    )
    add_options(add_command("ablate", text, *parents()))


def parents() -> tuple[argparse.ArgumentParser, ...]:
    return shown(), restarted(), machine()


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("overrides", **OVERRIDES)
    command.add_argument(
        "--list",
        action="store_true",
        help="show what would be run, and run nothing; without ablation=: show all ablations",
    )
    command.add_argument(
        "--retry",
        choices=("failed", "diverged"),
        action="append",
        default=[],
        help="try runs with this status again; twice for both",
    )
    command.add_argument(
        "--retries",
        type=int,
        default=1,
        metavar="N",
        help="how often in this command (%(default)s)",
    )
    command.add_argument(
        "--wait", action="store_true", help="wait for runs that other processes are at"
    )
    command.add_argument("--name", help="the report's name (default: ABLATION-DATA)")


NARROW = 100  # characters, where the output is no terminal
TABLES = ("crossed", "headline", "differences-headline")


def run(options: argparse.Namespace, tables: Sequence[str] = TABLES) -> int:
    from ltvm.api import ablate, plan

    refuse_bare(options.overrides)
    if options.list and not any(one.startswith("ablation=") for one in options.overrides):
        questions = asked()
        if not told(options, {"ablations": questions}):
            print_questions(questions)
        return 0
    planned = plan(options.overrides, options.name)
    if options.list:
        if not told(options, {"runs": [facts(run) for run in planned.runs]}):
            print_plan(planned)
        return 0
    outcome = ablate(
        options.overrides,
        options.name,
        allow_mixed=options.allow_mixed,
        interval=options.interval,
        restart=options.restart,
        shown=lambda folder: print_report(folder, tables),
        retry=options.retry,
        retries=options.retries,
        wait=options.wait,
    )
    told(options, {"report": outcome.folder, "refused": outcome.refused,
                   "runs": [facts(run) for run in outcome.plan.runs]})  # fmt: skip
    print_report(outcome.folder, tables)
    for line in [*not_answered(outcome.plan), *outcome.summary()]:
        print(line, file=sys.stderr)
    if outcome.failed:
        return 1
    return 3 if outcome.unfinished else 0


def refuse_bare(overrides: Sequence[str]) -> None:
    """Raise :class:`InputError` for a word that is no override: an ablation's name, perhaps."""
    for word in overrides:
        if re.fullmatch(r"[\w.-]+", word):
            from ltvm.config import choices

            near = did_you_mean(word, choices("ablation"), "ablation=")
            raise InputError(f"{word}: allowed: KEY=VALUE{near}")


def asked() -> dict[str, str]:
    """Every ablation there is -> its question."""
    from ltvm.config import choices
    from ltvm.hydra_private import hydra_session

    with hydra_session():
        names = choices("ablation")
        return {name: question_of(name) for name in names}


def question_of(name: str) -> str:
    """What an ablation asks; of one that is broken, why."""
    from ltvm.config import compose_raw

    try:
        content = compose_raw([f"ablation={name}"]).ablation
    except InputError as error:
        return f"(cannot be read: {error})"
    return str(content.get("question") or "(its file has no question)")


def print_questions(questions: dict[str, str]) -> None:
    from rich.table import Table

    from ltvm.runtime.terminal import console

    table = Table("ablation", "question")
    for name, question in questions.items():
        table.add_row(name, question)
    console().print(table)
    print("`ltvm ablate ablation=NAME --list` shows the cells and runs of one.")


def facts(planned: PlannedRun) -> dict[str, Any]:
    """A run of an ablation, for programs."""
    return {
        "cell": planned.cell,
        "seed": planned.config["seed"],
        "label": planned.label,
        "status": planned.status,
        "path": planned.run.directory,
        "command": planned.command,
    }


def print_plan(planned: Plan) -> None:
    from rich.table import Table

    from ltvm.runs.housekeeping.stored import candidates
    from ltvm.runtime.terminal import console

    ablation = planned.ablation
    keys = ablation.keys
    table = Table(title=f"{planned.report_name}: {ablation.question}", title_justify="left")
    further = ["further overrides"] if any(run.note for run in planned.runs) else []
    for column in (*keys, *further):
        table.add_column(column, overflow="fold")
    table.add_column("cell", overflow="fold", min_width=12)
    table.add_column("seeds")
    shipped = candidates(planned)
    cells: dict[str, dict[str, list[int]]] = {}
    values: dict[str, list[str]] = {}
    for run in planned.runs:
        status = "stored" if run in shipped else run.status
        cells.setdefault(run.cell, {}).setdefault(status, []).append(run.config["seed"])
        own = [str(run.values[key]) for key in keys]
        values[run.cell] = [*own, note_beside(run, keys)] if further else own
    for cell, statuses in cells.items():
        seeds = (f"{status} {' '.join(map(str, seeds))}" for status, seeds in statuses.items())
        table.add_row(*values[cell], cell, "\n".join(seeds))
    console().print(table)
    for card in planned.external:
        print(f"external: {card.name} ({len(card.seeds)} seeds of {card.n} images) {card.folder}")
    for line in [*planned.one_row, *not_answered(planned)]:
        print(line)
    done = len(planned.runs) - len(planned.not_done)
    todo = len(planned.not_done) - len(shipped)
    known = f"{done} done" + (f", {len(shipped)} stored" if shipped else "")
    print(f"{len(cells)} cells, {len(planned.runs)} runs, {known}, {todo} to do")


def not_answered(planned: Plan) -> list[str]:
    """What of its definition these rows say nothing about: claims, differences."""
    lines = [f"claim {name} is not asked here: {why}" for name, why in planned.not_asked()]
    reference = planned.ablation.reference
    if reference not in (None, *(run.config["method"]["name"] for run in planned.runs)):
        lines.append(f"no differences: the reference, {reference}, is none of the rows")
    return lines


def note_beside(run: PlannedRun, keys: Sequence[str]) -> str:
    """What sets a further cell apart, without what columns show: ``method=NAME``, say."""
    shown = {f"{key}={run.values[key]}" for key in keys}
    return ", ".join(word for word in run.note.split(", ") if word not in shown)


ONE_SEED = " (1 seed)"  # after a value without an interval


def print_report(folder: Path, tables: Sequence[str] = TABLES) -> None:
    """Tables of a report on the terminal, and where the rest is."""
    import pandas as pd
    from rich.table import Table

    from ltvm.runtime.terminal import console

    files = [
        file
        for name in tables
        for file in sorted([*folder.glob(f"{name}.csv"), *folder.glob(f"{name}-*.csv")])
    ]
    for file in files:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
        title = f"{folder.name}: {file.stem}"
        text = frame.to_csv()
        if ONE_SEED in text and "±" not in text:  # said once, where it holds for all
            frame = frame.replace(re.escape(ONE_SEED), "", regex=True)
            title += ", one seed"
        table = Table(title=title, title_justify="left")
        for column in frame.columns:
            table.add_column(column)
        for row in frame.itertuples(index=False):
            table.add_row(*row)
        width = None if sys.stdout.isatty() else NARROW
        console(width=width).print(table)
    print(f"All metrics, figures and costs: {folder / 'README.md'}")
