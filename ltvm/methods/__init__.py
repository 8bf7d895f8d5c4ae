"""The methods under comparison: one file each, one contract (``ltvm.methods.base``)."""

from ltvm.methods.abp import AlternatingBackPropagation
from ltvm.methods.base import Method
from ltvm.methods.short_run import ShortRun
from ltvm.methods.short_run_ot import ShortRunOT
from ltvm.methods.vae import VariationalAutoEncoder

__all__ = [
    "AlternatingBackPropagation",
    "Method",
    "ShortRun",
    "ShortRunOT",
    "VariationalAutoEncoder",
]
