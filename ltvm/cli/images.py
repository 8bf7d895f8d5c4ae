"""``ltvm images``: the images that a configuration trains and is measured on, as files."""

from __future__ import annotations

import argparse

from ltvm.cli.machine import machine, told
from ltvm.cli.options import OVERRIDES, Add

CHOOSES = ("data", "protocol")
EXAMPLES = """\
examples:
  ltvm images data=mnist5k protocol=small --to mnist5k   # mnist5k/train/00000.png, ..."""


def add(add_command: Add) -> None:
    text = (
        "Write a data set's images as PNG files. Then another framework can train on the same "
        "training images; its samples join a table with `ltvm compare 'external=[FOLDER]'`."
    )
    command = add_command("images", text, machine())
    command.add_argument("overrides", **OVERRIDES)
    command.add_argument("--to", required=True, metavar="DIR", help="a folder that is not there")


def run(options: argparse.Namespace) -> int:
    from ltvm.api import write_images

    found = write_images(options.overrides, options.to)
    facts = {split: {"n": len(images), "fingerprint": images.fingerprint}
             for split, images in found.items()}  # fmt: skip
    if not told(options, facts):
        for split, own in facts.items():
            print(f"{split}: {own['n']} images, {own['fingerprint']}")
    return 0
