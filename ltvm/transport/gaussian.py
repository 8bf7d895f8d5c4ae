"""The optimal map between the Gaussians fitted to codes and targets (POT, closed form).

It corrects mean and covariance and nothing else (to N(0, I) it whitens: z -> S^(-1/2) (z - m)): a
control that tells how much of the correction's effect is in the first two moments. It is a map, not
an assignment.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.transport.coupling import Coupling, check_points, mean_cost


class Gaussian:
    """``gaussian``: T(z) = A z + b between fitted Gaussians; ``assignment`` is None."""

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        from ot.gaussian import empirical_bures_wasserstein_mapping

        check_points(codes, targets)
        matrix, offset = empirical_bures_wasserstein_mapping(codes.double(), targets.double())
        mapped = (codes.double() @ matrix + offset).to(codes.dtype)
        return Coupling(mapped, mean_cost(codes, mapped))
