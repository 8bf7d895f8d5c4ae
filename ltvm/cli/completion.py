"""``ltvm completion``: what a shell needs to complete commands, options, choices and keys.

The shell asks this program at every TAB (argcomplete), so that parts of one's own are offered, too.
Choices are the names of files: nothing is composed and torch is not imported. Keys below a group
are composed with the choices that are on the line.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from ltvm.cli.options import Add
from ltvm.errors import InputError
from ltvm.runtime.config_dirs import config_dirs, is_choice_name, own_configuration

SHELLS = ("bash", "zsh", "fish")
NESTED = {"kernel": "method.kernel", "extractor": "evaluation.extractor"}
OF_ABLATIONS = ("report", "status", "export")  # commands that take their names
PLAIN = ("seed", "device", "precision")  # keys that stand in no group
EXAMPLES = """\
examples:
  eval "$(ltvm completion bash)"                    # in this shell, and in ~/.bashrc in every one
  ltvm completion fish > ~/.config/fish/completions/ltvm.fish"""


def add(add_command: Add) -> None:
    text = (
        "Print the shell code for tab completion. It completes commands, options, choices and keys."
    )
    command = add_command("completion", text)
    command.add_argument("shell", choices=SHELLS)


def run(options: argparse.Namespace) -> int:
    print(library().shellcode(["ltvm"], shell=options.shell))
    return 0


def library() -> Any:
    try:
        import argcomplete
    except ModuleNotFoundError as error:
        raise InputError(f'completion: {error}; pip install "ltvm[completion]" adds it') from error
    return argcomplete


def answer_the_shell(
    make_parser: Callable[[], argparse.ArgumentParser], commands: dict[str, ModuleType]
) -> None:
    """Where a shell asks what may come next: say it, and end the process."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    top = make_parser()
    subparsers = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    for name, parser in subparsers.choices.items():
        for action in parser._actions:
            if action.dest == "overrides":
                set_completer(action, overrides_of(getattr(commands[name], "CHOOSES", ())))
            elif action.dest in ("names", "name") and name in OF_ABLATIONS:
                set_completer(action, ablations)
    library().autocomplete(top)


def set_completer(action: argparse.Action, completer: Callable[..., Sequence[str]]) -> None:
    action.completer = completer  # type: ignore[attr-defined]


def ablations(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The ablations of the results directory that is on the line."""
    return [file.stem for file in Path(parsed_args.results).glob("ablations/*.json")]


def overrides_of(groups: Sequence[str]) -> Callable[..., list[str]]:
    """What completes ``KEY=VALUE`` of a command that chooses from ``groups``."""

    def complete(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
        directories = [str(Path(one).expanduser()) for one in parsed_args.config_dir]
        key, equals, value = prefix.partition("=")
        if equals:
            group = {place: nested for nested, place in NESTED.items()}.get(key, key)
            group = "method" if key in ("methods", "ablation.axes.method") else group
            begun = re.match(r"(.*[\[,])?", value)  # of a list: what its last word stands after
            head = f"{key}={begun[0] if begun else ''}"
            return [head + name for name in names_of_group(group, directories)]
        if "." in prefix:
            return list(keys([str(o) for o in parsed_args.overrides or () if o != prefix]))
        return [f"{key}=" for key in (*(NESTED.get(group, group) for group in groups), *PLAIN)]

    return complete


def names_of_group(group: str, directories: Sequence[str] = ()) -> list[str]:
    """The choices of a configuration group, by the names of its files."""
    found = set()
    for folder in (*packaged(), *directories, *config_dirs()):
        root = Path(folder) / group
        files = root.rglob("*.yaml")
        found |= {file.relative_to(root).with_suffix("").as_posix() for file in files}
    return sorted(filter(is_choice_name, found))


def packaged() -> Iterator[str]:
    """The folders of configuration of this package and of others that are installed."""
    yield str(own_configuration())
    for package in entry_points(group="ltvm.configs"):
        spec = importlib.util.find_spec(package.value)
        yield from (spec.submodule_search_locations or ()) if spec is not None else ()


def keys(chosen: Sequence[str]) -> Iterator[str]:
    """Every key of the configuration with the choices on the line; none where they are wrong."""
    from ltvm.config import compose_raw, keys_of, to_dict
    from ltvm.overrides import is_choice

    groups = [override for override in chosen if is_choice(override.partition("=")[0])]
    try:
        config = to_dict(compose_raw(groups))
    except InputError:
        return
    for path in keys_of(config):
        if "._target_" not in path:
            yield f"{path}="
