"""``ltvm train``: one run."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ltvm.cli.machine import machine, told
from ltvm.cli.options import OVERRIDES, Add, restarted
from ltvm.runtime.processes import end_undisturbed, rank

CHOOSES = ("data", "method", "protocol", "evaluation", "sampler", "decoder", "prior", "kernel")
EXAMPLES = """\
examples:
  ltvm train method=vae protocol=smoke
  ltvm train data=mnist method=short_run_ot protocol=full method.alpha=0.3 seed=1
  torchrun --nproc-per-node 4 -m ltvm train data=svhn protocol=full
  ltvm train hydra/launcher=submitit_slurm data=svhn protocol=full"""


def add(add_command: Add) -> None:
    command = add_command(
        "train", "Train and evaluate one run of a method on a data set.", restarted(), machine()
    )
    command.add_argument("overrides", **OVERRIDES)


def run(options: argparse.Namespace) -> int:
    from ltvm.api import train

    record = train(options.overrides, options.restart)
    end_undisturbed()
    if not told(options, record) and rank() == 0:
        print_values(record)
    if options.debug and record.get("traceback"):
        print(record["traceback"], file=sys.stderr)
    return 1 if record["status"] in ("failed", "running") else 0


def print_values(record: dict[str, Any]) -> None:
    """The values of an evaluation, and the status."""
    for name, content in record.get("metrics", {}).items():
        print(f"{name:<24} {content['value']:.6g}")
    print(f"status                   {record['status']}")
    if record.get("reason"):
        print(f"reason                   {record['reason']}")
    if record.get("directory"):
        print(f"record, pictures         {record['directory']}")
