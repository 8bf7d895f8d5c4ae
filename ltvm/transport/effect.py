"""What a correction did to the codes: cheap scalars for the history, from draws of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.randomness import normal

CODES = 2000  # at most so many are compared
PROJECTIONS = 100


def correction_effect(
    before: Tensor, after: Tensor, generator: torch.Generator
) -> dict[str, float]:
    """Second moment and sliced W2 to fresh prior draws of codes [n, d], before and after.

    Mean |z|^2 / d, 1 under the prior, of all codes; the sliced 2-Wasserstein distance (POT) of at
    most 2,000 of them to as many prior draws, on the same projections and draws before and
    after. All draws come from ``generator``.
    """
    n, d = before.shape
    rows = torch.randperm(n, generator=generator)[:CODES].to(before.device)
    prior = normal((len(rows), d), generator)
    directions = normal((d, PROJECTIONS), generator).double()
    directions /= directions.norm(dim=0)
    values = {}
    for when, codes in (("before", before), ("after", after)):
        values[f"codes_energy_{when}"] = codes.square().mean().item()
        values[f"codes_sliced_w2_{when}"] = sliced_w2(codes[rows], prior, directions)
    return values


def sliced_w2(codes: Tensor, prior: Tensor, directions: Tensor) -> float:
    """Sliced 2-Wasserstein distance of samples [n, d] along unit directions [d, p], float64."""
    from ot.sliced import sliced_wasserstein_distance  # POT takes a second to import

    arrays = [part.double().cpu().numpy() for part in (codes, prior, directions)]
    return float(sliced_wasserstein_distance(*arrays[:2], projections=arrays[2]))
