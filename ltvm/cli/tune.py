"""``ltvm tune``: the same number of trials for each of several methods."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ltvm.cli.machine import machine
from ltvm.cli.machine import told as answered
from ltvm.cli.options import OVERRIDES, Add, restarted
from ltvm.runtime.commands import command_line

if TYPE_CHECKING:
    from ltvm.tuning.search import Search, Trial
    from ltvm.tuning.tune import Tuned, Tuning

CHOOSES = ("ablation", "method", "data", "protocol", "evaluation", "decoder", "prior")
EXAMPLES = """\
examples:
  ltvm tune ablation=tuned                        # every method of it, with the same trials
  ltvm ablate ablation=tuned                      # what was found, compared on the test images
  ltvm tune method=short_run_ot data=mnist5k protocol=small --metric fd_digits
  ltvm tune 'method=[short_run_ot,abp,vae]' protocol=small --trials 20 --metric fd_digits
  ltvm tune method=vae protocol=small --metric mse_test --validation 500 # training images"""


def add(add_command: Add) -> None:
    text = (
        "Search settings of methods, the same number of trials each. What is searched is in a "
        "method's YAML (`tuning`). Trials are scored on training images that are held out, never "
        "on test images. The same command resumes it."
    )
    command = add_command("tune", text, restarted(), machine())
    command.add_argument("overrides", **OVERRIDES)
    flag = command.add_argument
    flag("--trials", type=int, help="for every method (20; an ablation's own)")
    flag("--metric", help="a value of the evaluation, such as fd_digits (an ablation's own)")
    flag(
        "--validation",
        type=int,
        metavar="N",
        help="training images to score on (default: one in five, at most 10,000)",
    )
    flag(
        "--seeds",
        type=whole_numbers,
        metavar="N,N",
        help="of every trial, whose value is their mean (an ablation's own, or one seed)",
    )


def whole_numbers(text: str) -> list[int]:
    try:
        return [int(one) for one in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed: whole numbers, 0,1") from None


def run(options: argparse.Namespace) -> int:
    from ltvm.api import tune

    def told(search: Search, trial: Trial, trials: int) -> None:
        what = trial.status if trial.value is None else f"{search.metric} {trial.value:.6g}"
        place = f"trial {trial.number + 1} of {trials}"
        print(f"{place}, {search.method}: {what}", file=sys.stderr, flush=True)

    tuning = tune(
        options.overrides,
        options.metric,
        options.trials,
        options.validation,
        options.restart,
        told,
        options.seeds,
    )
    answered(options, {"methods": [facts(one) for one in tuning.methods],
                       "comparison": tuning.comparison})  # fmt: skip
    print_table(tuning.methods)
    print_not_searched([one.search for one in tuning.methods])
    return print_places(tuning)


def facts(one: Tuned) -> dict[str, Any]:
    """What a search has come to, for programs."""
    best, usual = one.best, one.search.untuned(one.trials)
    return {
        "method": one.search.method,
        "metric": one.search.metric,
        "trials": [vars(trial) for trial in one.trials],
        "best": None if best is None else vars(best),
        "untuned": None if usual is None else usual.value,
        "choice": one.choice,
    }


def print_table(found: list[Tuned]) -> None:
    """The best of every method, beside the value that it has without tuning."""
    from rich.table import Table

    from ltvm.runtime.terminal import console

    metric = found[0].search.metric
    columns = (
        "method", "trials", "FLOP", "seconds", "without value", f"best {metric}", "at trial",
        "untuned", "set",
    )  # fmt: skip
    table = Table()
    for column in columns:
        table.add_column(column)
    for one in found:
        lost = sum(trial.value is None for trial in one.trials)
        best = one.best
        usual = one.search.untuned(one.trials)
        table.add_row(
            one.search.method,
            str(len(one.trials)),
            f"{one.cost['flops']:.3g}",
            f"{one.cost['seconds']:.0f}",
            str(lost),
            "-" if best is None else f"{best.value:.6g}",
            "-" if best is None else str(best.number + 1),
            "-" if usual is None or usual.value is None else f"{usual.value:.6g}",
            "" if best is None else " ".join(f"{k}={v}" for k, v in best.settings.items()),
        )
    console(width=None if sys.stdout.isatty() else 200).print(table)


def print_not_searched(found: list[Search]) -> None:
    """What searches leave as it is, since other values of it are on other terms."""
    from ltvm.overrides import parse
    from ltvm.runs.ablations.found import unequal

    left = {
        key
        for search in found
        for key in unequal(search.config) - {key for key, _ in parse(search.overrides)}
    }
    for key in sorted(left):
        print(
            f"{key} is not searched: with protocol.equal=updates a smaller one buys more of them",
            file=sys.stderr,
        )


def print_places(tuning: Tuning) -> int:
    """How to go on from here; returns the exit code: 1 if a trial failed or none has a value."""
    from ltvm.tuning.tune import NOT_SHARED, without

    found = tuning.methods
    folder = str(found[0].search.folder.parent)
    for one in found:
        if one.choice is not None:
            others = without(one.search.overrides, NOT_SHARED)
            words = ["train", f"method={one.choice}", *others, "--config-dir", folder]
            print(f"{one.search.method}: {command_line(*words)}")
        print(f"  all trials: {one.search.folder / one.search.name}.csv")
    nothing = [one.search.method for one in found if one.best is None]
    if nothing:
        print(f"no trial of {', '.join(nothing)} has a value: there is nothing to compare yet")
    else:
        print(f"compare them on the test images: {command_line('ablate', *tuning.comparison)}")
    failed = [one for one in found if any(trial.status == "failed" for trial in one.trials)]
    for one in failed:
        print(f"failed trials of {one.search.method}: see their records", file=sys.stderr)
    return 1 if failed or nothing else 0
