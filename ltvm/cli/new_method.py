"""``ltvm new-method``: the files of a method that works, to be changed into one's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add

EXAMPLES = """\
examples:
  ltvm new-method my_method                        # mine/my_method.py, its YAML and its test
  ltvm check method=my_method --config-dir mine
  ltvm compare 'methods=[my_method,vae,short_run_ot]' data=mnist5k --config-dir mine"""


def add(add_command: Add) -> None:
    text = (
        "Write a working method (code, YAML, test) for you to change. Outside of ltvm, or inside "
        "it."
    )
    command = add_command("new-method", text, machine())
    command.add_argument("name", metavar="NAME", help="of the method and its module: my_method")
    place = command.add_mutually_exclusive_group()
    place.add_argument("--to", default="mine", metavar="DIR", help="where to (%(default)s)")
    place.add_argument("--inside", action="store_true", help="into this checkout of ltvm")


def run(options: argparse.Namespace) -> int:
    from ltvm.skeletons import new_method

    folder = None if options.inside else Path(options.to)
    files = new_method(options.name, folder)
    if told(options, {"files": files}):
        return 0
    for file in files:
        print(file)
    found = "" if folder is None else f" --config-dir {folder}"
    print(f"try it: ltvm check method={options.name}{found}")
    return 0
