"""Binary-space-partition matching, merged over random partitions (POT, ``ot.bsp``)."""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.transport.coupling import Coupling, check_counts, check_points, permutation_coupling


class Bsp:
    """``bsp``: POT's merged BSP matchings; log-linear in n, no guarantee on the quality.

    POT 0.9.7 seeds its generator once per process, so here a generator does not repeat a call.
    """

    def __init__(self, plans: int = 64) -> None:
        check_counts(plans=plans)
        self.plans = plans

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        from ot.bsp import compute_bspot_bijection  # POT takes a second to import

        check_points(codes, targets)
        draw = torch.randint(2**31 - 1, (1,), generator=generator, device=generator.device)
        initial = warm_start.get("assignment")
        _, permutation, _ = compute_bspot_bijection(
            codes.double().cpu().numpy(),
            targets.double().cpu().numpy(),
            n_plans=self.plans,
            initial_perm=None if initial is None else initial.cpu().numpy().astype("int32"),
            seed=int(draw),
        )
        assignment = torch.as_tensor(permutation, dtype=torch.int64).to(codes.device)
        return permutation_coupling(codes, targets, assignment)
