"""A prior other than N(0, I) reaches everything that a method does with its prior."""

import copy
import sys

import pytest
import torch
from small_networks import SMALL, small

from ltvm.config import choices, resolve
from ltvm.errors import InputError
from ltvm.models.prior import Prior
from ltvm.runs.execution.build import build_method, build_problem

SHIFT, SCALE = 3.0, 0.5


class Shifted(Prior):
    """N(SHIFT, SCALE^2 I)."""

    samples_exactly = True

    def sample(self, n, draws):
        return SHIFT + SCALE * draws.normal(n, self.latent_dim)

    def energy(self, codes):
        return ((codes - SHIFT) / SCALE).square().sum(1) / 2


class Tilted(Prior):
    """exp(-a |z|^2 / 2), which draws from N(0, I / a): ``a`` is learned."""

    def __init__(self, latent_dim):
        super().__init__(latent_dim)
        self.log_a = torch.nn.Parameter(torch.zeros(()))

    @property
    def own_rate(self):
        return 0.05

    @torch.no_grad()
    def sample(self, n, draws):
        return draws.normal(n, self.latent_dim) * (-self.log_a / 2).exp()

    def energy(self, codes):
        return self.log_a.exp() * codes.square().sum(1) / 2


def build(tiny, prior, *overrides):
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu",
         "precision=float32", *SMALL, *overrides]
    )  # fmt: skip
    config["prior"] = {"_target_": f"{__name__}.{prior.__name__}", "name": prior.__name__}
    return build_method(config, build_problem(config, tiny))


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    module = type(sys)(__name__)
    module.Shifted, module.Tilted = Shifted, Tilted
    monkeypatch.setitem(sys.modules, __name__.split(".")[0], sys.modules.get(__name__, module))
    monkeypatch.setitem(sys.modules, __name__, module)


def test_codes_samples_and_targets_are_the_priors(tiny):
    method = build(tiny, Shifted)
    for codes in (method.codes, method.targets):
        assert codes.mean().item() == pytest.approx(SHIFT, abs=0.2)
        assert codes.std().item() == pytest.approx(SCALE, abs=0.1)
    drawn = method.sample(4, torch.Generator().manual_seed(0))
    normal = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn, method.decode(SHIFT + SCALE * normal))


def test_energies_and_chains_are_pulled_to_the_prior(tiny):
    method = build(tiny, Shifted, "method.kernel.noise=false", "method.kernel.size=0.2")
    images = tiny.test.scaled()
    codes = torch.zeros(len(images), 6)
    with torch.no_grad():
        for layer in method.decoder.parameters():
            layer.zero_()  # every code makes the same image: the prior alone is left
    difference = method.energy(images, codes + SHIFT) - method.energy(images, codes)
    expected = torch.full((len(images),), -6 * (SHIFT / SCALE) ** 2 / 2)
    torch.testing.assert_close(difference, expected, rtol=1e-4, atol=1e-2)
    inferred = method.infer(images, torch.Generator().manual_seed(0), steps=200)
    torch.testing.assert_close(inferred, torch.full_like(inferred, SHIFT), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", choices("method"))
def test_every_method_trains_under_another_prior(tiny, name):
    method = build(tiny, Shifted, *small(name))
    scalars = method.fit_iteration()
    assert all(torch.isfinite(torch.tensor(float(v))) for v in scalars.values())


@pytest.mark.parametrize("name", ["short_run_ot", "vae", "wae_mmd"])
def test_a_prior_learns_and_resumes(tiny, name):
    method, again = (build(tiny, Tilted, *small(name)) for _ in range(2))
    method.fit_iteration()
    assert method.prior_updates > 0
    assert method.prior.log_a.item() != 0
    again.load_state_dict(copy.deepcopy(method.state_dict()))
    for m in (method, again):
        m.fit_iteration()
    assert torch.equal(method.prior.log_a, again.prior.log_a)
    assert torch.equal(method.codes, again.codes)


@pytest.mark.parametrize("name", ["ae", "rae", "rae_gp", "ae_ot", "two_stage_vae"])
def test_a_prior_that_would_never_learn_is_refused(tiny, name):
    with pytest.raises(InputError, match="prior=Tilted: allowed: one without parameters"):
        build(tiny, Tilted, *small(name))


def test_the_priors_step_follows_the_likelihood(tiny):
    """Under exp(-a |z|^2 / 2) the best a for codes of variance v is 1 / v."""
    method = build(tiny, Tilted)
    codes = 2 * torch.randn(4_000, 6, generator=torch.Generator().manual_seed(0))
    for _ in range(200):
        method.update_prior(codes)
    assert method.prior.log_a.exp().item() == pytest.approx(1 / 4, rel=0.1)


def test_targets_follow_a_prior_that_learns(tiny):
    method = build(tiny, Tilted)
    before = method.targets.clone()
    method.fit_iteration()
    assert not torch.equal(before, method.targets)
