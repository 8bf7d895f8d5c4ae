"""The command line: ``ltvm train | ablate | report | status | evaluate | ...``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ltvm.cli.scoring import add_commands, run_evaluate, run_metric_parity
from ltvm.errors import InputError

if TYPE_CHECKING:
    from ltvm.runs.ablation import Plan

EXAMPLES = {
    "train": """\
examples:
  ltvm train method=vae protocol=smoke
  ltvm train data=mnist method=short_run_ot protocol=full method.alpha=0.3 seed=1
  ltvm train hydra/launcher=submitit_slurm data=svhn protocol=full""",
    "ablate": """\
examples:
  ltvm ablate ablation=ot                          # on the embedded digits, minutes
  ltvm ablate ablation=alpha data=mnist --list     # preview, run nothing
  ltvm ablate ablation=ot data=svhn protocol=full ablation.seeds=[0,1,2]
  ltvm ablate ablation=steps hydra/launcher=joblib hydra.launcher.n_jobs=2""",
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="ltvm",
        description="Benchmark and ablations of short-run MCMC inference with optimal-transport "
        "correction. Exit codes: 0 done, 1 a run failed, 2 bad input, 130 interrupted.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show tracebacks")
    common.add_argument(
        "--config-dir",
        metavar="DIR",
        action="append",
        default=[],
        help="a directory with YAML groups (method/, data/, ...) and Python modules of your own",
    )
    places = argparse.ArgumentParser(add_help=False)
    places.add_argument(
        "--results", default=os.environ.get("LTVM_RESULTS", "results"), help="records (%(default)s)"
    )

    shown = argparse.ArgumentParser(add_help=False)
    shown.add_argument(
        "--allow-mixed",
        action="store_true",
        help="mark numbers of different provenance in one column in place of refusing them",
    )
    shown.add_argument(
        "--interval",
        choices=("t", "bootstrap"),
        default="t",
        help="over seeds: Student's t, or a seeded bootstrap for many seeds (%(default)s)",
    )

    def add(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text,
            description=text,
            parents=[common, *parents],
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    overrides: dict[str, Any] = {
        "nargs": "*", "metavar": "KEY=VALUE", "help": "Hydra overrides; see below",
    }  # fmt: skip
    train = add("train", "Do one run: a method on a data set under a protocol.")
    train.add_argument("overrides", **overrides)
    ablate = add(
        "ablate", "Do the runs of an ablation that are not done, and write its report.", shown
    )
    ablate.add_argument("overrides", **overrides)
    ablate.add_argument("--list", action="store_true", help="preview cells and runs, do nothing")
    ablate.add_argument("--name", help="the report's name (default: ABLATION-DATA)")
    report = add("report", "Rebuild reports from the records, without training.", places, shown)
    report.add_argument("names", nargs="*", metavar="NAME", help="reports (default: all)")
    report.add_argument("--reports", default=os.environ.get("LTVM_REPORTS", "reports"))
    add("status", "Count runs by data, method and status.", places)
    export = add("export", "Copy an ablation's records, without checkpoints, elsewhere.", places)
    export.add_argument("name", metavar="NAME")
    export.add_argument("--to", required=True, metavar="DIR", help="another results directory")
    add_commands(add)
    check = add("check-method", "Check a method against the contract, on a few digits.")
    check.add_argument("overrides", **overrides)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _interrupt)
    debug = "--debug" in arguments
    try:
        top = parser()
        if {"-h", "--help"} & set(arguments):
            add_choices(top)
        options, rest = top.parse_known_args(arguments)
        flags = [word for word in rest if word.startswith("-")]
        if flags or (rest and not hasattr(options, "overrides")):
            top.error(f"unrecognized arguments: {' '.join(rest)}")
        if hasattr(options, "overrides"):
            options.overrides = [*options.overrides, *rest]
        quieten()
        from ltvm.config import add_config_dir

        for directory in options.config_dir:
            add_config_dir(directory)
        return COMMANDS[options.command](options)
    except InputError as error:
        if debug:
            traceback.print_exc()
        print(f"ltvm: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        goes_on = "; the same command goes on from here" if arguments[0] in RESUMED else ""
        print(f"\nltvm: interrupted{goes_on}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        hint = "" if debug else " (--debug shows the traceback)"
        print(f"ltvm: {type(error).__name__}: {error}{hint}", file=sys.stderr)
        return 1


def _interrupt(signum: int, frame: object) -> NoReturn:  # noqa: ARG001
    raise KeyboardInterrupt


def quieten() -> None:
    """Keep other libraries' start-up chatter out of the user's terminal."""
    warnings.filterwarnings("ignore", module="torchmetrics|ot|hydra|mlxtend")
    logging.getLogger("hydra").setLevel(logging.WARNING)


def add_choices(top: argparse.ArgumentParser) -> None:
    """Fill the help of train and ablate with what can be chosen."""
    from ltvm.config import choices

    subparsers = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    for name in ("train", "ablate", "check-method"):
        groups = ["data", "method", "protocol", "evaluation"]
        groups = ["ablation", *groups] if name == "ablate" else groups
        lines = [f"  {group + '=':<12} {', '.join(choices(group))}" for group in groups]
        keys = "  seed=, device=, precision=, model.sigma=, decoder.norm=, method.KEY=, ... : see\n"
        keys += "  ablations/config.yaml, or give a wrong key to be told the right ones"
        text = "choices:\n" + "\n".join(lines) + f"\nkeys:\n{keys}\n"
        subparsers.choices[name].epilog = text + EXAMPLES.get(name, "")


def run_train(options: argparse.Namespace) -> int:
    from ltvm.api import train

    record = train(options.overrides)
    for name, content in record.get("metrics", {}).items():
        print(f"{name:<24} {content['value']:.6g}")
    print(f"status                   {record['status']}")
    if record.get("reason"):
        print(f"reason                   {record['reason']}")
    return 1 if record["status"] in ("failed", "running") else 0


def run_ablate(options: argparse.Namespace) -> int:
    from ltvm.api import ablate, plan

    planned = plan(options.overrides, options.name)
    if options.list:
        print_plan(planned)
        return 0
    folder = ablate(options.overrides, options.name, options.allow_mixed, options.interval)
    print_report(folder)
    failed = [p for p in planned.runs if p.run.status() == "failed"]
    for run in failed:
        print(f"failed: {run.run.directory / 'record.json'}", file=sys.stderr)
    return 1 if failed else 0


def print_plan(planned: Plan) -> None:
    from rich.console import Console
    from rich.table import Table

    ablation = planned.ablation
    keys = list(ablation.axes)
    table = Table(title=f"{planned.report_name}: {ablation.question}", title_justify="left")
    for column in (*keys, "cell", *(f"seed {seed}" for seed in ablation.seeds)):
        table.add_column(column)
    cells: dict[str, dict[int, str]] = {}
    values: dict[str, list[str]] = {}
    for planned_run in planned.runs:
        cells.setdefault(planned_run.cell, {})[planned_run.config["seed"]] = (
            planned_run.run.status()
        )
        values[planned_run.cell] = [str(planned_run.values[key]) for key in keys]
    for cell, statuses in cells.items():
        table.add_row(*values[cell], cell, *(statuses.get(s, "") for s in ablation.seeds))
    Console().print(table)
    done = len(planned.runs) - len(planned.not_done)
    print(
        f"{len(cells)} cells, {len(planned.runs)} runs, {done} done, {len(planned.not_done)} to do"
    )


def print_report(folder: Path) -> None:
    """The quality tables on the terminal, and where the rest is."""
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

    files = [
        file
        for name in ("crossed", "table", "differences")
        for file in sorted([*folder.glob(f"{name}.csv"), *folder.glob(f"{name}-*.csv")])
    ]
    for file in files:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
        table = Table(title=f"{folder.name}: {file.stem}", title_justify="left")
        for column in frame.columns:
            table.add_column(column)
        for row in frame.itertuples(index=False):
            table.add_row(*row)
        width = None if sys.stdout.isatty() else 200
        Console(width=width).print(table)
    print(f"Report: {folder / 'README.md'}")


def run_report(options: argparse.Namespace) -> int:
    from ltvm.api import make_report

    results = Path(options.results)
    names = options.names or sorted(p.stem for p in (results / "ablations").glob("*.json"))
    if not names:
        raise InputError(f"report: no records in {results}; run `ltvm ablate` first")
    refused = []
    for name in names:  # one that is refused does not keep the others from being made
        try:
            folder = make_report(
                name, results, options.reports, options.allow_mixed, options.interval
            )
            print(folder / "README.md")
        except InputError as error:
            refused.append(str(error))
    if refused:
        raise InputError("\n".join(refused))
    return 0


def run_status(options: argparse.Namespace) -> int:
    import pandas as pd

    from ltvm.runs.store import Store

    runs = Store(Path(options.results)).runs()
    if not runs:
        print(f"no runs in {options.results}")
        return 0
    rows = [(run.directory.parts[-4], run.directory.parts[-3], run.status()) for run in runs]
    frame = pd.DataFrame(rows, columns=["data", "method", "status"])
    counts = frame.value_counts().unstack("status", fill_value=0).reset_index()
    print(counts.to_string(index=False))
    return 0


def run_export(options: argparse.Namespace) -> int:
    from ltvm.runs.export import export

    print(export(options.name, Path(options.results), Path(options.to)))
    return 0


def run_check_method(options: argparse.Namespace) -> int:
    from ltvm.testing import check_method

    for sentence in check_method(options.overrides):
        print(f"ok: {sentence}")
    return 0


RESUMED = ("train", "ablate")
COMMANDS = {
    "train": run_train,
    "ablate": run_ablate,
    "report": run_report,
    "status": run_status,
    "export": run_export,
    "evaluate": run_evaluate,
    "metric-parity": run_metric_parity,
    "check-method": run_check_method,
}


if __name__ == "__main__":
    sys.exit(main())
