"""Priors that learn, against closed forms: where they begin, what they draw, what they learn."""

import math

import pytest
import torch
from networks_by_name import decoder_of
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ltvm.chain.kernels.contract import HostReads
from ltvm.config import choices, resolve
from ltvm.errors import InputError
from ltvm.models.flops import model_flops
from ltvm.models.networks import build_prior
from ltvm.runtime.randomness import GeneratorDraws, stream
from ltvm.testing import check

D = 4


def build(name, *overrides, d=D, seed=0):
    config = resolve([f"prior={name}", *overrides])
    return build_prior(config["prior"], d, seed)


def draws(seed=0):
    return GeneratorDraws(stream(seed, "test"))


def normal(n, seed=0, d=D):
    return draws(seed).normal(n, d)


def correlated(n, seed=0):
    """Draws of a Gaussian in R^D with its mean and covariance."""
    mean = torch.tensor([1.0, -0.5, 0.0, 0.3])
    root = torch.eye(D) * 0.7 + 0.3 * torch.ones(D, D).tril()
    return mean + normal(n, seed) @ root.T, mean, root @ root.T


def learn(prior, codes, steps, rate=3e-3, batch=500):
    """As ``Method.update_prior`` does, on random batches of codes; the rate falls to 0."""
    optimizer = torch.optim.Adam(prior.parameters(), lr=rate, betas=(0.5, 0.99))
    pick = stream(0, "batches")
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        rows = torch.randint(len(codes), (batch,), generator=pick)
        prior.loss(codes[rows], draws(step)).backward()
        optimizer.step()


@pytest.mark.parametrize("name", choices("prior"))
def test_contract(name):
    assert len(check([f"prior={name}", "model.latent_dim=5"])) >= 8


@pytest.mark.parametrize("name", choices("prior"))
def test_an_energy_can_be_in_a_graph(name):
    prior, codes = build(name), normal(8).requires_grad_(True)
    with HostReads() as reads:
        torch.autograd.grad(prior.energy(codes).sum(), codes)
    assert reads.count == 0


def test_weights_depend_on_the_seed():
    first, same, other = (build("lebm", seed=s) for s in (1, 1, 2))
    assert torch.equal(first.f[0].weight, same.f[0].weight)
    assert not torch.equal(first.f[0].weight, other.f[0].weight)


@pytest.mark.parametrize(
    ("name", "override"),
    [("lebm", "prior.size=0.0"), ("lebm", "prior.steps=-1"), ("latent_flow", "prior.transforms=0"),
     ("latent_diffusion", "prior.levels=1"), ("latent_diffusion", "prior.smallest=100.0"),
     ("latent_diffusion", "prior.updates=0")],
)  # fmt: skip
def test_bad_values_name_the_key(name, override):
    with pytest.raises(InputError, match=override):
        build(name, override)


def test_a_flow_needs_two_dimensions():
    with pytest.raises(InputError, match="latent_dim=1: allowed: 2 or more"):
        build("latent_flow", d=1)


# Energy-based: exp(f(z)) N(0, I)


def linear_lebm(steps, size):
    """f(z) = <a, z>, whose law is N(a, I)."""
    prior = build("lebm", f"prior.steps={steps}", f"prior.size={size}")
    prior.f = nn.Linear(D, 1)
    with torch.no_grad():
        prior.f.weight.copy_(torch.tensor([[1.0, -2.0, 0.5, 0.0]]))
    return prior, prior.f.weight.detach()[0]


def test_an_ebm_s_chain_has_the_law_of_langevin_steps_on_its_energy():
    """z <- (1 - h) z + h a + s e, h = s^2 / 2, from N(0, I): mean and variance in closed form."""
    prior, a = linear_lebm(steps=7, size=0.8)
    h = 0.8**2 / 2
    found = prior.sample(20_000, draws())
    kept = (1 - h) ** 7
    mean = a * (1 - kept)
    variance = kept**2 + 0.8**2 * (1 - kept**2) / (1 - (1 - h) ** 2)
    torch.testing.assert_close(found.mean(0), mean, atol=0.04, rtol=0)
    torch.testing.assert_close(found.T.cov(), variance * torch.eye(D), atol=0.06, rtol=0)
    assert torch.equal(build("lebm", "prior.steps=0").sample(9, draws()), normal(9))


def test_an_ebm_learns_by_the_difference_of_expectations():
    """Of f(z) = <a, z> the gradient of the loss is E_p z - mean z_i (equation 8, negative)."""
    prior, _ = linear_lebm(steps=5, size=0.4)
    codes = normal(50, seed=3) + 2
    prior.loss(codes, draws(1)).backward()
    own = prior.sample(50, draws(1))
    torch.testing.assert_close(prior.f.weight.grad[0], own.mean(0) - codes.mean(0))


def test_an_ebm_s_gradient_is_that_of_autograd_on_f():
    prior, codes = build("lebm"), normal(6).requires_grad_(True)
    (gradient,) = torch.autograd.grad(prior.energy(codes).sum(), codes)
    slope = torch.func.vmap(torch.func.jacrev(lambda z: prior.f(z)[0]))(codes.detach())
    torch.testing.assert_close(gradient, codes.detach() - slope)


def test_an_ebm_moves_its_draws_to_the_codes():
    prior = build("lebm", "prior.width=16", "prior.steps=20")
    codes = normal(2_000, seed=5) * 0.5 + 1
    learn(prior, codes, steps=100, batch=100, rate=1e-2)
    found = prior.sample(2_000, draws(7))
    assert (found.mean(0) - 1).abs().max() < 0.3
    assert (found.std(0) - 0.5).abs().max() < 0.3


def test_an_ebm_s_cost_is_that_of_its_layers():
    d, width, steps = 30, 200, 60
    flops = model_flops(decoder_of("mnist", d, 1), build("lebm", d=d), d)
    first, all_layers = d * width, d * width + width * width + width
    assert flops.prior_gradient == 4 * all_layers  # forward, and back to the code
    assert flops.prior_sample == steps * flops.prior_gradient
    learned = 2 * (6 * all_layers - 2 * first)  # codes and draws; not back to them
    assert flops.prior_update == flops.prior_sample + learned


@pytest.mark.parametrize(("name", "ratio"), [("lebm", 0.2), ("latent_flow", 1.0)])
def test_the_rate_follows_the_protocol_s(name, ratio):
    for protocol, rate in (("small", 3e-3), ("full", 2e-4)):
        assert build(name, f"protocol={protocol}").own_rate == pytest.approx(ratio * rate)


# Flow


def perturbed_flow(d=D):
    prior = build("latent_flow", "prior.transforms=3", "prior.width=16", d=d)
    draw = stream(0, "weights")
    with torch.no_grad():
        for weights in prior.parameters():
            weights += 0.2 * torch.randn(weights.shape, generator=draw)
    return prior


def test_a_flow_begins_as_the_standard_normal():
    prior, codes = build("latent_flow"), normal(50)
    torch.testing.assert_close(prior.energy(codes), codes.square().sum(1) / 2)
    torch.testing.assert_close(prior.sample(50, draws()), codes, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("d", [4, 5])
def test_a_flow_s_density_is_zuko_s(d):
    prior, codes = perturbed_flow(d), normal(50, d=d)
    expected = -prior.flow().log_prob(codes) - d / 2 * math.log(2 * math.pi)
    torch.testing.assert_close(prior.energy(codes), expected, rtol=1e-4, atol=1e-4)
    assert (expected - codes.square().sum(1) / 2).abs().max() > 0.5  # it is no identity
    noise = normal(50, seed=2, d=d)
    there = prior.sample(50, draws(2))
    torch.testing.assert_close(prior.flow().transform(there), noise, rtol=1e-3, atol=1e-4)


def test_a_flow_s_density_sums_to_one_and_has_the_moments_of_its_draws():
    """On a grid of the plane."""
    prior = perturbed_flow(2)
    axis = torch.arange(-8, 8, 0.05) + 0.025
    grid = torch.cartesian_prod(axis, axis)
    mass = (-prior.energy(grid)).exp().detach() / (2 * math.pi) * 0.05**2
    assert mass.sum().item() == pytest.approx(1, abs=2e-3)
    mean = (mass[:, None] * grid).sum(0)
    covariance = (mass[:, None] * (grid - mean)).T @ (grid - mean)
    found = prior.sample(20_000, draws(1))
    torch.testing.assert_close(found.mean(0), mean, atol=0.04, rtol=0)
    torch.testing.assert_close(found.T.cov(), covariance, atol=0.06, rtol=0)
    assert (covariance - torch.eye(2)).abs().max() > 0.2  # it is not where it began


def test_a_flow_leaves_alone_what_lies_far_out():
    prior, far = perturbed_flow(), 20 * normal(50).sign()
    torch.testing.assert_close(prior.energy(far), far.square().sum(1) / 2)


def test_a_flow_learns_a_gaussian():
    codes, mean, covariance = correlated(4_000)
    prior = build("latent_flow", "prior.width=16", "prior.transforms=2")
    learn(prior, codes, steps=150, rate=1e-2, batch=200)
    law = torch.distributions.MultivariateNormal(mean, covariance)
    fresh, _, _ = correlated(4_000, seed=9)
    lost = prior.energy(fresh).mean() + D / 2 * math.log(2 * math.pi) + law.log_prob(fresh).mean()
    assert 0 <= lost.item() < 0.06  # nats: its divergence from the law
    found = prior.sample(20_000, draws(1))
    torch.testing.assert_close(found.mean(0), mean, atol=0.08, rtol=0)
    torch.testing.assert_close(found.T.cov(), covariance, atol=0.12, rtol=0)


def test_a_flow_s_draw_and_update_are_counted():
    d = 30
    prior = build("latent_flow", d=d)
    flops = model_flops(decoder_of("mnist", d, 1), prior, d)
    layers = [15 * 64, 64 * 64, 64 * 15 * (3 * 8 - 1)]
    assert flops.prior_sample == 4 * 2 * sum(layers)
    with FlopCounterMode(display=False) as counter:
        prior.loss(normal(2, d=d), draws()).backward()
    assert flops.prior_update == counter.get_total_flops() // 2 > 0


# Diffusion


def test_a_diffusion_begins_as_the_standard_normal():
    prior = build("latent_diffusion")
    codes, level = normal(30), torch.linspace(0.01, 5, 30)[:, None]
    torch.testing.assert_close(prior.denoise(codes, level), codes / (1 + level.square()))
    torch.testing.assert_close(prior.sample(30, draws()), codes, rtol=9e-3, atol=0)
    fine = ["prior.levels=200", "prior.largest=200.0"]
    finer = build("latent_diffusion", *fine).sample(30, draws())
    torch.testing.assert_close(finer, codes, rtol=1e-3, atol=0)
    assert torch.equal(prior.energy(codes), codes.square().sum(1) / 2)


def test_sampling_with_the_denoiser_of_a_gaussian_gives_that_gaussian():
    """D(x; s) = m + C (C + s^2 I)^-1 (x - m) for codes of N(m, C)."""
    _, mean, covariance = correlated(1)
    prior = build("latent_diffusion")

    def denoise(codes, level):
        gain = covariance @ torch.linalg.inv(covariance + level[0] ** 2 * torch.eye(D))
        return mean + (codes - mean) @ gain.T

    prior.denoise = denoise
    found = prior.sample(20_000, draws())
    torch.testing.assert_close(found.mean(0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(found.T.cov(), covariance, atol=0.03, rtol=0)


def test_the_loss_is_least_at_the_best_denoiser():
    """For codes of N(0, I) it is E (s^2 + 1)/s^2 s^2/(s^2 + 1) = 1, which F = 0 attains."""
    prior, codes = build("latent_diffusion"), normal(20_000)
    best = prior.loss(codes, draws(1)).item()
    assert best == pytest.approx(1, abs=0.02)
    with torch.no_grad():
        prior.network[-1].bias.fill_(0.1)
    assert prior.loss(codes, draws(1)).item() == pytest.approx(best + 0.01, abs=0.005)


def test_a_diffusion_learns_a_gaussian():
    codes, mean, covariance = correlated(4_000)
    prior = build("latent_diffusion", "prior.width=64")
    learn(prior, codes, steps=400, rate=1e-2, batch=300)
    found = prior.sample(10_000, draws(1))
    torch.testing.assert_close(found.mean(0), mean, atol=0.1, rtol=0)
    torch.testing.assert_close(found.T.cov(), covariance, atol=0.15, rtol=0)


def test_a_diffusion_s_draw_costs_what_its_levels_evaluate():
    d = 30
    flops = model_flops(decoder_of("mnist", d, 1), build("latent_diffusion", d=d), d)
    layers = [(d + 16) * 256, 256 * 256, 256 * d]
    assert flops.prior_sample == (2 * 40 - 1) * 2 * sum(layers)
    assert flops.prior_update == 6 * sum(layers) - 2 * layers[0]
    assert flops.prior_gradient == 0
