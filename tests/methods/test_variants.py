"""Variants that isolate one idea of the method: each in the limit in which it is another one."""

import copy
import itertools

import pytest
import torch
from small_networks import SMALL
from torch.utils.flop_counter import FlopCounterMode

from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.models.batchnorm import statistics
from ltvm.runs.execution.build import build_method, build_problem


def build(tiny, *overrides):
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu",
         "precision=float32", *SMALL, *overrides]
    )  # fmt: skip
    return build_method(config, build_problem(config, tiny))


def same_decoders(a, b):
    return all(
        torch.equal(p, q)
        for p, q in zip(a.decoder.parameters(), b.decoder.parameters(), strict=True)
    )


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_without_learning_a_correction_of_sri_is_forgotten(tiny, alpha):
    """Chains start from the prior, so that only the learning passes can know of it."""
    none = ["protocol.learn_epochs=0", "protocol.sweeps=2"]
    plain = build(tiny, "method=short_run", *none)
    corrected = build(tiny, "method=short_run_corrected", f"method.alpha={alpha}", *none)
    for method in (plain, corrected):
        for _ in range(2):
            method.fit_iteration()
    assert torch.equal(plain.codes, corrected.inferred)
    assert torch.equal(corrected.codes, corrected.inferred) == (alpha == 0)
    assert same_decoders(plain, corrected)


def test_corrected_sri_has_the_step_of_sri():
    for protocol in ("small", "full"):
        kernels = [
            resolve([f"method={name}", f"protocol={protocol}"])["method"]["kernel"]
            for name in ("short_run", "short_run_corrected")
        ]
        assert kernels[0] == kernels[1]


def test_fresh_draws_are_the_kept_ones_at_first_and_new_ones_after_that(tiny):
    kept, fresh = build(tiny), build(tiny, "method=short_run_fresh")
    first = kept.targets.clone()
    for method in (kept, fresh):
        method.fit_iteration()
    assert torch.equal(kept.codes, fresh.codes)
    for method in (kept, fresh):
        method.fit_iteration()
    assert torch.equal(kept.targets, first)
    assert not torch.isin(fresh.targets, first).any()


def test_a_late_correction_is_of_codes_that_the_decoder_never_sees(tiny):
    late, twin = build(tiny, "method=short_run_late"), build(tiny, "method=short_run_uncorrected")
    for method in (late, twin):
        method.fit_iteration()
    assert same_decoders(late, twin)
    assert torch.equal(late.inferred, twin.codes)
    mapped = late.targets[late.solver_state["assignment"]]
    torch.testing.assert_close(late.codes, (late.inferred + mapped) / 2)


@pytest.mark.parametrize("key", ["targets=new", "correction=never"])
def test_what_is_no_variant_is_refused(tiny, key):
    with pytest.raises(InputError, match=f"method.{key}: allowed"):
        build(tiny, f"+method.{key}")


# Chains that an encoder starts


def test_from_equal_starts_it_is_corrected_sri(tiny):
    encoded, sri = (build(tiny, f"method={m}") for m in ("encoder_started", "short_run_corrected"))
    with torch.no_grad():  # the encoder says the same of every image
        encoded.encoder[-1].weight.zero_()
        encoded.encoder[-1].bias.copy_(torch.linspace(-1, 1, 12))
    said = torch.linspace(-1, 1, 12)[:6]
    sri.first_state = lambda images, *_: {"codes": said.repeat(len(images), 1)}
    images, draw = tiny.test.scaled(), torch.Generator().manual_seed
    assert torch.equal(encoded.infer(images, draw(0)), sri.infer(images, draw(0)))
    for method in (encoded, sri):
        (visit,) = itertools.islice(method.visits(method.price, "inference"), 1)
        method.visit(visit)
    assert torch.equal(encoded.codes, sri.codes)


def test_the_encoder_follows_the_ends_of_chains(tiny):
    method = build(tiny, "method=encoder_started", "protocol.learning_rate=0.003")
    images = tiny.train.scaled()
    codes = 2 + torch.randn(len(images), 6, generator=torch.Generator().manual_seed(0))
    with statistics(method.encoder, "batch"):
        mean, _ = copy.deepcopy(method.encoder)(images).chunk(2, dim=1)
    losses = []
    for _ in range(100):
        with statistics(method.encoder, "learn"):
            guess, _ = method.encoder(images).chunk(2, dim=1)
        losses.append(method.update_encoder(guess, codes).item())
    assert losses[0] == pytest.approx((codes - mean).square().sum(1).mean().item())
    # The best code for all images would leave the variance of the codes; beyond, images tell.
    assert losses[-1] < 0.9 * codes.var(0).sum().item()


def test_the_encoder_s_work_is_paid_for(tiny):
    method = build(tiny, "method=encoder_started")
    images = tiny.train.scaled()[:10]
    with FlopCounterMode(display=False) as counter:
        method.encoder(images).sum().backward()
    base = build(tiny, "method=short_run_corrected").price
    assert method.price.passes == base.passes + 1
    assert method.price.updates == base.updates
    assert method.price.flops - base.flops == counter.get_total_flops() / 10


def test_chains_begin_by_the_statistics_of_the_batch_and_those_of_unseen_images_do_not(tiny):
    method = build(tiny, "method=encoder_started")
    (visit,) = itertools.islice(method.visits(method.price, "inference"), 1)
    images = tiny.train.scaled()[visit.images]
    starts = {}
    for source in ("batch", "running"):
        with statistics(method.encoder, source), torch.no_grad():
            starts[source] = method.encoder(images).chunk(2, dim=1)[0]
    assert torch.equal(method.first_state(images, 0, visit.images)["codes"], starts["running"])
    alone = method.first_state(images[7:8], 0, visit.images[7:8])["codes"]
    torch.testing.assert_close(alone, starts["running"][7:8])
    torch.testing.assert_close(method.begin(images, visit)["codes"], starts["batch"])
    assert not torch.allclose(starts["running"], starts["batch"], atol=0.1)
