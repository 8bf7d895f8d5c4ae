"""``ltvm evaluate``: more metrics on trained runs, or scores of images from anywhere."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ltvm.cli.each import each
from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add, runs_and_overrides, trusting
from ltvm.cli.scoring import (
    REFERENCE,
    print_provenance,
    request_options,
    shared_options,
)
from ltvm.cli.train import print_values
from ltvm.errors import require

CHOOSES = ("evaluation", "extractor", "sampler")
EXAMPLES = """\
examples:
  ltvm evaluate results/runs/mnist5k/vae/*/seed=* evaluation=digits_thorough
  ltvm evaluate results/runs/mnist5k/vae/*/seed=* sampler=gmm # a mixture on the codes, no training
  ltvm evaluate samples/ mnist5k
  ltvm evaluate samples/ faces/ --extractor inception_folded --weights inception.npz
  ltvm evaluate samples/ mnist5k --metrics mine --config-dir mine # metrics of your own
  ltvm evaluate results/runs/mnist5k/vae/IDENTITY/seed=0 --json > scores.json"""


def add(add_command: Add) -> None:
    text = (
        "Evaluate trained runs, or a folder of images. RUN... KEY=VALUE...: measure more on runs, "
        "without training; the values are kept beside their records. FOLDER [DATA|FOLDER]: score "
        "images, or a run's samples, with every metric on features."
    )
    command = add_command("evaluate", text, shared_options(), machine(), trusting())
    command.add_argument("overrides", metavar="RUN|FOLDER|KEY=VALUE", nargs="+", help=REFERENCE)
    command.add_argument(
        "--metrics",
        metavar="EVALUATION",
        help="of images: those on features of evaluation=..., also of your own (default: ltvm's)",
    )


def run(options: argparse.Namespace) -> int:
    places, overrides = runs_and_overrides(options.overrides)
    if overrides:
        return evaluate_runs(places, overrides, options)
    allowed = "FOLDER [DATA|FOLDER]; runs with what to measure, as evaluation=digits_thorough"
    require(1 <= len(places) <= 2, "evaluate", " ".join(places), allowed)
    return score(places, options)


def evaluate_runs(places: list[str], overrides: list[str], options: argparse.Namespace) -> int:
    """What the overrides choose, on every run; values are kept beside the records."""
    from ltvm.api import evaluate_runs as evaluate

    every = {**request_options(options), "metrics": options.metrics}
    given = {k: v for k, v in every.items() if k != "device" and v is not None}
    words = ", ".join(f"--{name}" for name in given)
    require(not given, "evaluate", words, "overrides of the evaluation, for runs")
    device = None if options.device == "auto" else options.device

    def do(place: str) -> dict[str, Any]:
        record = evaluate([place], overrides, device)[place]
        print(place)
        print_values(record)
        return record

    records = each(places, do, lambda records: told(options, records))
    return 1 if any(record["status"] == "failed" for record in records.values()) else 0


def score(places: list[str], options: argparse.Namespace) -> int:
    from ltvm.api import evaluate

    values = evaluate(*places, metrics=options.metrics, **request_options(options))
    told(options, values)
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
    return 0
