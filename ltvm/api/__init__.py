"""The Python interface: what the command line does, as functions.

Examples:
    >>> import ltvm                                                        # doctest: +SKIP
    >>> record = ltvm.train(["data=mnist5k", "method=vae", "protocol=smoke"])  # doctest: +SKIP
    >>> record["metrics"]["mse_test"]["value"]                             # doctest: +SKIP
    >>> folder = ltvm.ablate(["ablation=ot", "protocol=smoke"]).folder     # doctest: +SKIP
    >>> folder = ltvm.compare(["short_run_ot", "vae"], ["seeds=[0,1]"]).folder # doctest: +SKIP
    >>> rows = ltvm.long_table("results")                                  # doctest: +SKIP
    >>> own = rows[(rows.metric == "fd_digits") & rows.sampler.isna()]     # doctest: +SKIP
    >>> own.groupby(["data", "protocol", "method", "cell"]).value.mean()   # doctest: +SKIP
"""

from ltvm.api.doing import ablate, compare, plan, train, tune
from ltvm.api.pages import (
    long_table,
    make_effects,
    make_leaderboard,
    make_report,
    paper_tables,
)
from ltvm.api.trained import (
    build,
    evaluate,
    evaluate_runs,
    load,
    make_pictures,
    metric_parity,
    write_images,
)

__all__ = [
    "ablate",
    "build",
    "compare",
    "evaluate",
    "evaluate_runs",
    "load",
    "long_table",
    "make_effects",
    "make_leaderboard",
    "make_pictures",
    "make_report",
    "metric_parity",
    "paper_tables",
    "plan",
    "train",
    "tune",
    "write_images",
]
