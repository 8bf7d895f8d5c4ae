"""The commands that score images: ``ltvm evaluate`` and ``ltvm metric-parity``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLES = {
    "evaluate": """\
examples:
  ltvm evaluate samples/ --against mnist5k
  ltvm evaluate samples/ --against faces/ --dimension 768 --weights inception.npz
  ltvm evaluate results/runs/mnist5k/vae/IDENTITY/seed=0 --json scores.json""",
    "metric-parity": """\
examples:
  ltvm metric-parity samples/ mnist5k
  ltvm metric-parity samples/ faces/ --dimension 768 --weights inception.npz
  ltvm metric-parity results/runs/svhn/vae/IDENTITY/seed=0 --samples 1000""",
}
SHARED = ("n", "n_real", "reference", "extractor", "dimension", "checksum", "resize", "seed")
REFERENCE = "a data set by name or a folder of images (default: the run's data, or mnist5k)"


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add both commands; ``add(name, text, *parents)`` makes a sub-command's parser."""
    shared = shared_options()
    evaluate = add(
        "evaluate", "Score a folder of images, or a run's samples, with every metric on features.",
        shared,
    )  # fmt: skip
    evaluate.add_argument("images", metavar="FOLDER", help="of images, or of a run")
    evaluate.add_argument("--against", metavar="DATA|FOLDER", help=REFERENCE)
    evaluate.add_argument("--json", metavar="FILE", help="write values and provenance there")
    parity = add("metric-parity", "One Frechet distance by each convention in the wild.", shared)
    parity.add_argument("images", metavar="FOLDER", help="of images, or of a run")
    parity.add_argument("against", metavar="DATA|FOLDER", nargs="?", help=REFERENCE)
    evaluate.epilog, parity.epilog = EXAMPLES["evaluate"], EXAMPLES["metric-parity"]


def shared_options() -> argparse.ArgumentParser:
    """The options of ``ltvm.scoring.Request``."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--channels", type=int, help="make images of folders grey (1) or colour")
    options.add_argument("--samples", type=int, help="of a run (default: as its protocol says)")
    options.add_argument("--extractor", help="digits or inception (default: what fits the images)")
    options.add_argument("--dimension", type=int, default=2048, help="of Inception (%(default)s)")
    options.add_argument("--weights", metavar="FILE", help="of Inception (default: downloaded)")
    options.add_argument("--checksum", metavar="SHA256", help="of other weights than the known")
    options.add_argument("--seed", type=int, help="of all draws (default: the run's, or 0)")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    return options


def request_options(options: argparse.Namespace) -> dict[str, Any]:
    names = ("channels", "samples", "extractor", "dimension", "weights", "checksum", "seed",
             "device")  # fmt: skip
    return {name: getattr(options, name) for name in names}


def run_evaluate(options: argparse.Namespace) -> int:
    from ltvm.api import evaluate
    from ltvm.files import write_json

    values = evaluate(options.images, options.against, **request_options(options))
    for name, content in values.items():
        print(f"{name:<30} {content['value']:.6g}")
    first = next(iter(values.values()))
    for key in SHARED:
        print(f"{key:<30} {first[key]}")
    for warning in sorted({v["warning"] for v in values.values() if "warning" in v}):
        print(f"warning: {warning}", file=sys.stderr)
    if options.json:
        write_json(Path(options.json), values)
    return 0


def run_metric_parity(options: argparse.Namespace) -> int:
    from ltvm.api import metric_parity

    frame = metric_parity(options.images, options.against, **request_options(options))
    print(frame.to_markdown(index=False, floatfmt=".6g"))
    return 0
