"""Codes against the prior: scipy, scikit-learn, closed forms, calibration under the null."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import rbf_kernel
from small_networks import SMALL

from ltvm.config import resolve
from ltvm.metrics.base import Context
from ltvm.metrics.codes.marginals import largest_ks
from ltvm.metrics.codes.mmd import mmd_test
from ltvm.metrics.codes.spectrum import (
    covariance_eigenvalues,
    effective_rank,
    marchenko_pastur_range,
)
from ltvm.metrics.codes.tests import LatentTests
from ltvm.models.prior import StandardNormal
from ltvm.runs.execution.build import build_method, build_problem

CPU = torch.device("cpu")


def draws(n, d, seed, shift=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)) + shift)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def reference_mmd2(x, y, bandwidth):
    gamma = 1 / (2 * bandwidth**2)
    kxx, kyy, kxy = rbf_kernel(x, x, gamma), rbf_kernel(y, y, gamma), rbf_kernel(x, y, gamma)
    n, m = len(x), len(y)
    within = (kxx.sum() - n) / (n * (n - 1)) + (kyy.sum() - m) / (m * (m - 1))
    return within - 2 * kxy.mean()


def test_mmd_equals_the_unbiased_estimate_on_scikit_learns_kernel():
    x, y = draws(30, 4, 0), draws(22, 4, 1, shift=0.5)
    found = mmd_test(x, y, 19, generator())
    pooled = np.concatenate([x, y])
    distances = np.sqrt(((pooled[:, None] - pooled[None]) ** 2).sum(-1))
    median = np.sort(distances[np.triu_indices(52, 1)])[(52 * 51 // 2 - 1) // 2]
    assert found.bandwidth == pytest.approx(median, rel=1e-9)
    assert found.mmd2 == pytest.approx(reference_mmd2(x.numpy(), y.numpy(), median), rel=1e-9)


def test_mmd_p_equals_scipys_exact_permutation_test():
    x, y = draws(5, 2, 2).numpy(), draws(4, 2, 3, shift=1.8).numpy()
    found = mmd_test(torch.from_numpy(x), torch.from_numpy(y), 4000, generator())
    exact = stats.permutation_test(
        (np.arange(5), np.arange(5, 9)),  # all 126 splits
        lambda a, b: reference_mmd2(
            np.concatenate([x, y])[a], np.concatenate([x, y])[b], found.bandwidth
        ),
        alternative="greater",
        n_resamples=np.inf,
    )
    assert 0.02 < exact.pvalue < 0.6
    assert found.p_value == pytest.approx(exact.pvalue, abs=0.03)


def test_mmd_p_is_uniform_under_the_null_and_small_otherwise():
    values = [
        mmd_test(draws(20, 2, seed), draws(15, 2, 10_000 + seed), 19, generator(seed)).p_value
        for seed in range(600)
    ]
    counts = np.bincount(np.rint(np.array(values) * 20).astype(int), minlength=21)[1:]
    assert counts.sum() == 600
    assert stats.chisquare(counts).pvalue > 0.01
    assert (
        mmd_test(draws(50, 2, 0), draws(50, 2, 1, shift=1.0), 199, generator()).p_value == 1 / 200
    )


def test_ks_equals_its_definition_and_is_corrected_for_the_dimensions():
    codes = draws(40, 3, 4)
    codes[:, 1] *= 1.6
    statistics = []
    for column in np.sort(codes.numpy().T):
        cdf = stats.norm.cdf(column)
        above, below = np.arange(1, 41) / 40 - cdf, cdf - np.arange(40) / 40
        statistics.append(max(above.max(), below.max()))
    found = largest_ks(codes, StandardNormal(3), codes)
    assert found.statistic == pytest.approx(max(statistics), rel=1e-12)
    assert found.p_value == pytest.approx(min(1, 3 * stats.kstwo.sf(max(statistics), 40)), rel=1e-6)


def ks_p(codes):
    return largest_ks(codes, StandardNormal(codes.shape[1]), codes).p_value


def test_ks_p_is_calibrated_under_the_null():
    values = np.array([ks_p(draws(50, 4, seed)) for seed in range(400)])
    for level in (0.05, 0.2):
        expected = 1 - (1 - level / 4) ** 4  # independent dimensions
        low, high = stats.binom.interval(0.999, 400, expected)
        assert low <= (values <= level).sum() <= high


def test_eigenvalues_equal_scikit_learns():
    codes = draws(50, 6, 5) @ draws(6, 6, 6) + 3
    ours = covariance_eigenvalues(codes).numpy()
    np.testing.assert_allclose(ours[::-1], PCA().fit(codes.numpy()).explained_variance_, rtol=1e-9)


def test_effective_rank_is_the_exponential_of_the_entropy():
    values = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    assert effective_rank(values) == pytest.approx(math.exp(stats.entropy(values.numpy())))
    assert effective_rank(torch.ones(7)) == pytest.approx(7)
    assert effective_rank(torch.tensor([0.0, 0.0, 5.0])) == pytest.approx(1)


def test_marchenko_pastur_range_is_the_support_of_its_density():
    n, d = 400, 100
    low, high = marchenko_pastur_range(n, d)

    def density(x):
        return math.sqrt((high - x) * (x - low)) / (2 * math.pi * (d / n) * x)

    assert integrate.quad(density, low, high)[0] == pytest.approx(1, abs=1e-6)
    assert integrate.quad(lambda x: x * density(x), low, high)[0] == pytest.approx(1, abs=1e-6)
    eigenvalues = covariance_eigenvalues(draws(n, d, 7))
    assert eigenvalues[0].item() == pytest.approx(low, abs=0.05)
    assert eigenvalues[-1].item() == pytest.approx(high, abs=0.15)
    assert marchenko_pastur_range(10, 20)[0] == 0


@pytest.fixture
def method(tiny):
    return build(tiny)


def build(tiny, *overrides):
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu",
         "precision=float32", *SMALL, *overrides]
    )  # fmt: skip
    return build_method(config, build_problem(config, tiny))


def test_the_metric_tells_the_prior_from_what_is_not(method, tiny):
    method.posterior_draws = lambda: torch.randn(400, 6, generator=generator(3))
    metric = LatentTests(codes=400, mmd_codes=200, permutations=99)
    near = metric(method, tiny, Context(0, CPU))
    assert near["latent_mmd_p"].value > 0.05
    assert near["latent_ks_p"].value > 0.05
    assert near["latent_effective_rank"].value > 5.9
    assert near["latent_mmd_p"].provenance["n"] == 200
    assert near["latent_ks"].provenance["n"] == 400
    scale = torch.tensor([1, 1, 1, 1, 1, 0.1])
    method.posterior_draws = lambda: torch.randn(400, 6, generator=generator(3)) * scale + 0.3
    far = metric(method, tiny, Context(0, CPU))
    assert far["latent_mmd_p"].value == 0.01
    assert far["latent_ks_p"].value < 1e-6
    assert far["latent_eigenvalue_min"].value == pytest.approx(0.01, rel=0.2)
    assert far["latent_eigenvalue_min_floor"].value == near["latent_eigenvalue_min_floor"].value
    assert far["latent_effective_rank"].value < far["latent_effective_rank_floor"].value - 0.5
