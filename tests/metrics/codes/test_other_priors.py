"""A prior other than N(0, I): codes drawn from it are close to it, and no number says N(0, I)."""

from types import SimpleNamespace

import pytest
import torch
from scipy import stats

from ltvm.metrics.base import Context
from ltvm.metrics.codes.correction import CorrectionEffect, correction_effect
from ltvm.metrics.codes.distances import Latents
from ltvm.metrics.codes.marginals import largest_ks
from ltvm.metrics.codes.tests import LatentTests
from ltvm.models.prior import Prior, StandardNormal

D, N, SHIFT, SCALE = 4, 600, 3.0, 2.0
CPU = torch.device("cpu")


class Shifted(Prior):
    """N(3, 4 I)."""

    def sample(self, n, draws):
        return SHIFT + SCALE * draws.normal(n, self.latent_dim)

    def energy(self, codes):
        return ((codes - SHIFT) / SCALE).square().sum(1) / 2


def method(prior, codes):
    return SimpleNamespace(
        problem=SimpleNamespace(prior=prior), posterior_draws=lambda: codes,
        inference_precision="float32",
    )  # fmt: skip


def codes(shift, scale, seed=0):
    return shift + scale * torch.randn(N, D, generator=torch.Generator().manual_seed(seed))


def values(metric, prior, drawn, tiny, context=None):
    found = metric(method(prior, drawn), tiny, context or Context(0, CPU))
    assert set(found) <= set(metric.columns())
    return {name: measurement.value for name, measurement in found.items()}


def test_draws_of_the_prior_are_close_to_it(tiny):
    prior = Shifted(D)
    distances = values(Latents(N), prior, codes(SHIFT, SCALE), tiny)
    assert "latent_energy" not in distances
    assert distances["latent_second_moment_floor"] == pytest.approx(SHIFT**2 + SCALE**2, rel=0.1)
    assert distances["latent_second_moment"] == pytest.approx(SHIFT**2 + SCALE**2, rel=0.1)
    floor = distances["transport_cost_floor"]
    assert distances["transport_cost"] == pytest.approx(floor, rel=0.2)
    away = values(Latents(N), prior, codes(0, 1), tiny)
    # Between Gaussians: |m1 - m2|^2 + sum (s1 - s2)^2
    assert away["transport_cost"] == pytest.approx(D * (SHIFT**2 + 1), rel=0.1)
    assert away["transport_cost_floor"] == floor


def test_tests_against_the_prior_are_calibrated_for_it(tiny):
    near = values(LatentTests(N, 300, 99), Shifted(D), codes(SHIFT, SCALE), tiny)
    assert not {"latent_ks", "latent_ks_p"} & set(near)
    assert min(near["latent_ks_draws_p"], near["latent_mmd_p"]) > 0.01
    assert near["latent_eigenvalue_max_floor"] == pytest.approx(SCALE**2, rel=0.3)
    far = values(LatentTests(N, 300, 99), Shifted(D), codes(0, 1), tiny)
    assert far["latent_ks_draws_p"] < 1e-6
    assert far["latent_mmd_p"] == 0.01


def test_floors_of_two_priors_are_kept_apart(tiny):
    context = Context(0, CPU)
    metric = Latents(N)
    usual = values(metric, StandardNormal(D), codes(0, 1), tiny, context)
    other = values(metric, Shifted(D), codes(0, 1), tiny, context)
    assert other["transport_cost_floor"] == pytest.approx(
        SCALE**2 * usual["transport_cost_floor"], rel=0.05
    )


def test_the_two_sample_statistic_is_scipys():
    first, second = codes(0, 1), codes(0.2, 1, seed=1)
    found = largest_ks(first, Shifted(D), second)
    each = [stats.ks_2samp(a, b) for a, b in zip(first.T.numpy(), second.T.numpy(), strict=True)]
    assert found.name == "ks_draws"
    assert found.statistic == max(one.statistic for one in each)
    assert found.p_value == pytest.approx(min(1, D * min(one.pvalue for one in each)))


def test_a_correction_towards_another_prior(tiny):
    draws = torch.Generator().manual_seed(0)
    effect = correction_effect(codes(0, 1), codes(SHIFT, SCALE, 1), Shifted(D), draws)
    assert effect["codes_transport_cost_before"] > 5 * effect["codes_transport_cost_after"]
    assert effect["codes_ks_draws_p_before"] < 1e-6 < effect["codes_ks_draws_p_after"]
    assert "codes_ks_before" not in effect
    assert set(effect) <= set(CorrectionEffect().curve_columns())
