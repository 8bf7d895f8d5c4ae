"""The command line: ``ltvm train | ablate | report | evaluate | ...``; a file per command."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import traceback
import warnings
from types import ModuleType
from typing import NoReturn

from ltvm.cli import (
    ablate,
    cache,
    check,
    compare,
    doctor,
    evaluate,
    export,
    gc,
    import_records,
    metric_parity,
    new_method,
    report,
    status,
    train,
    tune,
)
from ltvm.cli.options import common
from ltvm.errors import InputError, in_words, require
from ltvm.runtime.processes import end_undisturbed, processes, rank
from ltvm.runtime.threads import wait_passively

COMMANDS: dict[str, ModuleType] = {
    "train": train,
    "ablate": ablate,
    "compare": compare,
    "tune": tune,
    "report": report,
    "status": status,
    "evaluate": evaluate,
    "metric-parity": metric_parity,
    "export": export,
    "import": import_records,
    "new-method": new_method,
    "check": check,
    "doctor": doctor,
    "cache": cache,
    "gc": gc,
}
RESUMED = ("train", "ablate", "compare", "evaluate", "tune")
SHARED = ("train",)  # what several processes do together


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="ltvm",
        description="Benchmark and ablations of short-run MCMC inference with optimal-transport "
        "correction. Exit codes: 0 done, 1 a run failed, 2 bad input, 3 others are at some "
        "runs, 130 interrupted.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = common()

    def add(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=getattr(COMMANDS[name], "EXAMPLES", None),
            parents=[shared, *parents],
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    for command in COMMANDS.values():
        command.add(add)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _interrupt)
    if processes() > 1:
        signal.signal(signal.SIGINT, _interrupt)
    wait_passively()
    debug = "--debug" in arguments
    try:
        top = parser()
        if arguments[:1] and arguments[0] in COMMANDS and {"-h", "--help"} & set(arguments):
            add_choices(top, arguments[0])
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
        alone = processes() == 1 or options.command in SHARED
        require(alone, "torchrun", f"ltvm {options.command}", ", ".join(SHARED))
        return int(COMMANDS[options.command].run(options))
    except InputError as error:
        say(f"ltvm: error: {error}", error, debug)
        return 2
    except KeyboardInterrupt as error:
        goes_on = "; the same command goes on from here" if arguments[0] in RESUMED else ""
        say(f"\nltvm: interrupted{goes_on}", error)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        hint = "" if debug else " (--debug shows the traceback)"
        say(f"ltvm: {in_words(error)}{hint}", error, debug)
        return 1


def say(message: str, error: BaseException, traced: bool = False) -> None:
    """What went wrong, by the first process for all; ``traced`` with the traceback, by each.

    Another process says what it alone knows: an error from before they have met.
    """
    end_undisturbed()
    if traced:
        traceback.print_exc()
    told = isinstance(error, InputError | KeyboardInterrupt) or hasattr(error, "__notes__")
    if rank() == 0 or not told:
        print(message, file=sys.stderr)


def _interrupt(signum: int, frame: object) -> NoReturn:  # noqa: ARG001
    end_undisturbed()
    raise KeyboardInterrupt


def quieten() -> None:
    """Keep other libraries' start-up chatter out of the user's terminal."""
    warnings.filterwarnings("ignore", module="torchmetrics|ot|hydra|mlxtend")
    logging.getLogger("hydra").setLevel(logging.WARNING)


def add_choices(top: argparse.ArgumentParser, name: str) -> None:
    """Fill the help of one command with what can be chosen, if it takes overrides."""
    command = COMMANDS[name]
    groups = getattr(command, "CHOOSES", ())
    if not groups:
        return
    from ltvm.config import choices

    nested = {"kernel": "method.kernel", "extractor": "evaluation.extractor"}
    lines = [f"  {nested.get(g, g) + '=':<12} {', '.join(choices(g))}" for g in groups]
    keys = "  seed=, device=, precision=, model.sigma=, decoder.norm=, method.KEY=, ... : see\n"
    keys += "  ablations/config.yaml, or give a wrong key to be told the right ones"
    text = "choices:\n" + "\n".join(lines) + f"\nkeys:\n{keys}\n"
    subparsers = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    subparsers.choices[name].epilog = text + command.EXAMPLES


if __name__ == "__main__":
    sys.exit(main())
