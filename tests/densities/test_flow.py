"""The flow: a normalised density, its draws, a Gaussian as its limit, what it adds to one."""

import math
import sys

import pytest
import torch

from ltvm.densities.flow import RealNVP
from ltvm.errors import InputError
from ltvm.runtime.randomness import stream

SMALL = {"transforms": 4, "width": 32, "batch": 100, "rate": 3e-3, "decay": 0.01}
NOISE = 0.5


def bent(n, seed):
    """A banana: z_1 from N(0, 1), z_2 from N(z_1^2, NOISE^2)."""
    draws = torch.randn(n, 2, generator=stream(seed, "bent"))
    return torch.stack([draws[:, 0], draws[:, 0].square() + NOISE * draws[:, 1]], 1)


def known_log_density(codes):
    first, second = codes.double().T
    exponent = first.square() + ((second - first.square()) / NOISE).square()
    return -exponent / 2 - math.log(2 * math.pi * NOISE)


@pytest.fixture(scope="module")
def fitted():
    flow = RealNVP(**SMALL, steps=300)
    flow.fit(bent(1_500, 0), stream(0, "fit"))
    return flow


def test_it_finds_a_density_that_no_gaussian_is_near_to(fitted):
    """Divergences from the truth, in nats."""
    fresh = bent(4_000, 1)
    truth = known_log_density(fresh)
    lost = (truth - fitted.log_density(fresh)).mean().item()
    lost_by_gaussian = (truth - fitted.gaussian.log_density(fresh)).mean().item()
    assert 0 < lost < 0.15 < 0.5 < lost_by_gaussian
    gain = fitted.found["held_out_nats_above_gaussian"]
    assert gain == pytest.approx(lost_by_gaussian - lost, abs=0.25)


def test_its_density_integrates_to_one_and_its_draws_are_of_it(fitted):
    """The mean log density of draws is minus the entropy, which the grid gives."""
    first, second = torch.arange(-6, 6, 0.05).double(), torch.arange(-6, 30, 0.05).double()
    log_density = fitted.log_density(torch.cartesian_prod(first, second))
    mass = log_density.exp() * 0.05**2
    assert mass.sum() == pytest.approx(1, abs=0.01)
    drawn = fitted.sample(20_000, stream(1, "draws"))
    assert drawn.dtype == torch.float32
    entropy = -(mass * log_density).sum().item()
    assert -fitted.log_density(drawn).mean() == pytest.approx(entropy, abs=0.05)


def test_of_gaussian_codes_it_is_that_gaussian():
    mixing = torch.tensor([[2.0, 0.0], [1.0, 0.5]])
    codes = torch.randn(3_000, 2, generator=stream(0, "codes")) @ mixing.T
    flow = RealNVP(**SMALL, steps=150)
    flow.fit(codes, stream(0, "fit"))
    known = torch.distributions.MultivariateNormal(torch.zeros(2), scale_tril=mixing)
    fresh = torch.randn(2_000, 2, generator=stream(1, "codes")) @ mixing.T
    lost = known.log_prob(fresh).double() - flow.log_density(fresh)
    assert abs(lost.mean()) < 0.05  # nats: the divergence of the fit from the truth
    assert flow.found["held_out_nats_above_gaussian"] == pytest.approx(0, abs=0.05)


def test_it_stops_where_codes_held_out_are_likeliest():
    """Of few codes it would learn each by heart."""
    flow = RealNVP(**SMALL, steps=2000, every=20, patience=2)
    flow.fit(torch.randn(60, 2, generator=stream(0, "codes")), stream(0, "fit"))
    assert flow.found["steps_trained"] == flow.found["steps"] + 40 < 2000


def test_without_zuko_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(InputError, match=r'sampler=flow: .*pip install "ltvm\[flows\]" adds it'):
        RealNVP()


@pytest.mark.parametrize(
    ("given", "named"),
    [({"steps": 0}, "sampler.steps=0"), ({"rate": 0.0}, "sampler.rate=0.0"),
     ({"held_out": 1.0}, "sampler.held_out=1.0")],
)  # fmt: skip
def test_wrong_settings_are_named(given, named):
    with pytest.raises(InputError, match=named):
        RealNVP(**given)
    with pytest.raises(InputError, match="held_out"):
        RealNVP().check(3, 2)
    with pytest.raises(InputError, match="dimensions of codes=1"):
        RealNVP().check(100, 1)
