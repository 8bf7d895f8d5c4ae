"""``ltvm metric-parity``: one Frechet distance by each convention in the wild."""

from __future__ import annotations

import argparse
import sys

from ltvm.cli.machine import machine, told
from ltvm.cli.options import Add
from ltvm.cli.scoring import (
    REFERENCE,
    print_provenance,
    request_options,
    shared_options,
)

EXAMPLES = """\
examples:
  ltvm metric-parity samples/ mnist5k
  ltvm metric-parity samples/ faces/ --extractor inception_folded --weights inception.npz
  ltvm metric-parity results/runs/svhn/vae/IDENTITY/seed=0 --samples 1000"""


def add(add_command: Add) -> None:
    text = "Compute one Frechet distance by every common convention."
    command = add_command("metric-parity", text, shared_options(), machine())
    command.add_argument("images", metavar="FOLDER", help="of images, or of a run")
    command.add_argument("against", metavar="DATA|FOLDER", nargs="?", help=REFERENCE)


def run(options: argparse.Namespace) -> int:
    from ltvm.api import metric_parity

    frame = metric_parity(options.images, options.against, **request_options(options))
    about = frame.attrs["provenance"]
    told(options, {"provenance": about, "rows": frame.to_dict("records")})
    print(frame.to_markdown(index=False, floatfmt=".6g"))
    print_provenance(about)
    if "warning" in about:
        print(f"warning: {about['warning']}", file=sys.stderr)
    return 0
