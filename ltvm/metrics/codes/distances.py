"""Codes against the prior: what the correction corrects.

All distances are between posterior draws of training images and fresh prior draws, never the
draws that the correction used.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet
from ltvm.errors import require
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Measurement, Metric
from ltvm.metrics.codes.compared import posterior_codes, prior_codes, stated_of, uninferred
from ltvm.metrics.codes.sliced import sliced_w2
from ltvm.metrics.columns import Column
from ltvm.models.prior import Prior
from ltvm.transport import build_solver

OF = "posterior draws of training images"


class Latents(Metric):
    """Second moment, sliced Wasserstein distance and transport cost of codes to the prior.

    - ``latent_energy``: mean |z|^2 / d, 1 under the prior N(0, I). Another prior has its own value,
      so there it is called ``latent_second_moment``, with that of prior draws as its floor;
    - ``latent_sliced_w2``: sliced 2-Wasserstein distance (POT, 100 seeded projections);
    - ``transport_cost``: mean squared distance of the optimal pairing with n prior draws, as
      close as the ``auto`` solver comes (exactly, up to 1,000 codes); ``transport_cost_floor`` is
      the same between two independent prior draws.

    ``codes`` is how many codes are compared (drawn once per seed).
    """

    of_samples = False

    def __init__(self, codes: int = 2000) -> None:
        require(codes >= 2, "evaluation.metrics.latents.codes", codes, "2 or more")
        self.codes = codes

    def columns(self) -> dict[str, Column]:
        return {
            "latent_energy": Column(
                title="mean abs(z)²/d (prior: 1)",
                definition=f"Mean squared norm per dimension of {OF}, 1 under the prior N(0, I).",
                family="codes",
            ),
            "latent_second_moment": Column(
                title="mean abs(z)²/d",
                definition=f"Mean squared norm per dimension of {OF}, under a prior of one's own.",
                family="codes",
            ),
            "latent_second_moment_floor": Column(
                title="mean abs(z)²/d of prior draws",
                definition="Mean squared norm per dimension of as many draws of the prior.",
                family="codes",
                role="floor",
                of="latent_second_moment",
            ),
            "latent_sliced_w2": Column(
                title="sliced W2 to prior",
                definition=(
                    f"Sliced 2-Wasserstein distance (100 projections) of {OF} to as many draws of "
                    "the prior."
                ),
                family="codes",
                direction="lower",
            ),
            "transport_cost": Column(
                title="transport cost to prior",
                definition=(
                    f"Mean squared distance of {OF} to as many draws of the prior under the best "
                    "pairing that the solver finds."
                ),
                family="codes",
                direction="lower",
            ),
            "transport_cost_floor": Column(
                title="transport cost between prior draws",
                definition="The transport cost between two independent sets of prior draws.",
                family="codes",
                role="floor",
                of="transport_cost",
            ),
        }

    @torch.no_grad()
    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        prior = method.problem.prior
        codes = posterior_codes(method, self.codes, context.stream("latents"))
        drawn = prior_codes(prior, codes, context.stream("latent prior"))
        coupling = build_solver("auto")(codes, drawn, {}, context.stream("transport"))
        provenance = stated_of(method, codes, data.train)
        of_draws = uninferred(provenance, "prior draws")
        moment, moments = "latent_energy", {}
        if not prior.is_standard_normal:
            moment = "latent_second_moment"
            moments[f"{moment}_floor"] = Measurement(drawn.square().mean().item(), of_draws)
        values = {
            moment: codes.square().mean().item(),
            "latent_sliced_w2": sliced_w2(codes, drawn),
            "transport_cost": coupling.cost,
        }
        floor = Measurement(transport_floor(prior, drawn, context), of_draws)
        measured = {name: Measurement(value, provenance) for name, value in values.items()}
        return measured | {"transport_cost_floor": floor} | moments


def transport_floor(prior: Prior, drawn: Tensor, context: Context) -> float:
    """The transport cost of prior draws [n, d] to others.

    Cached for N(0, I) alone: another prior may have parameters that its method learns.
    """

    def cost() -> float:
        others = prior_codes(prior, drawn, context.stream("floor"))
        return build_solver("auto")(others, drawn, {}, context.stream("transport")).cost

    if not prior.is_standard_normal:
        return cost()
    name = f"{type(prior).__module__}.{type(prior).__qualname__}"
    key = ("transport floor", name, *drawn.shape, context.seed, str(context.device))
    floor: float = context.cached(key, cost)
    return floor
