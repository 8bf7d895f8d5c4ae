"""The command line: ``ltvm train | ablate | report | evaluate | ...``; a file per command."""

from __future__ import annotations

import argparse
import errno
import logging
import re
import signal
import sys
import traceback
import warnings
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import ltvm
from ltvm.cli import (
    ablate,
    cache,
    check,
    compare,
    completion,
    doctor,
    effects,
    evaluate,
    export,
    gc,
    images,
    import_records,
    leaderboard,
    metric_parity,
    new_method,
    paper_tables,
    pictures,
    repeat,
    report,
    status,
    train,
    tune,
)
from ltvm.cli.machine import answering
from ltvm.cli.options import as_trusted, common
from ltvm.errors import InputError, did_you_mean, in_words, require
from ltvm.runtime.processes import end_undisturbed, processes, rank
from ltvm.runtime.terminal import visible_output
from ltvm.runtime.threads import wait_passively

COMMANDS: dict[str, ModuleType] = {
    "train": train,
    "ablate": ablate,
    "compare": compare,
    "tune": tune,
    "report": report,
    "leaderboard": leaderboard,
    "effects": effects,
    "paper-tables": paper_tables,
    "status": status,
    "repeat": repeat,
    "evaluate": evaluate,
    "pictures": pictures,
    "metric-parity": metric_parity,
    "export": export,
    "import": import_records,
    "images": images,
    "new-method": new_method,
    "check": check,
    "doctor": doctor,
    "cache": cache,
    "gc": gc,
    "completion": completion,
}
DISCARD = ("--restart", "--clear", "--yes", "--unreferenced", "--old-numerics")  # what there is
RESUMED = ("train", "ablate", "compare", "evaluate", "pictures", "tune")
SHARED = ("train",)  # what several processes do together
FIRST = """\
ltvm: does the optimal-transport correction help? What to do first:

  ltvm ablate ablation=ot protocol=smoke     the whole path on a few hundred digits, a minute
  ltvm ablate ablation=ot                    the same on 4,000, in minutes; see reports/ot-mnist5k
  ltvm compare 'methods=[vae,short_run_ot]'  methods side by side
  ltvm new-method my_method                  a method of your own
  ltvm doctor                                whether this machine computes rightly, and how fast
  ltvm --help                                everything else
"""


class Parser(argparse.ArgumentParser):
    """One whose errors are input errors: one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        near = ""
        if choice is not None:
            near = did_you_mean(choice[1], choice[2].replace("'", "").split(", "))
        raise InputError(f"{message}{near}; `{self.prog} --help` lists what there is")


def unknown_argument(
    word: str, top: argparse.ArgumentParser, command: str, takes_overrides: bool
) -> str:
    """What is wrong with a flag, or a word, that the command does not take."""
    subparsers = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    flags = [flag for a in subparsers.choices[command]._actions for flag in a.option_strings]
    if word.split("=")[0] in flags:
        return f"{word}: comes after the command: ltvm {command} {word} ..."
    near = did_you_mean(word.split("=")[0], [flag for flag in flags if flag not in DISCARD])
    if takes_overrides and (key := key_of_flag(word.split("=")[0])):
        near = f"; did you mean {key}=...?"
    return f"{word}: no argument of ltvm {command}{near}; `ltvm {command} --help` lists them"


def key_of_flag(flag: str) -> str | None:
    """The key of a configuration that somebody gave as a flag: ``paths.results`` by --results."""
    from ltvm.config import keys
    from ltvm.overrides import key_named

    return key_named(flag.lstrip("-").replace("-", "_"), keys())


def parser() -> argparse.ArgumentParser:
    top: argparse.ArgumentParser = Parser(
        prog="ltvm",
        description="Benchmark and ablations of short-run MCMC inference with optimal-transport "
        "correction. Exit codes: 0 done, 1 a run failed, 2 bad input, 3 another process holds "
        "some of the runs, 130 interrupted.",
    )
    top.add_argument("--version", action="version", version=f"ltvm {ltvm.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = common()

    def add(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text.partition(". ")[0].removesuffix("."),
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
    with visible_output():
        return answered(sys.argv[1:] if arguments is None else arguments)


def answered(arguments: list[str]) -> int:
    """The exit code of a command, with what went wrong said in a line."""
    signal.signal(signal.SIGTERM, _interrupt)
    if processes() > 1:
        signal.signal(signal.SIGINT, _interrupt)
    wait_passively()
    completion.answer_the_shell(parser, COMMANDS)
    debug = "--debug" in arguments
    if not arguments:
        print(FIRST, end="")
        return 0
    try:
        top = parser()
        if arguments[:1] and arguments[0] in COMMANDS and {"-h", "--help"} & set(arguments):
            add_choices(top, arguments[0])
        options, rest = top.parse_known_args(arguments)
        flags = [word for word in rest if word.startswith("-")]
        if flags or (rest and not hasattr(options, "overrides")):
            takes = hasattr(options, "overrides")
            raise InputError(unknown_argument((flags or rest)[0], top, options.command, takes))
        quieten()
        from ltvm.config import add_config_dir
        from ltvm.overrides import refuse_repeated

        if hasattr(options, "overrides"):
            options.overrides = [*options.overrides, *rest]
            refuse_repeated(options.overrides)
        if hasattr(options, "results"):
            allowed = "a directory with records"
            require(not Path(options.results).is_file(), "--results", options.results, allowed)
        for directory in options.config_dir:
            add_config_dir(directory)
        alone = processes() == 1 or options.command in SHARED
        require(alone, "torchrun", f"ltvm {options.command}", ", ".join(SHARED))
        with answering(options), as_trusted(options):
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
    except OSError as error:
        if error.errno not in UNUSABLE:
            return unexpected(error, debug)
        say(f"ltvm: error: {str(error.filename)[:80]}...: {error.strerror}", error, debug)
        return 2
    except Exception as error:
        return unexpected(error, debug)


UNUSABLE = (errno.ENAMETOOLONG, errno.ELOOP)  # what was wrong with a path before it was opened


def unexpected(error: Exception, debug: bool) -> int:
    """Say it in a line, where to see more, and what the exit code is."""
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
    logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # it also raises what it logs


def add_choices(top: argparse.ArgumentParser, name: str) -> None:
    """Fill the help of one command with what can be chosen, if it takes overrides."""
    command = COMMANDS[name]
    groups = getattr(command, "CHOOSES", ())
    if not groups:
        return
    from ltvm.config import choices

    lines = [f"  {completion.NESTED.get(g, g) + '=':<12} {', '.join(choices(g))}" for g in groups]
    keys = "  seed=, device=, precision=, model.sigma=, decoder.norm=, method.KEY=, ... : see\n"
    keys += "  ablations/config.yaml, or give a wrong key to be told the right ones"
    text = "choices:\n" + "\n".join(lines) + f"\nkeys:\n{keys}\n"
    subparsers = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    subparsers.choices[name].epilog = text + command.EXAMPLES


if __name__ == "__main__":
    sys.exit(main())
