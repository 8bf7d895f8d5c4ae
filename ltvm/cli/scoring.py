"""What the commands that score images share: options, provenance, files."""

from __future__ import annotations

import argparse
from typing import Any

SHARED = (  # what is printed of the provenance; the JSON has all of it
    "scored", "images", "status", "iteration", "reference", "split", "data", "extractor",
    "dimension", "checksum", "resize", "seed",
)  # fmt: skip
REFERENCE = "a data set by name or a folder of images (default: the run's data, or mnist5k)"


def shared_options() -> argparse.ArgumentParser:
    """The options of ``ltvm.scoring.Request``."""
    options = argparse.ArgumentParser(add_help=False)
    add = options.add_argument
    add("--channels", type=int, help="make the images of folders grey (1) or colour (3)")
    add("--samples", type=int, help="of a run (default: as its protocol says)")
    add("--extractor", help="a name or an import path (default: digits or inception, as fits)")
    add("--dimension", type=int, help="of the extractor (Inception: 64, 192, 768 or 2048)")
    add("--weights", metavar="FILE", help="of the extractor (default: its own)")
    add("--checksum", metavar="SHA256", help="of other weights than the known")
    add("--seed", type=int, help="of all draws (default: the run's, or 0)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    return options


def request_options(options: argparse.Namespace) -> dict[str, Any]:
    names = ("channels", "samples", "extractor", "dimension", "weights", "checksum", "seed",
             "device")  # fmt: skip
    return {name: getattr(options, name) for name in names}


def print_provenance(about: dict[str, Any]) -> None:
    print()
    for key in SHARED:
        if key in about:
            print(f"{key:<12} {about[key]}")
