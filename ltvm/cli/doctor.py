"""``ltvm doctor``: whether this machine computes rightly, how fast, and what runs would take."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add

EXAMPLES = """\
examples:
  ltvm doctor
  ltvm doctor --device cuda:1 --out results/bench/doctor.json"""


def add(add_command: Add) -> None:
    text = (
        "Check and measure this machine. Compares the device with the CPU, measures it, and says "
        "how long the protocols would take on it."
    )
    command = add_command("doctor", text, machine())
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N (%(default)s)")
    command.add_argument("--quick", action="store_true", help="agreement alone: no rates, no hours")
    command.add_argument("--out", type=Path, metavar="FILE.json", help="write everything there")


def run(options: argparse.Namespace) -> int:
    from ltvm.doctor.report import as_text, examine
    from ltvm.runtime.files import write_json

    found = examine(options.device, options.quick)
    if not told(options, found):
        print(as_text(found))
    if options.out is not None:
        write_json(options.out, found)
    for reason in found["reasons"]:
        print(f"ltvm: {reason}", file=sys.stderr)
    return 1 if found["reasons"] else 0
