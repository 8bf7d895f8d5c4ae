"""``ltvm effects``: one method against another at every setting that both were run at."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add, interval

EXAMPLES = """\
examples:
  ltvm effects short_run_ot short_run_uncorrected   # what the correction does, setting by setting
  ltvm effects short_run_ot short_run_uncorrected --by latent_sliced_w2 # where it helps
  ltvm effects my_method vae --results results --results results/reference # and shipped records
  ltvm effects short_run_ot vae --json | jq '.effects[] | {terms, settings, metric, percent}'"""


def add(add_command: Add) -> None:
    text = (
        "Compare two methods over all settings they share. Writes a table and a forest plot of "
        "the paired differences, from all records of runs that differ in the method alone. Trains "
        "nothing."
    )
    command = add_command("effects", text, interval(), machine())
    command.add_argument("first", metavar="METHOD")
    command.add_argument("second", metavar="AGAINST")
    command.add_argument(
        "--results",
        dest="directories",
        metavar="DIR",
        action="append",
        help="records; again for more: of a run that several have, the first counts (results)",
    )
    command.add_argument(
        "--by",
        metavar="METRIC",
        action="append",
        default=[],
        help="draw differences against this metric of AGAINST, too: where does METHOD help? Again "
        "for more",
    )
    command.add_argument("--reports", default=os.environ.get("LTVM_REPORTS", "reports"))


def run(options: argparse.Namespace) -> int:
    from ltvm.api import make_effects

    usual = [os.environ.get("LTVM_RESULTS", "results")]
    made = make_effects(
        options.first,
        options.second,
        options.directories or usual,
        options.reports,
        options.interval,
        options.by,
    )
    if told(options, made):
        return 0
    print("\n".join([*made["answer"], str(Path(made["page"]))]))
    return 0
