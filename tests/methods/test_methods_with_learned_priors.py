"""Methods whose prior learns: what they are while it is N(0, I), and what they pay for it."""

import itertools

import pytest
import torch
from small_networks import SMALL, small

from ltvm.config import resolve
from ltvm.runs.execution.build import build_method, build_problem

LEARNED = ("lebm", "latent_flow", "latent_diffusion")


def build(tiny, *overrides):
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu",
         "precision=float32", *SMALL, *overrides]
    )  # fmt: skip
    return build_method(config, build_problem(config, tiny))


def after_two_iterations(*methods):
    for method in methods:
        for _ in range(2):
            method.fit_iteration()
    return methods


def assert_same(a, b):
    assert torch.equal(a.codes, b.codes)
    for p, q in zip(a.decoder.parameters(), b.decoder.parameters(), strict=True):
        assert torch.equal(p, q)


IN_PASSES = ["protocol.equal=passes", "protocol.sweeps=2"]  # in which priors cost nothing


def test_with_f_0_lebm_is_sri_bit_for_bit(tiny, monkeypatch):
    plain, own = (build(tiny, *small(m), *IN_PASSES) for m in ("short_run", "lebm"))
    for weights in own.prior.f[-1].parameters():
        torch.nn.init.zeros_(weights)
    monkeypatch.setattr(type(own), "update_prior", lambda *_: None)
    assert_same(*after_two_iterations(plain, own))


def test_a_latent_flow_begins_as_sri(tiny):
    """A flow begins as the identity, up to rounding."""
    plain, own = (build(tiny, *small(m)) for m in ("short_run", "latent_flow"))
    for method in (plain, own):
        (visit,) = itertools.islice(method.visits(method.price, "inference"), 1)
        method.visit(visit)
    torch.testing.assert_close(own.codes[visit.images], plain.codes[visit.images])


def test_a_prior_that_learns_makes_another_method_of_it(tiny):
    plain = build(tiny, "method=short_run", *IN_PASSES)
    for name in ("lebm", "latent_flow"):
        own = build(tiny, *small(name), *IN_PASSES)
        after_two_iterations(own)
        assert own.prior_updates > 0
        assert not torch.equal(plain.codes, own.codes)


def test_training_of_latent_diffusion_is_that_of_abp_from_the_same_codes(tiny):
    """The diffusion learns beside it; what pulls on the chains is N(0, I)."""
    plain, own = (build(tiny, *small(m), *IN_PASSES) for m in ("abp", "latent_diffusion"))
    own.codes = plain.codes.clone()
    assert_same(*after_two_iterations(plain, own))
    assert own.prior_updates == 2 * own.decoder_updates
    draw = torch.Generator().manual_seed
    assert not torch.equal(plain.sample(4, draw(0)), own.sample(4, draw(0)))
    starts = own.first_state(own.problem.images.scaled(slice(4)), 7, torch.arange(4))["codes"]
    assert torch.equal(starts, own.engine.start(7, torch.arange(4))["codes"])
    drawn = plain.engine.start(7, torch.arange(4))["codes"]
    assert not torch.equal(starts, drawn)  # chains for unseen images start at the diffusion's draws


@pytest.mark.parametrize("name", LEARNED)
def test_a_prior_changes_what_is_paid_and_not_what_may_be_spent(tiny, name):
    plain, own = build(tiny, "method=abp"), build(tiny, *small(name))
    assert own.problem.allowance == plain.problem.allowance
    flops, steps = own.problem.flops, own.steps
    of_prior = steps * flops.prior_gradient + own.prior.updates * flops.prior_update
    if name == "latent_flow":
        of_prior += flops.prior_sample  # where its chains begin
    assert own.price.flops - plain.price.flops == of_prior > 0
    assert (own.price.passes, own.price.updates) == (plain.price.passes, plain.price.updates)


def test_targets_of_a_prior_that_learns_are_paid_for(tiny):
    plain, own = build(tiny), build(tiny, "prior=lebm", "prior.steps=3")
    plain.correct()
    own.correct()
    assert plain.flops == 0
    assert own.flops == len(own.codes) * own.problem.flops.prior_sample > 0
