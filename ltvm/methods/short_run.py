"""Plain short-run inference, SRI (Nijkamp et al., ECCV 2020): the chain, and no correction.

Every visit runs K Langevin steps from a fresh prior draw, then updates the decoder. All its
allowance goes into visits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ltvm.methods.chain_method import ChainMethod
from ltvm.methods.problem import Problem


class ShortRun(ChainMethod):
    """SRI; a code is what the chain reaches from the prior in ``steps`` steps, nothing more."""

    def __init__(
        self,
        problem: Problem,
        *,
        steps: int,
        kernel: Mapping[str, Any],
        updates_per_batch: int,
        infer_steps: int,
        infer_noise_free: int,
        batchnorm: Literal["batch", "running"] = "batch",
    ) -> None:
        super().__init__(
            problem,
            steps=steps,
            kernel=kernel,
            start="prior",
            batchnorm=batchnorm,
            updates_per_batch=updates_per_batch,
            infer_steps=infer_steps,
            infer_noise_free=infer_noise_free,
        )
