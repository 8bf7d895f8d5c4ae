"""``ltvm compare``: methods side by side on shared seeds, and what these seeds cannot tell."""

from __future__ import annotations

import argparse

from ltvm.cli import ablate
from ltvm.cli.options import Add

CHOOSES = ("data", "method", "protocol", "evaluation", "sampler", "decoder", "prior")
EXAMPLES = """\
examples:
  ltvm compare 'methods=[my_method,vae,short_run_ot]' data=mnist5k --config-dir mine
  ltvm compare 'methods=[my_method,vae]' protocol=medium 'seeds=[0,1,2,3,4]' margin=0.1
  ltvm compare 'methods=[my_method,vae]' stored=false   # train the runs that ship with ltvm, too
  ltvm compare 'methods=[vae,short_run_ot]' 'external=[my_gan]' # a row from another framework
  ltvm compare 'methods=[abp,short_run]' reference=abp --list      # preview, run nothing"""


def add(add_command: Add) -> None:
    text = (
        "Train several methods on equal terms and compare them. Only missing runs are trained; "
        "all methods share seeds. Prints the table, the differences to the first method (or "
        "reference=NAME), and what this many seeds can tell. Takes 'methods=[A,B]', "
        "'seeds=[0,1,2]', margin=0.05, 'external=[FOLDER]' (images from elsewhere, with a card), "
        "stored=false (train what ships with ltvm, too), and overrides as of `ltvm ablate`."
    )
    ablate.add_options(add_command("compare", text, *ablate.parents()))


def run(options: argparse.Namespace) -> int:
    from ltvm.api.comparing import comparison

    options.overrides = comparison(options.overrides)
    return ablate.run(options, ("headline", "differences-headline", "power"))
