"""Benchmark and ablations of deep latent-variable models trained by short-run MCMC inference
with optimal-transport correction (An, Xie and Li, CVPR 2021)."""

from ltvm.api import (
    ablate,
    build,
    compare,
    evaluate,
    evaluate_runs,
    load,
    long_table,
    make_effects,
    make_leaderboard,
    make_pictures,
    make_report,
    metric_parity,
    paper_tables,
    plan,
    train,
    tune,
    write_images,
)
from ltvm.errors import DivergedError, InputError

__version__ = "0.1.0"

__all__ = [
    "DivergedError",
    "InputError",
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
