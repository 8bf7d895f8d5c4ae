"""What an iteration costs, counted while it runs, against what a method declares."""

from dataclasses import replace

import pytest
import torch
from small_networks import small

from ltvm.config import resolve
from ltvm.methods.counted import count_iteration
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.testing import check_cost

SMALLEST = ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu",
            "precision=float32"]  # fmt: skip


def trained(data, name="short_run_ot", *overrides):
    """A method after an iteration."""
    config = resolve([*SMALLEST, *small(name), *overrides])
    method = build_method(config, build_problem(config, data))
    method.fit_iteration()
    return method


def test_ten_updates_at_the_price_of_one_are_broken(tiny):
    method = trained(tiny)
    update = method.update_decoder
    method.update_decoder = lambda *given: [update(*given) for _ in range(10)][-1]
    with pytest.raises(AssertionError, match="declares the FLOPs that it does, within 5 %: decl"):
        check_cost(method)


@pytest.mark.parametrize("prior", ["lebm", "latent_flow", "latent_diffusion"])
@pytest.mark.parametrize("name", ["vae", "wae_mmd"])
def test_what_a_prior_that_learns_takes_is_paid_for(tiny, name, prior):
    """The WAE's draws and the energy in the VAE's bound; exact but for sums over a batch."""
    method = trained(tiny, name, f"prior={prior}")
    counted = count_iteration(method)
    assert counted.flops == pytest.approx(counted.declared_flops, rel=0.005)


def test_work_beside_the_visits_is_counted(tiny):
    method = trained(tiny, "vae")
    fit = method.fit_iteration
    method.fit_iteration = lambda: [fit(), method.decode(method.codes.repeat(9, 1))]
    counted = count_iteration(method)
    forward = counted.flops - counted.declared_flops
    assert forward == 9 * 40 * method.problem.flops.chain // 2
    assert not counted.flops_hold


def test_who_declares_more_than_it_does_is_broken(tiny):
    method = trained(tiny)
    update = method.update_decoder
    method.update_decoder = lambda images, codes: update(images[:2], codes[:2])
    counted = count_iteration(method)
    assert counted.flops < counted.declared_flops
    assert not counted.flops_hold


def test_steps_that_nobody_counted_are_found(tiny):
    method = trained(tiny)
    update = method.update_decoder

    def stepping(images, codes):
        loss = update(images, codes)
        method.optimizer.step()  # once more, by the same gradients: no FLOPs of a network
        return loss

    method.update_decoder = stepping
    counted = count_iteration(method)
    assert counted.flops_hold
    assert counted.updates == 2 * counted.declared_updates > 0
    with pytest.raises(AssertionError, match="declares the decoder updates that it makes: prices"):
        check_cost(method)


def test_updates_without_a_price_are_found(tiny):
    method = trained(tiny, "vae")
    method.price = replace(method.price, updates=0)
    counted = count_iteration(method)
    assert (counted.priced_updates, counted.flops_hold) == (0, True)
    assert counted.updates == counted.declared_updates > 0
    assert not counted.updates_hold


def test_what_needs_no_price_may_have_one(tiny):
    """Transport has none, but for draws of a prior that learns."""
    method = trained(tiny, "short_run_ot", "prior=lebm", "prior.width=8", "prior.steps=3")
    counted = count_iteration(method)
    assert counted.flops < counted.declared_flops < counted.flops + counted.flops_apart
    assert counted.declared_flops - counted.flops == 40 * method.problem.prior_draw.flops
    assert counted.flops_hold


def test_a_second_stage_has_updates_of_its_own(tiny):
    counted = count_iteration(trained(tiny, "two_stage_vae"))
    assert counted.priced_updates == counted.declared_updates > counted.updates > 0
    assert counted.updates_hold


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_layers_that_are_done_in_another_way_cost_the_same(tiny, precision):
    colours = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)
    data = replace(tiny, train=replace(tiny.train, images=colours))
    chosen = ["decoder=svhn", "+decoder.widths=[16,8,8,8]", f"precision={precision}"]
    config = resolve([*SMALLEST, *chosen, "execution.products=onednn"])
    method = build_method(config, build_problem(config, data))
    method.fit_iteration()
    counted = count_iteration(method)
    assert counted.flops == counted.declared_flops > 0


def test_a_clock_goes_on(tiny):
    method = trained(tiny, "abp")
    before = method.problem.clock.training_seconds()
    count_iteration(method)
    assert method.problem.clock.training_seconds() > before > 0
