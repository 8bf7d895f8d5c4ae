"""``ltvm pictures``: the pictures that trained runs lack, such as those of older versions."""

from __future__ import annotations

import argparse
import os

from ltvm.cli.options import Add
from ltvm.errors import InputError

EXAMPLES = """\
examples:
  ltvm pictures results/runs/mnist5k/*/*/seed=0
  ltvm pictures results/runs/mnist5k/vae/*/seed=0 evaluation=digits_samples sampler=gmm"""


def add(add_command: Add) -> None:
    text = (
        "Make the pictures that trained runs lack, from their kept weights, without training: "
        "samples, reconstructions, nearest training images, interpolations."
    )
    command = add_command("pictures", text)
    words = "directories of runs; with sampler=NAME, of an evaluation with that sampler"
    command.add_argument("words", metavar="RUN|KEY=VALUE", nargs="+", help=words)
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    command.add_argument(
        "--trust",
        action="store_true",
        help="follow any part that a run's configuration names, and so execute it",
    )


def run(options: argparse.Namespace) -> int:
    if options.trust:
        os.environ["LTVM_TRUST"] = "1"
    from ltvm.api import make_pictures

    overrides = [w for w in options.words if "=" in w and "/" not in w.split("=")[0]]
    runs = [word for word in options.words if word not in overrides]
    if not runs:
        raise InputError(f"pictures {' '.join(overrides)}: allowed: RUN..., directories of runs")
    device = None if options.device == "auto" else options.device
    for directory, made in make_pictures(runs, overrides, device).items():
        print(f"{directory}: {', '.join(made) or 'nothing to make'}")
    return 0
