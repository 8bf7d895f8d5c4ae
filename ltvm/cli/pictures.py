"""``ltvm pictures``: the pictures that trained runs lack, such as those of older versions."""

from __future__ import annotations

import argparse

from ltvm.cli.each import each
from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add, runs_and_overrides, trusting
from ltvm.errors import InputError

EXAMPLES = """\
examples:
  ltvm pictures results/runs/mnist5k/*/*/seed=0
  ltvm pictures results/runs/mnist5k/vae/*/seed=0 evaluation=digits_samples sampler=gmm"""


def add(add_command: Add) -> None:
    text = (
        "Make the pictures that trained runs lack. Samples, reconstructions, nearest training "
        "images and interpolations, from kept weights, without training."
    )
    command = add_command("pictures", text, machine(), trusting())
    words = "directories of runs; with sampler=NAME, of an evaluation with that sampler"
    command.add_argument("words", metavar="RUN|KEY=VALUE", nargs="+", help=words)
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")


def run(options: argparse.Namespace) -> int:
    from ltvm.api import make_pictures

    runs, overrides = runs_and_overrides(options.words)
    if not runs:
        raise InputError(f"pictures {' '.join(overrides)}: allowed: RUN..., directories of runs")
    device = None if options.device == "auto" else options.device

    def make(run: str) -> list[str]:
        made = make_pictures([run], overrides, device)[run]
        print(f"{run}: {', '.join(made) or 'nothing to make'}")
        return made

    each(runs, make, lambda found: told(options, found))
    return 0
