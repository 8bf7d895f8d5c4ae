"""Alternating back-propagation, ABP (Han, Lu, Zhu and Wu, AAAI 2017).

Persistent chains with Langevin noise and one decoder step per visit; no correction. All its
allowance goes into visits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ltvm.methods.chain_method import ChainMethod
from ltvm.methods.problem import Problem


class AlternatingBackPropagation(ChainMethod):
    """ABP: infer by a few steps from where the code stands, learn by one step, repeat."""

    def __init__(
        self,
        problem: Problem,
        *,
        steps: int,
        kernel: Mapping[str, Any],
        infer_steps: int,
        infer_noise_free: int,
        batchnorm: Literal["batch", "running"] = "batch",
    ) -> None:
        super().__init__(
            problem,
            steps=steps,
            kernel=kernel,
            start="persistent",
            batchnorm=batchnorm,
            updates_per_batch=1,
            infer_steps=infer_steps,
            infer_noise_free=infer_noise_free,
        )
