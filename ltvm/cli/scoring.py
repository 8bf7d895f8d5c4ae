"""The commands that score images: ``ltvm evaluate`` and ``ltvm metric-parity``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ltvm.errors import require

EXAMPLES = {
    "evaluate": """\
examples:
  ltvm evaluate samples/ mnist5k
  ltvm evaluate samples/ faces/ --extractor inception_folded --weights inception.npz
  ltvm evaluate results/runs/mnist5k/vae/IDENTITY/seed=0 --json scores.json""",
    "metric-parity": """\
examples:
  ltvm metric-parity samples/ mnist5k
  ltvm metric-parity samples/ faces/ --extractor inception_folded --weights inception.npz
  ltvm metric-parity results/runs/svhn/vae/IDENTITY/seed=0 --samples 1000""",
}
SHARED = (  # what is printed of the provenance; the JSON has all of it
    "scored", "images", "status", "iteration", "reference", "split", "data", "extractor",
    "dimension", "checksum", "resize", "seed",
)  # fmt: skip
REFERENCE = "a data set by name or a folder of images (default: the run's data, or mnist5k)"


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add both commands; ``add(name, text, *parents)`` makes a sub-command's parser."""
    shared = shared_options()
    evaluate = add(
        "evaluate", "Score a folder of images, or a run's samples, with every metric on features.",
        shared,
    )  # fmt: skip
    parity = add("metric-parity", "One Frechet distance by each convention in the wild.", shared)
    for command in (evaluate, parity):
        command.add_argument("images", metavar="FOLDER", help="of images, or of a run")
        command.add_argument("against", metavar="DATA|FOLDER", nargs="?", help=REFERENCE)
    evaluate.epilog, parity.epilog = EXAMPLES["evaluate"], EXAMPLES["metric-parity"]


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
    add("--json", metavar="FILE", help="write values and provenance there")
    return options


def request_options(options: argparse.Namespace) -> dict[str, Any]:
    names = ("channels", "samples", "extractor", "dimension", "weights", "checksum", "seed",
             "device")  # fmt: skip
    return {name: getattr(options, name) for name in names}


def run_evaluate(options: argparse.Namespace) -> int:
    from ltvm.api import evaluate

    refuse_unwritable(options.json)
    values = evaluate(options.images, options.against, **request_options(options))
    print(f"{'':<30} {'value':>12} {'n':>8} {'n_real':>8}")
    for name, content in values.items():
        value = f"{content['value']:.6g}"
        print(f"{name:<30} {value:>12} {content['n']:>8} {content['n_real']:>8}")
    print_provenance(next(iter(values.values())))
    by_text: dict[str, list[str]] = {}
    for name, content in values.items():
        by_text.setdefault(content.get("warning", ""), []).append(name)
    for text, names in by_text.items():
        if text:
            print(f"warning: {', '.join(names)}: {text}", file=sys.stderr)
    write(options.json, values)
    return 0


def run_metric_parity(options: argparse.Namespace) -> int:
    from ltvm.api import metric_parity

    refuse_unwritable(options.json)
    frame = metric_parity(options.images, options.against, **request_options(options))
    print(frame.to_markdown(index=False, floatfmt=".6g"))
    about = frame.attrs["provenance"]
    print_provenance(about)
    if "warning" in about:
        print(f"warning: {about['warning']}", file=sys.stderr)
    write(options.json, {"provenance": about, "rows": frame.to_dict("records")})
    return 0


def print_provenance(about: dict[str, Any]) -> None:
    print()
    for key in SHARED:
        if key in about:
            print(f"{key:<12} {about[key]}")


def refuse_unwritable(file: str | None) -> None:
    """Raise :class:`ltvm.errors.InputError` before any work for what could not be written."""
    if file is not None:
        path = Path(file)
        require(file != "" and not path.is_dir(), "--json", file, "a file")
        require(path.parent.is_dir(), "--json", file, "a file in a directory that exists")
        require(os.access(path.parent, os.W_OK), "--json", file, "a directory to write to")


def write(file: str | None, content: dict[str, Any]) -> None:
    from ltvm.runtime.files import write_json

    if file is not None:
        write_json(Path(file), content)
