"""Are codes draws from the prior? A kernel test, one per dimension, and the covariance."""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet
from ltvm.errors import require
from ltvm.methods.base import Method
from ltvm.metrics.base import Context, Measurement
from ltvm.metrics.codes.marginals import largest_ks
from ltvm.metrics.codes.mmd import mmd_test
from ltvm.metrics.codes.spectrum import (
    covariance_eigenvalues,
    effective_rank,
    marchenko_pastur_range,
)
from ltvm.runtime.randomness import normal

KEY = "evaluation.metrics.latent_tests"


class LatentTests:
    """Posterior draws of training images against the prior N(0, I).

    - ``latent_mmd2``: unbiased squared MMD to fresh prior draws, Gaussian kernel with the median
      bandwidth; ``latent_mmd_p``: its permutation p-value (see ``ltvm.metrics.codes.mmd``);
    - ``latent_ks``: the largest Kolmogorov-Smirnov statistic of a dimension to N(0, 1);
      ``latent_ks_p``: the smallest p-value times d, at most 1 (Bonferroni; the same as Holm's
      for the smallest);
    - ``latent_eigenvalue_max`` and ``_min`` of the covariance; their floors are the edges of the
      Marchenko-Pastur law for that n and d, near which the extreme ones of prior draws lie;
    - ``latent_effective_rank``, at most d; its floor is that of n prior draws.

    A p-value says whether a difference was seen with this many codes, not how large it is.
    ``codes`` is how many are compared; the kernel test takes the first ``mmd_codes`` of them.
    """

    def __init__(self, codes: int = 2000, mmd_codes: int = 1000, permutations: int = 500) -> None:
        for name, value in (("codes", codes), ("mmd_codes", mmd_codes)):
            require(value >= 3, f"{KEY}.{name}", value, "3 or more")
        require(permutations >= 19, f"{KEY}.permutations", permutations, "19 or more")
        self.codes, self.mmd_codes, self.permutations = codes, mmd_codes, permutations
        self.lower_is_better = {"latent_mmd2": True, "latent_ks": True}

    @torch.no_grad()
    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        draws = method.posterior_draws().float()
        n = min(self.codes, len(draws))
        order = torch.randperm(len(draws), generator=context.stream("latents"))[:n]
        codes = draws[order.to(draws.device)]
        prior = normal(tuple(codes.shape), context.stream("latent tests prior"), codes.device)
        provenance = {"n": n, "split": "train", "data": data.train.fingerprint}
        values = self.kernel_test(codes, prior, context, provenance)
        statistic, p_value = largest_ks(codes)
        ks = {**provenance, "correction": f"Bonferroni over {codes.shape[1]} dimensions"}
        values |= {"latent_ks": Measurement(statistic, ks), "latent_ks_p": Measurement(p_value, ks)}
        return values | spectrum(codes, prior, provenance)

    def kernel_test(
        self, codes: Tensor, prior: Tensor, context: Context, provenance: dict[str, object]
    ) -> dict[str, Measurement]:
        m = min(self.mmd_codes, len(codes))
        test = mmd_test(codes[:m], prior[:m], self.permutations, context.stream("permutations"))
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


def spectrum(codes: Tensor, prior: Tensor, provenance: dict[str, object]) -> dict[str, Measurement]:
    """Extreme eigenvalues and effective rank of the codes' covariance, each with its floor."""
    eigenvalues = covariance_eigenvalues(codes)
    lower, upper = marchenko_pastur_range(*codes.shape)
    edge = {**provenance, "split": "Marchenko-Pastur"}
    drawn = {**provenance, "split": "prior draws"}
    return {
        "latent_eigenvalue_max": Measurement(eigenvalues[-1].item(), provenance),
        "latent_eigenvalue_max_floor": Measurement(upper, edge),
        "latent_eigenvalue_min": Measurement(eigenvalues[0].item(), provenance),
        "latent_eigenvalue_min_floor": Measurement(lower, edge),
        "latent_effective_rank": Measurement(effective_rank(eigenvalues), provenance),
        "latent_effective_rank_floor": Measurement(
            effective_rank(covariance_eigenvalues(prior)), drawn
        ),
    }
