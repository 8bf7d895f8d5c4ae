"""Codes against the prior: what the correction corrects.

All distances are between posterior draws of training images and fresh prior draws, never the
draws that the correction used.
"""

from __future__ import annotations

import torch

from ltvm.data.image_set import DataSet
from ltvm.errors import require
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Measurement
from ltvm.runtime.randomness import normal
from ltvm.transport import build_solver


class Latents:
    """Second moment, sliced Wasserstein distance and transport cost of codes to the prior.

    - ``latent_energy``: mean |z|^2 / d, 1 under the prior;
    - ``latent_sliced_w2``: sliced 2-Wasserstein distance (POT, 100 seeded projections);
    - ``transport_cost``: mean squared distance of the optimal pairing with n prior draws, as
      close as the ``auto`` solver comes; ``transport_gap`` is its certified relative gap;
      ``transport_cost_floor`` is the same between two independent prior draws.

    ``codes`` is how many codes are compared (drawn once per seed).
    """

    def __init__(self, codes: int = 2000) -> None:
        require(codes >= 2, "evaluation.metrics.latents.codes", codes, "2 or more")
        self.codes = codes
        self.lower_is_better = {"latent_sliced_w2": True, "transport_cost": True}

    @torch.no_grad()
    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        from ot.sliced import sliced_wasserstein_distance  # POT takes a second to import

        draws = method.posterior_draws().float()
        n = min(self.codes, len(draws))
        order = context.stream("latents")
        codes = draws[torch.randperm(len(draws), generator=order)[:n].to(draws.device)]
        prior = normal(tuple(codes.shape), context.stream("latent prior"), codes.device)
        sliced = sliced_wasserstein_distance(
            codes.double().cpu().numpy(), prior.double().cpu().numpy(), n_projections=100, seed=0
        )
        coupling = build_solver("auto")(codes, prior, {}, context.stream("transport"))
        key = ("transport floor", n, codes.shape[1], context.seed, str(context.device))
        floor = context.cached(
            key,
            lambda: (
                build_solver("auto")(
                    normal(tuple(codes.shape), context.stream("floor"), codes.device),
                    prior,
                    {},
                    context.stream("transport"),
                ).cost
            ),
        )
        provenance = {"n": n, "split": "train", "data": data.train.fingerprint}
        values = {
            "latent_energy": codes.square().mean().item(),
            "latent_sliced_w2": float(sliced),
            "transport_cost": coupling.cost,
            "transport_cost_floor": floor,
        }
        if coupling.gap is not None:
            values["transport_gap"] = coupling.gap
        return {name: Measurement(value, provenance) for name, value in values.items()}
