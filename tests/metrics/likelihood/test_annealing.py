"""Annealed importance sampling against the closed form of a linear Gaussian model."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from small_networks import SMALL
from torch import nn

from ltvm.chain.hamiltonian import transition
from ltvm.config import resolve
from ltvm.data import DataSet, ImageSet
from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.metrics.likelihood.annealing import (
    annealed,
    annealed_importance_sampling,
    parts,
    temperatures,
)
from ltvm.metrics.likelihood.log_likelihood import LogLikelihood
from ltvm.models.prior import Prior, StandardNormal
from ltvm.runs.execution.build import build_method, build_problem

CPU = torch.device("cpu")


class Linear:
    """x = W z + b + e with e ~ N(0, sigma^2 I), so x ~ N(b, W W' + sigma^2 I)."""

    def __init__(self, pixels, d, sigma):
        random = np.random.default_rng(0)
        self.weight = random.normal(size=(pixels, d)) * 0.5
        self.bias, self.sigma, self.pixels = random.normal(size=pixels) * 0.3, sigma, pixels
        covariance = self.weight @ self.weight.T + sigma**2 * np.eye(pixels)
        self.marginal = multivariate_normal(self.bias, covariance)

    def draw(self, n, seed):
        return np.atleast_2d(self.marginal.rvs(n, random_state=seed))

    def log_likelihood(self, rows):
        weight, bias = torch.from_numpy(self.weight), torch.from_numpy(self.bias)
        constant = self.pixels / 2 * math.log(2 * math.pi * self.sigma**2)

        def value(codes):
            residual = rows - codes @ weight.T - bias
            return -residual.square().sum(1) / (2 * self.sigma**2) - constant

        return value


class Shifted(Prior):
    """N(m, diag s^2)."""

    samples_exactly = True

    def __init__(self, mean, spread):
        super().__init__(len(mean))
        self.mean, self.spread = nn.Parameter(torch.tensor(mean)), torch.tensor(spread)

    def sample(self, n, draws):
        return (self.mean + self.spread * draws.normal(n, self.latent_dim)).detach()

    def energy(self, codes):
        return ((codes - self.mean) / self.spread).square().sum(1) / 2


def anneal(model, x, chains, steps, leapfrog, seed=0, prior=None):
    rows = torch.from_numpy(np.repeat(x, chains, 0))
    return annealed_importance_sampling(
        model.log_likelihood(rows), torch.arange(len(x)),
        prior or StandardNormal(model.weight.shape[1]), chains=chains,
        betas=temperatures(steps), leapfrog=leapfrog, dtype=torch.float64,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


def test_temperatures_go_from_the_prior_to_the_posterior():
    betas = temperatures(10)
    assert (len(betas), betas[0], betas[-1]) == (11, 0, 1)
    assert (betas.diff() > 0).all()


@pytest.mark.parametrize("leapfrog", [1, 5])
def test_the_estimate_is_the_closed_form_of_a_linear_decoder(leapfrog):
    model = Linear(pixels=16, d=4, sigma=0.3)
    x = model.draw(8, seed=1)
    found = anneal(model, x, chains=64, steps=250, leapfrog=leapfrog)
    exact = model.marginal.logpdf(x)
    np.testing.assert_allclose(found.log_evidence.numpy(), exact, atol=0.35)
    assert (found.log_evidence.numpy() - exact).mean() == pytest.approx(0, abs=0.1)
    assert found.effective_sample_size.min() > 2
    assert found.effective_sample_size.max() <= 64
    assert found.acceptance.mean() == pytest.approx(0.65, abs=0.12)


def test_the_estimate_follows_the_prior():
    """z ~ N(m, diag s^2): x ~ N(W m + b, W diag s^2 W' + sigma^2 I)."""
    model, mean, spread = Linear(pixels=16, d=4, sigma=0.3), [1.0, -2.0, 0.5, 0.0], [0.5, 2, 1, 0.3]
    scaled = model.weight * np.array(spread)
    marginal = multivariate_normal(
        model.weight @ mean + model.bias, scaled @ scaled.T + 0.3**2 * np.eye(16)
    )
    x = marginal.rvs(8, random_state=1)
    found = anneal(model, x, chains=64, steps=250, leapfrog=3, prior=Shifted(mean, spread))
    exact = marginal.logpdf(x)
    np.testing.assert_allclose(found.log_evidence.numpy(), exact, atol=0.35)
    assert (found.log_evidence.numpy() - exact).mean() == pytest.approx(0, abs=0.1)
    standard = anneal(model, x, chains=8, steps=100, leapfrog=3).log_evidence.numpy()
    assert np.abs(standard - exact).max() > 2  # the prior matters here


def test_a_prior_whose_draws_are_approximate_is_refused():
    class Approximate(Shifted):
        samples_exactly = False

    model = Linear(pixels=3, d=2, sigma=0.7)
    with pytest.raises(InputError, match=r"prior=Approximate.*samples exactly"):
        anneal(model, model.draw(1, 0), 1, 5, 1, prior=Approximate([0.0, 0.0], [1.0, 1.0]))


def test_weights_are_unbiased_and_their_logarithm_is_a_lower_bound():
    """E w = p(x) at any number of temperatures, so E log w <= log p(x), tighter with more."""
    model = Linear(pixels=3, d=2, sigma=0.7)
    x = model.draw(1, seed=2)
    exact = model.marginal.logpdf(x)
    repeats = 20_000
    gaps = {}
    for steps in (4, 16):
        found = anneal(model, np.repeat(x, repeats, 0), chains=1, steps=steps, leapfrog=2)
        ratio = (found.log_evidence.numpy() - exact).astype(np.float64)
        weights = np.exp(ratio)
        error = weights.std() / math.sqrt(repeats)
        assert error < 0.02
        assert weights.mean() == pytest.approx(1, abs=4 * error)
        gaps[steps] = -ratio.mean()
    assert gaps[4] > 2 * gaps[16] > 0.01


def test_a_transition_leaves_its_distribution_as_it_is():
    """Draws from p(z) p(x | z)^b stay such draws, at a step size with many rejections."""
    model, beta, n = Linear(pixels=3, d=2, sigma=0.7), 0.6, 40_000
    x = model.draw(1, seed=3)
    precision = np.eye(2) + beta * model.weight.T @ model.weight / model.sigma**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ model.weight.T @ (x[0] - model.bias) * beta / model.sigma**2
    codes = torch.from_numpy(np.random.default_rng(4).multivariate_normal(mean, covariance, n))
    draws = torch.randn(n, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    target = model.log_likelihood(torch.from_numpy(x))
    prior, size = StandardNormal(2), torch.full((n, 1), 1.1, dtype=torch.float64)

    def at(codes):
        return annealed(parts(target, prior, codes), beta)

    point, probability = transition(at, at(codes), size, 2, draws)
    moved = point["codes"]
    assert 0.3 < probability.mean() < 0.95
    assert (moved != codes).any(1).double().mean().item() == pytest.approx(
        probability.mean().item(), abs=0.01
    )
    np.testing.assert_allclose(moved.mean(0).numpy(), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(moved.numpy().T), covariance, atol=0.015)
    torch.testing.assert_close(point, at(moved))


def test_one_chain_has_one_effective_chain():
    model = Linear(pixels=3, d=2, sigma=0.7)
    found = anneal(model, model.draw(3, seed=2), chains=1, steps=5, leapfrog=1)
    np.testing.assert_allclose(found.effective_sample_size.numpy(), 1)


def test_the_metric_gives_the_closed_form_of_a_linear_decoder():
    model = Linear(pixels=16, d=4, sigma=0.3)
    layer = nn.Linear(4, 16)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(model.weight))
        layer.bias.copy_(torch.from_numpy(model.bias))
    method = SimpleNamespace(
        decoder=nn.Sequential(layer, nn.Unflatten(1, (1, 4, 4))),
        problem=SimpleNamespace(sigma=0.3, latent_dim=4, prior=StandardNormal(4)),
        samples_need_codes=False,
    )
    pixels = np.clip((model.draw(6, seed=1) + 1) * 127.5, 0, 255).round().astype(np.uint8)
    images = ImageSet("linear", "test", torch.from_numpy(pixels).view(6, 1, 4, 4))
    metric = LogLikelihood(images=6, chains=16, steps=300, leapfrog=3)
    values = metric(method, DataSet(images, images), Context(0, CPU))
    exact = model.marginal.logpdf(images.scaled().flatten(1).numpy())
    measured = values["ais_log_likelihood"]
    assert measured.value == pytest.approx(exact.mean(), abs=0.15)
    assert measured.provenance["standard_error"] == pytest.approx(
        exact.std(ddof=1) / math.sqrt(6), rel=0.1
    )
    assert 2 / 16 < values["ais_effective_chains"].value <= 1
    assert all(p.requires_grad for p in method.decoder.parameters())


@pytest.mark.parametrize(
    ("chosen", "measured"),
    [
        ("method=vae", True),
        ("method=wae_mmd", True),
        ("prior=latent_flow", True),
        ("method=ae", False),  # samples are of a Gaussian on its codes
        ("method=two_stage_vae", False),
        ("method=lebm", False),  # draws of its prior are approximate
    ],
)
def test_it_is_measured_of_methods_that_sample_a_prior_exactly(chosen, measured, tiny):
    given = ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu", *SMALL]
    config = resolve([chosen, *given])
    method = build_method(config, build_problem(config, tiny))
    metric = LogLikelihood(images=2, chains=1, steps=2, leapfrog=1)
    assert bool(metric(method, tiny, Context(0, CPU))) == measured


def test_no_image_affects_another(tiny):
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu", *SMALL]
    )
    method = build_method(config, build_problem(config, tiny))
    method.fit_iteration()
    metric = LogLikelihood(images=3, chains=2, steps=8, leapfrog=2)
    images = tiny.test.scaled(slice(0, 3))
    other = images.clone()
    other[1:] = -1.0
    first = metric.estimate(method, images, Context(0, CPU)).log_evidence
    second = metric.estimate(method, other, Context(0, CPU)).log_evidence
    assert first[0] == second[0]
    assert (first[1:] != second[1:]).all()
    assert first[0] == metric.estimate(method, images, Context(0, CPU)).log_evidence[0]


def test_every_value_has_its_column():
    columns = LogLikelihood().columns()
    assert columns["ais_log_likelihood"].direction == "higher"
    assert "lower bound in expectation" in columns["ais_log_likelihood"].definition
    assert "(8): near 0.12," in LogLikelihood(chains=8).columns()["ais_effective_chains"].definition
    assert [column.role for column in columns.values()] == ["value", "diagnostic", "diagnostic"]


def test_bad_settings_name_the_key():
    with pytest.raises(InputError, match=r"likelihood.steps=1: allowed: 2 or more"):
        LogLikelihood(steps=1)
