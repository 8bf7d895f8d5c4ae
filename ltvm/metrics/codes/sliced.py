"""Sliced 2-Wasserstein distance (Bonneel, Rabin, Peyre and Pfister, 2015), by POT."""

from __future__ import annotations

from torch import Tensor

PROJECTIONS = 100


def sliced_w2(codes: Tensor, prior: Tensor, directions: Tensor | None = None) -> float:
    """Distance of samples [n, d] and [m, d] along unit ``directions`` [d, p], in float64.

    None: ``PROJECTIONS`` random ones that POT draws, the same in every call.
    """
    from ot.sliced import sliced_wasserstein_distance  # POT takes a second to import

    first, second = (part.double().cpu().numpy() for part in (codes, prior))
    along = None if directions is None else directions.double().cpu().numpy()
    return float(
        sliced_wasserstein_distance(
            first, second, n_projections=PROJECTIONS, projections=along, seed=0
        )
    )
