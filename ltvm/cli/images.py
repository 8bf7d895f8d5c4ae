"""``ltvm images``: the images that a configuration trains and is measured on, as files."""

from __future__ import annotations

import argparse

from ltvm.cli.options import OVERRIDES, Add

CHOOSES = ("data", "protocol")
EXAMPLES = """\
examples:
  ltvm images data=mnist5k protocol=small --to mnist5k   # mnist5k/train/00000.png, ..."""


def add(add_command: Add) -> None:
    text = (
        "Write the training and test images of a configuration as PNG, to train another framework "
        "on the same ones: its samples join a table with `ltvm compare external=[FOLDER]`."
    )
    command = add_command("images", text)
    command.add_argument("overrides", **OVERRIDES)
    command.add_argument("--to", required=True, metavar="DIR", help="a folder that is not there")


def run(options: argparse.Namespace) -> int:
    from ltvm.api import write_images

    for split, images in write_images(options.overrides, options.to).items():
        print(f"{split}: {len(images)} images, {images.fingerprint}")
    return 0
