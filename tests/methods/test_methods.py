"""One contract test over every method, and what is particular to each."""

import copy
import itertools

import pytest
import torch
from small_networks import SMALL, small

from ltvm.config import choices, resolve
from ltvm.errors import DivergedError, InputError
from ltvm.methods.budget import Price
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.runtime.randomness import image_normals
from ltvm.testing import check
from ltvm.transport import SOLVERS

METHODS = choices("method")


def build(tiny, *overrides):
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu",
         "precision=float32", *SMALL, *overrides]
    )  # fmt: skip
    return build_method(config, build_problem(config, tiny))


@pytest.mark.parametrize("name", METHODS)
def test_contract(name):
    assert len(check(["protocol.train_images=100", *small(name)])) > 10


def test_all_methods_start_equal(tiny):
    methods = [build(tiny, *small(name), "seed=3") for name in METHODS]
    for other in methods[1:]:
        if type(other.prior) is type(methods[0].prior):
            assert torch.equal(other.codes, methods[0].codes)
        assert torch.equal(other.batches(2)[0], methods[0].batches(2)[0])
        for a, b in zip(other.decoder.parameters(), methods[0].decoder.parameters(), strict=True):
            assert torch.equal(a, b)
    different = build(tiny, "seed=4")
    assert not torch.equal(different.codes, methods[0].codes)


@pytest.mark.parametrize("currency", ["flops", "passes", "updates"])
@pytest.mark.parametrize("name", METHODS)
def test_methods_spend_what_the_paper_s_costs_within_a_batch(tiny, currency, name):
    shape = ["protocol.steps=2", "protocol.learn_epochs=1", "protocol.batch=13"]
    method = build(tiny, *small(name), f"protocol.equal={currency}", *shape)
    for _ in range(4):
        method.fit_iteration()
    flops, n, batches = method.problem.flops, 40, 3
    chain = flops.chain - flops.prior_gradient  # of N(0, I), whatever prior the method has
    allowed = (
        4
        * {
            "passes": n * (2 + 1 + 1),
            "updates": batches * (1 + 1),
            "flops": n * (2 * chain + 2 * flops.update),
        }[currency]
    )
    spent = {
        "passes": method.passes * n, "updates": method.decoder_updates, "flops": method.flops
    }[currency]  # fmt: skip
    price = method.price.of(currency, 14)
    if name.startswith("short_run_"):
        assert spent == allowed  # it is what is spent
        assert (method.sweeps_done, method.batches_done) == (4 * (1 + 1), 0)
    else:
        assert abs(spent - allowed) <= price / 2


@pytest.mark.parametrize("name", METHODS)
def test_seconds_are_spent_within_a_batch(tiny, name):
    method = build(tiny, *small(name), "protocol.equal=seconds", "protocol.seconds=2")
    ticks = itertools.count()
    method.problem.clock._now = lambda: next(ticks) / 40  # a look takes 25 ms
    for _ in range(2):
        method.fit_iteration()
    assert method.problem.clock.training_seconds() == pytest.approx(2, abs=0.2)


def test_transport_after_the_visits_is_within_the_seconds_of_all(tiny):
    """AE-OT's: an iteration leaves what the last one's transport took."""
    method = build(tiny, *small("ae_ot"), "protocol.equal=seconds", "protocol.seconds=2")
    ticks = itertools.count()
    method.problem.clock._now = lambda: next(ticks) / 40
    method.transport = lambda: {"looks": float(len([next(ticks) for _ in range(16)]))}  # 0.4 s
    for _ in range(2):
        method.fit_iteration()
    assert method.problem.clock.training_seconds() == pytest.approx(2, abs=0.2)


def test_a_method_of_another_price_is_shorter_in_both_phases_and_still_corrects(tiny):
    usual = build(tiny, "protocol.steps=4", "protocol.learn_epochs=2", "protocol.batch=2")
    longer = build(
        tiny, "protocol.steps=4", "protocol.learn_epochs=2", "protocol.batch=2", "method.steps=16"
    )
    for method in (usual, longer):
        for _ in range(4):
            assert "correction_cost" in method.fit_iteration()
    flops = usual.problem.flops
    own = 16 * flops.chain + 3 * flops.update
    whole = 4 * flops.chain + 3 * flops.update
    assert abs(longer.flops - usual.flops) <= own  # a batch of two
    # Each iteration's inference ends within half a visit of its share; learning makes up for it.
    rounding = 4 * (16 * flops.chain + flops.update) / 2 / flops.update
    expected = usual.decoder_updates * whole / own
    assert longer.decoder_updates == pytest.approx(expected, abs=rounding)


def test_a_resumed_method_goes_on_within_a_sweep(tiny):
    chosen = ["method=short_run", "protocol.batch=13", "protocol.steps=3"]
    method, again = build(tiny, *chosen), build(tiny, *chosen)
    method.fit_iteration()
    assert 0 < method.batches_done < 3
    again.load_state_dict(copy.deepcopy(method.state_dict()))
    for m in (method, again):
        m.fit_iteration()
    assert torch.equal(method.codes, again.codes)
    assert (again.sweeps_done, again.batches_done) == (method.sweeps_done, method.batches_done)


def test_a_sweep_visits_every_image_once(tiny):
    method = build(tiny, "method=abp", "protocol.batch=13", "protocol.sweeps=4")
    visited = [(v.sweep, v.images) for v in method.visits(method.price, "inference")]
    assert visited[-1][0] >= 2
    for sweep in range(visited[-1][0]):
        numbers = torch.cat([images for at, images in visited if at == sweep])
        assert sorted(numbers.tolist()) == list(range(40))


def test_inference_ends_without_noise(tiny):
    """At its end a chain without noise is nearer to a mode: less energy than the noisy end."""
    method = build(tiny, "method.kernel.size=0.05", "method.infer_steps=20")
    images = tiny.test.scaled()
    energies = {}
    for steps in (0, 1, 40):
        method.infer_noise_free = steps
        codes = method.infer(images, torch.Generator().manual_seed(0))
        energies[steps] = method.energy(images, codes)
    assert (energies[40] < energies[1]).all()
    assert (energies[1] < energies[0]).float().mean() > 0.9
    # Gradient descent: the same as ending a chain of a kernel that never had noise.
    method.infer_noise_free = 40
    one, two = (method.infer(images, torch.Generator().manual_seed(0), steps=20) for _ in range(2))
    assert torch.equal(one, two)


def test_the_twin_differs_in_alpha_alone(tiny):
    twin = build(tiny, "method=short_run_uncorrected")
    corrected = build(tiny, "method=short_run_ot")
    at_zero = build(tiny, "method=short_run_ot", "method.alpha=0.0")
    for method in (twin, corrected, at_zero):
        method.fit_iteration()
    assert twin.decoder_updates == corrected.decoder_updates > 0
    assert torch.equal(twin.codes, at_zero.codes)
    assert not torch.equal(twin.codes, corrected.codes)


def test_full_replacement_puts_the_codes_on_the_prior_draws(tiny):
    method = build(tiny, "method.alpha=1.0")
    method.fit_iteration()
    ours = method.codes[method.codes[:, 0].argsort()]
    torch.testing.assert_close(ours, method.targets[method.targets[:, 0].argsort()])


def test_the_blend_is_that_of_the_paper(tiny):
    method = build(tiny, "method.alpha=0.3", "method.solver=exact")
    before = method.codes.clone()
    method.correct()
    mapped = method.targets[method.solver_state["assignment"]]
    torch.testing.assert_close(method.codes, 0.7 * before + 0.3 * mapped)


def test_a_solver_that_returns_no_coupling_ends_training_with_its_name(tiny):
    method = build(tiny, "method.alpha=0.3")
    method.solver = lambda codes, *_: torch.arange(len(codes))
    with pytest.raises(InputError, match=r"returns a Tensor; allowed: a Coupling"):
        method.fit_iteration()


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_every_solver_trains_and_resumes(tiny, solver):
    method = build(tiny, f"method.solver={solver}")
    method.fit_iteration()
    again = build(tiny, f"method.solver={solver}")
    again.load_state_dict(copy.deepcopy(method.state_dict()))
    assert torch.equal(method.codes, again.codes)
    for m in (method, again):
        m.fit_iteration()
    if solver == "bsp":  # POT's ignores its seed: two calls agree where both find the best
        chosen = again.solver_state["assignment"]
        assert chosen.sort().values.tolist() == list(range(len(again.codes)))
        blended = (1 - again.alpha) * again.inferred + again.alpha * again.targets[chosen]
        torch.testing.assert_close(again.codes, blended)
    else:
        assert torch.equal(method.codes, again.codes)


def test_short_run_starts_from_the_prior_every_time(tiny):
    method = build(tiny, "method=short_run")
    method.codes.fill_(50.0)
    method.fit_iteration()
    assert method.codes.abs().max() < 20


def test_vae_loss_is_the_negative_bound(tiny):
    method = build(tiny, "method=vae", "protocol.batch=40")
    method.encoder.eval()
    twin = build(tiny, "method=vae", "protocol.batch=40")
    (visit,) = itertools.islice(method.visits(method.price, "learning"), 1)
    value = method.learn(visit).item()
    # The same batch through torch.distributions.
    (batch,) = twin.batches(0)
    images = twin.problem.images.scaled(batch)
    mean, log_variance = twin.encoder(images).chunk(2, 1)
    noise = image_normals(twin.problem.stream_key("noise", 0), batch, 1, 6)[0]
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), 1.0)
    likelihood = torch.distributions.Normal(twin.decoder(mean + q.stddev * noise), 0.3)
    log_p = likelihood.log_prob(images).flatten(1).sum(1)
    constant = likelihood.log_prob(likelihood.mean).flatten(1).sum(1)
    bound = constant - log_p + torch.distributions.kl_divergence(q, prior).sum(1)
    assert value == pytest.approx(bound.mean().item(), rel=1e-4)


def test_exploding_codes_diverge(tiny):
    method = build(tiny, "method.kernel.kind=langevin", "method.kernel.size=50.0")
    with pytest.raises(DivergedError, match="explode|finite"):
        method.fit_iteration()


def test_a_nan_loss_diverges(tiny):
    method = build(tiny)
    images, codes = method.problem.images.scaled(), method.codes.clone()
    codes[3, 1] = float("nan")
    with pytest.raises(DivergedError, match="nan"):
        method.mean_loss([method.update_decoder(images, codes)])


def test_a_training_that_diverges_ends_with_its_sweep(tiny):
    method, visits = build(tiny, "method=vae", "protocol.sweeps=9"), []
    method.learn = lambda visit: visits.append(visit) or torch.tensor(float("nan"))
    with pytest.raises(DivergedError, match="nan"):
        method.fit_iteration()
    assert len(visits) == 2  # of many sweeps of two batches


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["method.steps=0"], "method.steps=0"),
        (["method.alpha=1.5"], "method.alpha=1.5"),
        (["method.start=zero"], "method.start=zero"),
        (["method.batchnorm=layer"], "method.batchnorm=layer"),
        (["model.sigma=0.0"], "model.sigma=0.0"),
        (["protocol.batch=41"], "protocol.batch=41"),
        (["method.solver=magic"], "method.solver=magic"),
        (
            ["decoder=svhn", "+decoder.widths=[16,8,8,8]"],
            "decoder=svhn: makes images=1x32x32: allowed: 1x28x28",
        ),
        (["method.kernel._target_=torch.nn.Linear"], "method.kernel"),
        (["method.solver=no_such.Solver"], "method.solver"),
        (["protocol.sweeps=0"], "protocol.sweeps=0"),
        (
            ["method=short_run", "protocol.updates_per_batch=0"],
            r"method\.updates_per_batch=0: allowed: 1 or more, or method\.learn_epochs",
        ),
        (["method=lebm", "method.updates_per_batch=0"], r"method\.updates_per_batch=0"),
        (
            ["protocol.updates_per_batch=0", "method.learn_epochs=0"],
            r"method\.updates_per_batch=0: allowed: 1 or more, or method\.learn_epochs",
        ),
        (
            [
                "method=vae",
                "protocol.equal=updates",
                "protocol.updates_per_batch=0",
                "protocol.learn_epochs=0",
            ],
            r"protocol\.updates_per_batch=0: .* protocol\.learn_epochs .* protocol\.equal=updates",
        ),
    ],
)
def test_bad_values_name_the_key_and_what_is_allowed(tiny, overrides, named):
    with pytest.raises(InputError, match=named):
        build(tiny, *overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["protocol.updates_per_batch=0"],
        ["protocol.learn_epochs=0"],
        ["method=encoder_started", "protocol.updates_per_batch=0"],
        ["method=vae", "protocol.updates_per_batch=0", "protocol.learn_epochs=0"],
        ["method=abp", "protocol.updates_per_batch=0", "protocol.learn_epochs=0"],
    ],
)
def test_updates_of_one_kind_are_enough(tiny, overrides):
    method = build(tiny, *overrides)
    method.fit_iteration()
    assert method.decoder_updates > 0


def test_a_small_last_batch_joins_its_neighbour(tiny):
    method = build(tiny, "method=short_run", "protocol.batch=13")
    sizes = [len(batch) for batch in method.batches(0)]
    assert sizes == [13, 13, 14]
    assert sorted(torch.cat(method.batches(0)).tolist()) == list(range(40))


@pytest.mark.parametrize("kernel", choices("kernel"))
def test_every_kernel_trains_and_resumes(tiny, kernel):
    chosen = ["method=abp", f"method.kernel={kernel}", "protocol.steps=2"]
    method, again = build(tiny, *chosen), build(tiny, *chosen)
    method.fit_iteration()
    again.load_state_dict(copy.deepcopy(method.state_dict()))
    for m in (method, again):
        m.fit_iteration()
    assert torch.equal(method.codes, again.codes)
    kept = method.kernel.kept
    assert set(method.kernel_state) == set(kept)
    for name in kept:  # what a kernel keeps lives with the codes, between visits and in checkpoints
        assert torch.equal(method.kernel_state[name], again.kernel_state[name])
        assert method.kernel_state[name].abs().sum() > 0


def test_a_pass_is_priced_by_the_kernel(tiny):
    chosen = ["method=abp", "method.kernel=hamiltonian", "method.kernel.leapfrog=3"]
    method = build(tiny, *chosen, "method.steps=2", "protocol.sweeps=7")
    flops = method.problem.flops
    assert method.price == Price(2 * 3 + 1 + 1, 7 * flops.chain + flops.update, 1)
    method.fit_iteration()
    assert method.image_passes == method.decoder_updates * 20 * 8


def test_a_trained_state_is_what_a_method_is_without_its_optimiser(tiny):
    method = build(tiny)
    method.fit_iteration()
    state = method.trained_state()
    assert not {"optimizer", "solver_state"} & set(state)
    again = build(tiny)
    again.load_state_dict(copy.deepcopy(state))
    images = tiny.test.scaled()
    draws = [torch.Generator().manual_seed(1) for _ in range(2)]
    assert torch.equal(method.infer(images, draws[0]), again.infer(images, draws[1]))
    assert torch.equal(method.posterior_draws(), again.posterior_draws())


def test_both_networks_of_a_vae_have_the_layout_that_was_chosen(tiny):
    method = build(tiny, "method=vae", "execution.layout=channels_last")
    kernels = [p for p in method.encoder.parameters() if p.ndim == 4 and p.shape[1] > 1]
    assert kernels
    assert all(k.is_contiguous(memory_format=torch.channels_last) for k in kernels)
