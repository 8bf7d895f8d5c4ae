"""``ltvm cache``: what is kept between processes, and how to be rid of it."""

from __future__ import annotations

import argparse

from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add


def add(add_command: Add) -> None:
    text = "Show how much disk the cached image features take. With --clear they are removed."
    command = add_command("cache", text, machine())
    command.add_argument("--clear", action="store_true", help="remove them")


def run(options: argparse.Namespace) -> int:
    from ltvm.metrics.features.cache import cache_size, clear

    if options.clear:
        clear()
    size = cache_size()
    if not told(options, {"bytes": size}):
        print(f"features of images: {size / 1e6:.1f} MB")
    return 0
