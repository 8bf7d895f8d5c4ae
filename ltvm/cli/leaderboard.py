"""``ltvm leaderboard``: all records of one or several results directories, ranked page by page."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add, interval

EXAMPLES = """\
examples:
  ltvm leaderboard                                             # reports/leaderboard/index.html
  ltvm leaderboard --results results --results results/reference # beside the shipped records
  ltvm leaderboard --json | jq '.pages[].ranks.fd_digits[0].row'"""
SAID = 10  # lines of what was left out


def add(add_command: Add) -> None:
    text = (
        "Rank all records, a page per data set and protocol. Ranks come with their uncertainty, "
        "from paired differences at shared seeds, with costs and provenance. Nothing is ranked "
        "across pages, or across numbers of different provenance."
    )
    command = add_command("leaderboard", text, interval(), machine())
    command.add_argument(
        "--results",
        dest="directories",
        metavar="DIR",
        action="append",
        help="records; again for more: of a run that several have, the first counts (results)",
    )
    command.add_argument("--reports", default=os.environ.get("LTVM_REPORTS", "reports"))


def run(options: argparse.Namespace) -> int:
    from ltvm.api import make_leaderboard

    usual = [os.environ.get("LTVM_RESULTS", "results")]
    made = make_leaderboard(options.directories or usual, options.reports, options.interval)
    for line in made["left_out"][:SAID]:
        print(f"ltvm: left out: {line}", file=sys.stderr)
    if len(made["left_out"]) > SAID:
        print(f"ltvm: left out: {len(made['left_out']) - SAID} more", file=sys.stderr)
    if told(options, made):
        return 0
    for page in made["pages"]:
        print(f"{page['title']} ({page['rows']}): {page['answer']}")
    print(Path(made["index"]))
    return 0
