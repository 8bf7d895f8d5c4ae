"""Codes against the prior: scipy, scikit-learn, closed forms, calibration under the null."""

import math

import numpy as np
import ot
import pytest
import torch
from scipy import integrate, stats
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import rbf_kernel

from ltvm.config import resolve
from ltvm.methods import short_run_ot
from ltvm.metrics.base import Context
from ltvm.metrics.codes.correction import correction_effect, sliced_w2
from ltvm.metrics.codes.marginals import largest_ks
from ltvm.metrics.codes.mmd import mmd_test
from ltvm.metrics.codes.spectrum import (
    covariance_eigenvalues,
    effective_rank,
    marchenko_pastur_range,
)
from ltvm.metrics.codes.tests import LatentTests
from ltvm.runs.build import build_method, build_problem

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
    statistic, p_value = largest_ks(codes)
    assert statistic == pytest.approx(max(statistics), rel=1e-12)
    assert p_value == pytest.approx(min(1, 3 * stats.kstwo.sf(max(statistics), 40)), rel=1e-6)


def test_ks_p_is_calibrated_under_the_null():
    values = np.array([largest_ks(draws(50, 4, seed))[1] for seed in range(400)])
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
         "precision=float32", *overrides]
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


def test_sliced_w2_of_a_shift_is_that_of_its_projections():
    codes, shift = draws(200, 5, 8), draws(1, 5, 9)
    directions = draws(5, 30, 10)
    directions /= directions.norm(dim=0)
    expected = (shift @ directions).square().mean().sqrt().item()
    assert sliced_w2(codes + shift, codes, directions) == pytest.approx(expected, rel=1e-9)


def test_a_correction_is_seen_in_its_effect():
    before = torch.randn(3000, 4, generator=generator()) * 2 + 1
    after = torch.randn(3000, 4, generator=generator(1))
    effect = correction_effect(before, after, generator(2))
    assert effect["codes_energy_before"] == pytest.approx(before.square().mean().item())
    assert effect["codes_energy_after"] == pytest.approx(1, abs=0.05)
    # Between N(1, 4 I) and N(0, I), the mean over directions of (mean shift)^2 + (2 - 1)^2.
    assert effect["codes_sliced_w2_before"] == pytest.approx(math.sqrt(1 + 1), rel=0.1)
    assert effect["codes_sliced_w2_after"] < 0.2
    # Optimal transport between those Gaussians: d (1 + (2 - 1)^2), and what sampling adds.
    assert 8 < effect["codes_transport_cost_before"] < 10
    assert effect["codes_transport_cost_after"] < 1
    grid = np.linspace(-6, 8, 10_001)
    largest = np.abs(stats.norm.cdf(grid, 1, 2) - stats.norm.cdf(grid)).max()
    assert effect["codes_ks_before"] == pytest.approx(largest, rel=0.15)
    assert effect["codes_ks_p_before"] < 1e-6 < 0.01 < effect["codes_ks_p_after"]
    assert effect["codes_mmd_p_before"] == 1 / 200 < effect["codes_mmd_p_after"]
    assert effect["codes_mmd2_before"] > 10 * abs(effect["codes_mmd2_after"])
    for which in ("min", "max"):
        assert effect[f"codes_eigenvalue_{which}_before"] == pytest.approx(4, rel=0.25)
        assert effect[f"codes_eigenvalue_{which}_after"] == pytest.approx(1, rel=0.25)


def test_the_transport_cost_is_that_of_pot():
    before, after = (torch.randn(40, 3, generator=generator(seed)) * 2 for seed in (0, 1))
    draws = generator(2)
    order, prior = torch.randperm(40, generator=draws), torch.randn(40, 3, generator=draws)
    effect = correction_effect(before, after, generator(2))
    for when, codes in (("before", before), ("after", after)):
        costs = ot.dist(codes[order].double().numpy(), prior.double().numpy())
        assert effect[f"codes_transport_cost_{when}"] == pytest.approx(ot.emd2([], [], costs))


def test_equal_codes_have_equal_values_before_and_after():
    codes = torch.randn(60, 3, generator=generator())
    effect = correction_effect(codes, codes.clone(), generator(1))
    names = {name.rsplit("_", 1)[0] for name in effect}
    assert len(names) == 9
    for name in names:
        assert effect[f"{name}_before"] == effect[f"{name}_after"], name


def test_the_history_has_the_codes_before_and_after_and_training_is_as_without(tiny, monkeypatch):
    measured, plain = build(tiny), build(tiny)
    first = measured.fit_iteration()
    measured.fit_iteration()
    monkeypatch.setattr(short_run_ot, "correction_effect", lambda *_: {})
    plain.fit_iteration()
    plain.fit_iteration()
    assert torch.equal(measured.codes, plain.codes)
    for a, b in zip(measured.decoder.parameters(), plain.decoder.parameters(), strict=True):
        assert torch.equal(a, b)
    assert first["codes_energy_before"] != first["codes_energy_after"]


def test_full_replacement_and_no_correction_bound_the_effect(tiny):
    replaced, kept = build(tiny, "method.alpha=1.0"), build(tiny, "method.alpha=0.0")
    after = replaced.fit_iteration()["codes_energy_after"]
    assert after == pytest.approx(replaced.targets.square().mean().item(), rel=1e-6)
    scalars = kept.fit_iteration()
    for name in ("codes_energy", "codes_sliced_w2"):
        assert scalars[f"{name}_before"] == scalars[f"{name}_after"]
