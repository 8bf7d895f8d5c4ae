"""What a correction did to the codes: their distances to the prior, before it and after.

Every value but the energy (of all codes) is of the same codes (a seeded choice of at most 500),
the same fresh prior draws and the same projections before and after, so that differences are the
correction's own. The prior draws are not the ones that the correction used.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Measurement, Metric
from ltvm.metrics.codes.compared import chosen_rows, prior_codes
from ltvm.metrics.codes.marginals import largest_ks
from ltvm.metrics.codes.mmd import mmd_test
from ltvm.metrics.codes.sliced import PROJECTIONS, sliced_w2
from ltvm.metrics.codes.spectrum import covariance_eigenvalues
from ltvm.metrics.columns import Column
from ltvm.models.prior import Prior
from ltvm.runtime.randomness import normal
from ltvm.transport.coupling import mean_cost
from ltvm.transport.exact import optimal_assignment

# What the method itself says of its correction, in the same history.
CORRECTION = {
    "correction_gap": Column(
        "certified gap of the correction",
        "(cost - lower bound) / lower bound of the correction's own pairing of all codes, as far "
        "as its solver certifies one: 0 is exact.",
        "codes",
        headline=True,
    ),
}

CODES = 500  # at most so many are compared: a quarter of a second per correction
PERMUTATIONS = 199

OF = f"at most {CODES} codes of training images"
EFFECTS = {  # ``codes_<name>_before``, ``codes_<name>_after``
    "energy": Column(
        "mean abs(z)²/d", "Mean squared norm per dimension of all codes of training images", "codes"
    ),
    "sliced_w2": Column(
        "sliced W2 to the prior", f"Sliced 2-Wasserstein distance of {OF} to prior draws", "codes",
        direction="lower", headline=True,
    ),
    "transport_cost": Column(
        "transport cost to the prior",
        f"Mean squared distance of the exact optimal pairing of {OF} with prior draws", "codes",
        direction="lower", headline=True,
    ),
    "mmd2": Column(
        "MMD² to the prior", f"Unbiased squared MMD of {OF} to prior draws", "codes",
        direction="lower", headline=True,
    ),
    "mmd_p": Column(
        "p of MMD (permutation)", f"Permutation p-value of the squared MMD of {OF}", "codes",
        role="diagnostic",
    ),
    "ks": Column(
        "largest KS of a dimension to N(0, 1)",
        f"Largest Kolmogorov-Smirnov statistic of a dimension of {OF} to N(0, 1)", "codes",
        direction="lower",
    ),
    "ks_p": Column(
        "p of KS (Bonferroni)", f"Bonferroni-corrected p-value of the largest KS of {OF}", "codes",
        role="diagnostic",
    ),
    "ks_draws": Column(
        "largest KS of a dimension to prior draws",
        f"Largest two-sample Kolmogorov-Smirnov statistic of a dimension of {OF} to prior draws",
        "codes", direction="lower",
    ),
    "ks_draws_p": Column(
        "p of KS to prior draws (Bonferroni)",
        f"Bonferroni-corrected p-value of the largest two-sample KS of {OF}", "codes",
        role="diagnostic",
    ),
    "eigenvalue_min": Column(
        "smallest eigenvalue of the covariance", f"Smallest eigenvalue of the covariance of {OF}",
        "codes",
    ),
    "eigenvalue_max": Column(
        "largest eigenvalue of the covariance", f"Largest eigenvalue of the covariance of {OF}",
        "codes", headline=True,
    ),
}  # fmt: skip


class CorrectionEffect(Metric):
    """Learning curves of the codes before and after each correction, of methods that correct.

    It compares ``method.posterior_draws()``, the codes as inferred, with ``method.codes``, which
    the correction left; at the end of training it gives nothing. The certified gap of the
    correction itself is the method's own scalar, and declared here.
    """

    of_samples = False

    def columns(self) -> dict[str, Column]:
        return {}

    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:  # noqa: ARG002
        return {}

    def curve(self, method: Method, data: DataSet, context: Context) -> dict[str, float]:  # noqa: ARG002
        if not method.corrects:
            return {}
        draws = method.problem.stream("correction effect", method.iteration - 1)
        return correction_effect(
            method.posterior_draws(), method.codes, method.problem.prior, draws
        )

    def curve_columns(self) -> dict[str, Column]:
        return CORRECTION | {
            f"codes_{name}_{when}": replace(
                column,
                title=f"{column.title}, {when}",
                definition=f"{column.definition}, {when} the correction of an iteration.",
            )
            for name, column in EFFECTS.items()
            for when in ("before", "after")
        }


@torch.no_grad()
def correction_effect(
    before: Tensor, after: Tensor, prior: Prior, generator: torch.Generator
) -> dict[str, float]:
    """Distances of codes [n, d] to the prior: ``codes_<name>_before`` and ``codes_<name>_after``.

    - ``energy``: mean |z|^2 / d of all codes, 1 under the prior N(0, I);
    - ``sliced_w2``: sliced 2-Wasserstein distance (POT) to prior draws;
    - ``transport_cost``: mean squared distance of their exact optimal pairing;
    - ``mmd2``, ``mmd_p``: squared MMD and its permutation p-value (``ltvm.metrics.codes.mmd``);
    - ``ks``, ``ks_p``: the largest Kolmogorov-Smirnov statistic of a dimension to N(0, 1); for
      another prior ``ks_draws``, ``ks_draws_p``, to prior draws;
    - ``eigenvalue_min``, ``eigenvalue_max`` of the covariance.

    All draws come from ``generator``.
    """
    n, d = before.shape
    rows = chosen_rows(n, CODES, generator, before.device)
    drawn = prior_codes(prior, before[rows], generator)
    directions = normal((d, PROJECTIONS), generator).double()
    directions /= directions.norm(dim=0)
    state = generator.get_state()
    values: dict[str, float] = {}
    for when, codes in (("before", before), ("after", after)):
        generator.set_state(state)  # the same permutations
        chosen = codes[rows].float()
        test = mmd_test(chosen, drawn, PERMUTATIONS, generator)
        ks = largest_ks(chosen, prior, drawn)
        eigenvalues = covariance_eigenvalues(chosen)
        values |= {
            f"codes_energy_{when}": codes.square().mean().item(),
            f"codes_sliced_w2_{when}": sliced_w2(chosen, drawn, directions),
            f"codes_transport_cost_{when}": mean_cost(
                chosen, drawn[optimal_assignment(chosen, drawn)]
            ),
            f"codes_mmd2_{when}": test.mmd2,
            f"codes_mmd_p_{when}": test.p_value,
            f"codes_{ks.name}_{when}": ks.statistic,
            f"codes_{ks.name}_p_{when}": ks.p_value,
            f"codes_eigenvalue_min_{when}": eigenvalues[0].item(),
            f"codes_eigenvalue_max_{when}": eigenvalues[-1].item(),
        }
    return values
