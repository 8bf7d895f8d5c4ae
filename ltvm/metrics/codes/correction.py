"""What a correction did to the codes: their distances to the prior, before it and after.

Every value but the energy (of all codes) is of the same codes (a seeded choice of at most 500),
the same fresh prior draws and the same projections before and after, so that differences are the
correction's own. The prior draws are not the ones that the correction used.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.metrics.codes.marginals import largest_ks
from ltvm.metrics.codes.mmd import mmd_test
from ltvm.metrics.codes.spectrum import covariance_eigenvalues
from ltvm.runtime.randomness import normal
from ltvm.transport.coupling import mean_cost
from ltvm.transport.exact import optimal_assignment

CODES = 500  # at most so many are compared: a quarter of a second per correction
PROJECTIONS = 100
PERMUTATIONS = 199


def correction_effect(
    before: Tensor, after: Tensor, generator: torch.Generator
) -> dict[str, float]:
    """Distances of codes [n, d] to the prior: ``codes_<name>_before`` and ``codes_<name>_after``.

    - ``energy``: mean |z|^2 / d of all codes, 1 under the prior;
    - ``sliced_w2``: sliced 2-Wasserstein distance (POT) to prior draws;
    - ``transport_cost``: mean squared distance of their exact optimal pairing;
    - ``mmd2``, ``mmd_p``: squared MMD and its permutation p-value (``ltvm.metrics.codes.mmd``);
    - ``ks``, ``ks_p``: the largest Kolmogorov-Smirnov statistic of a dimension to N(0, 1);
    - ``eigenvalue_min``, ``eigenvalue_max`` of the covariance.

    All draws come from ``generator``.
    """
    n, d = before.shape
    rows = torch.randperm(n, generator=generator)[:CODES].to(before.device)
    prior = normal((len(rows), d), generator, before.device)
    directions = normal((d, PROJECTIONS), generator).double()
    directions /= directions.norm(dim=0)
    state = generator.get_state()
    values: dict[str, float] = {}
    for when, codes in (("before", before), ("after", after)):
        generator.set_state(state)  # the same permutations
        chosen = codes[rows].float()
        test = mmd_test(chosen, prior, PERMUTATIONS, generator)
        statistic, ks_p = largest_ks(chosen)
        eigenvalues = covariance_eigenvalues(chosen)
        values |= {
            f"codes_energy_{when}": codes.square().mean().item(),
            f"codes_sliced_w2_{when}": sliced_w2(chosen, prior, directions),
            f"codes_transport_cost_{when}": mean_cost(
                chosen, prior[optimal_assignment(chosen, prior)]
            ),
            f"codes_mmd2_{when}": test.mmd2,
            f"codes_mmd_p_{when}": test.p_value,
            f"codes_ks_{when}": statistic,
            f"codes_ks_p_{when}": ks_p,
            f"codes_eigenvalue_min_{when}": eigenvalues[0].item(),
            f"codes_eigenvalue_max_{when}": eigenvalues[-1].item(),
        }
    return values


def sliced_w2(codes: Tensor, prior: Tensor, directions: Tensor) -> float:
    """Sliced 2-Wasserstein distance of samples [n, d] along unit directions [d, p], float64."""
    from ot.sliced import sliced_wasserstein_distance  # POT takes a second to import

    arrays = [part.double().cpu().numpy() for part in (codes, prior, directions)]
    return float(sliced_wasserstein_distance(*arrays[:2], projections=arrays[2]))
