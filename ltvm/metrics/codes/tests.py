"""Are codes draws from the prior? A kernel test, one per dimension, and the covariance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet
from ltvm.errors import require
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Measurement, Metric
from ltvm.metrics.codes.compared import posterior_codes, prior_codes, stated_of, uninferred
from ltvm.metrics.codes.marginals import largest_ks
from ltvm.metrics.codes.mmd import mmd_test
from ltvm.metrics.codes.spectrum import (
    covariance_eigenvalues,
    effective_rank,
    marchenko_pastur_range,
)
from ltvm.metrics.columns import Column
from ltvm.models.prior import Prior

KEY = "evaluation.metrics.latent_tests"


class LatentTests(Metric):
    """Posterior draws of training images against the prior.

    - ``latent_mmd2``: unbiased squared MMD to fresh prior draws, Gaussian kernel with the median
      bandwidth; ``latent_mmd_p``: its permutation p-value (see ``ltvm.metrics.codes.mmd``);
    - ``latent_ks``: the largest Kolmogorov-Smirnov statistic of a dimension to N(0, 1);
      ``latent_ks_p``: the smallest p-value times d, at most 1 (Bonferroni; the same as Holm's
      for the smallest). For a prior other than N(0, I): ``latent_ks_draws``, ``latent_ks_draws_p``,
      the two-sample test to prior draws;
    - ``latent_eigenvalue_max`` and ``_min`` of the covariance; their floors are the edges of the
      Marchenko-Pastur law for that n and d, near which the extreme ones of draws from N(0, I) lie;
      for another prior those of n prior draws;
    - ``latent_effective_rank``, at most d; its floor is that of n prior draws.

    A p-value says whether a difference was seen with this many codes, not how large it is.
    ``codes`` is how many are compared; the kernel test takes the first ``mmd_codes`` of them.
    """

    of_samples = False

    def __init__(self, codes: int = 2000, mmd_codes: int = 1000, permutations: int = 500) -> None:
        for name, value in (("codes", codes), ("mmd_codes", mmd_codes)):
            require(value >= 3, f"{KEY}.{name}", value, "3 or more")
        require(permutations >= 19, f"{KEY}.permutations", permutations, "19 or more")
        self.codes, self.mmd_codes, self.permutations = codes, mmd_codes, permutations

    def columns(self) -> dict[str, Column]:
        return COLUMNS

    @torch.no_grad()
    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        prior = method.problem.prior
        codes = posterior_codes(method, self.codes, context.stream("latents"))
        drawn = prior_codes(prior, codes, context.stream("latent tests prior"))
        provenance = stated_of(method, codes, data.train)
        values = self.kernel_test(codes, drawn, context, provenance)
        ks = largest_ks(codes, prior, drawn)
        what = {**provenance, "correction": f"Bonferroni over {codes.shape[1]} dimensions"}
        values |= {
            f"latent_{ks.name}": Measurement(ks.statistic, what),
            f"latent_{ks.name}_p": Measurement(ks.p_value, what),
        }
        return values | spectrum(codes, prior, drawn, provenance)

    def kernel_test(
        self, codes: Tensor, drawn: Tensor, context: Context, provenance: dict[str, object]
    ) -> dict[str, Measurement]:
        m = min(self.mmd_codes, len(codes))
        test = mmd_test(codes[:m], drawn[:m], self.permutations, context.stream("permutations"))
        what = {
            **provenance,
            "n": m,
            "kernel": "exp(-|a - b|^2 / (2 h^2)), h the median distance of the pooled sample",
            "bandwidth": test.bandwidth,
            "permutations": self.permutations,
        }
        return {
            "latent_mmd2": Measurement(test.mmd2, what),
            "latent_mmd_p": Measurement(test.p_value, what),
        }


def spectrum(
    codes: Tensor, prior: Prior, drawn: Tensor, provenance: dict[str, object]
) -> dict[str, Measurement]:
    """Extreme eigenvalues and effective rank of the codes' covariance, each with its floor."""
    eigenvalues, of_drawn = covariance_eigenvalues(codes), covariance_eigenvalues(drawn)
    from_draws = uninferred(provenance, "prior draws")
    edge = from_draws
    lower, upper = of_drawn[0].item(), of_drawn[-1].item()
    if prior.is_standard_normal:
        edge = uninferred(provenance, "Marchenko-Pastur")
        lower, upper = marchenko_pastur_range(*codes.shape)
    return {
        "latent_eigenvalue_max": Measurement(eigenvalues[-1].item(), provenance),
        "latent_eigenvalue_max_floor": Measurement(upper, edge),
        "latent_eigenvalue_min": Measurement(eigenvalues[0].item(), provenance),
        "latent_eigenvalue_min_floor": Measurement(lower, edge),
        "latent_effective_rank": Measurement(effective_rank(eigenvalues), provenance),
        "latent_effective_rank_floor": Measurement(effective_rank(of_drawn), from_draws),
    }


def column(title: str, definition: str, **what: Any) -> Column:
    """A column of the family of codes."""
    return Column(title, definition, family="codes", **what)


OF = "posterior draws of training images"
EDGE = (
    "edge of the Marchenko-Pastur law for that n and d (a prior other than N(0, I): of its draws)"
)
COLUMNS = {
    "latent_mmd2": column(
        "MMD² to prior",
        f"Unbiased squared MMD of {OF} to prior draws, Gaussian kernel of median bandwidth.",
        direction="lower",
    ),
    "latent_mmd_p": column(
        "p of MMD (permutation)",
        f"Exact permutation p-value of the squared MMD of {OF} to prior draws.",
        role="diagnostic",
    ),
    "latent_ks": column(
        "largest KS of a dimension to N(0, 1)",
        f"Largest one-sample Kolmogorov-Smirnov statistic of a dimension of {OF} to N(0, 1).",
        direction="lower",
    ),
    "latent_ks_p": column(
        "p of KS (Bonferroni)",
        f"Bonferroni-corrected p-value of the largest Kolmogorov-Smirnov statistic of {OF}.",
        role="diagnostic",
    ),
    "latent_ks_draws": column(
        "largest KS of a dimension to prior draws",
        f"Largest two-sample Kolmogorov-Smirnov statistic of a dimension of {OF} to prior draws.",
        direction="lower",
    ),
    "latent_ks_draws_p": column(
        "p of KS to prior draws (Bonferroni)",
        f"Bonferroni-corrected p-value of the largest two-sample statistic of {OF}.",
        role="diagnostic",
    ),
    "latent_eigenvalue_max": column(
        "largest eigenvalue of the codes' covariance",
        f"Largest eigenvalue of the unbiased covariance of {OF}.",
    ),
    "latent_eigenvalue_max_floor": column(
        "largest eigenvalue under the prior", f"Upper {EDGE}.",
        role="floor", of="latent_eigenvalue_max",
    ),
    "latent_eigenvalue_min": column(
        "smallest eigenvalue of the codes' covariance",
        f"Smallest eigenvalue of the unbiased covariance of {OF}.",
    ),
    "latent_eigenvalue_min_floor": column(
        "smallest eigenvalue under the prior", f"Lower {EDGE}.",
        role="floor", of="latent_eigenvalue_min",
    ),
    "latent_effective_rank": column(
        "effective rank of the codes' covariance",
        f"Exponential of the entropy of the covariance's normalised eigenvalues, of {OF}.",
    ),
    "latent_effective_rank_floor": column(
        "effective rank of prior draws", "Effective rank of the covariance of as many prior draws.",
        role="floor", of="latent_effective_rank",
    ),
}  # fmt: skip
