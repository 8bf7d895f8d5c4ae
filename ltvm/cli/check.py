"""``ltvm check``: parts of one's own against their contracts."""

from __future__ import annotations

import argparse

from ltvm.cli.machine import machine, told
from ltvm.cli.options import OVERRIDES, Add

CHOOSES = ("method", "prior", "decoder", "kernel", "extractor", "evaluation", "sampler", "data")
EXAMPLES = """\
examples:
  ltvm check method=my_method --config-dir mine
  ltvm check prior=my_prior decoder=my_decoder method.kernel=my_kernel --config-dir mine"""


def add(add_command: Add) -> None:
    text = (
        "Check parts (methods, decoders, ...) against their contracts. Takes the parts that the "
        "overrides choose, on a few digits."
    )
    command = add_command("check", text, machine())
    command.add_argument("overrides", **OVERRIDES)


def run(options: argparse.Namespace) -> int:
    from ltvm.testing import check

    sentences = check(options.overrides)
    if not told(options, {"holds": sentences}):
        for sentence in sentences:
            print(f"ok: {sentence}")
    return 0
