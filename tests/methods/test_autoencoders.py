"""The methods with an encoder, each against a closed form, a limit or counts of torch."""

import math
from dataclasses import replace

import pytest
import torch
from small_networks import small
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.methods.budget import Visit
from ltvm.methods.two_stage_vae import CodeVAE
from ltvm.methods.wae_mmd import mmd
from ltvm.models.batchnorm import statistics
from ltvm.runs.execution.build import build_method, build_problem

WITH_ENCODER = (
    "vae", "beta_vae", "ae", "rae", "rae_gp", "wae_mmd", "two_stage_vae", "ae_ot",
)  # fmt: skip


def build(tiny, name, *overrides):
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu",
         "precision=float32", "execution.products=torch", *small(name), *overrides]
    )  # fmt: skip
    return build_method(config, build_problem(config, tiny, trial=False))


def a_visit(method):
    (batch, *_) = method.batches(0)
    return Visit(batch, 0, False, batch)


def assert_same(one, other):
    for a, b in zip(one.learned_parameters(), other.learned_parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(one.codes, other.codes)


def trained(tiny, name, *overrides, iterations=2):
    method = build(tiny, name, *overrides)
    for _ in range(iterations):
        method.fit_iteration()
    return method


# Cost


@pytest.mark.parametrize("name", WITH_ENCODER)
def test_a_visit_costs_what_torch_counts(tiny, name):
    method = build(tiny, name)
    visit = a_visit(method)
    with FlopCounterMode(display=False) as counter:
        method.learn(visit)
    assert counter.get_total_flops() == method.price.flops * len(visit.images)
    assert method.price.passes == 2
    with FlopCounterMode(display=False) as counter:
        method.encode_training_images()
    assert counter.get_total_flops() == method.encoding_flops


def test_the_second_stage_costs_what_torch_counts(tiny):
    method = build(tiny, "two_stage_vae")
    visit = a_visit(method)
    with FlopCounterMode(display=False) as counter:
        method.learn_codes(visit, method.encode_training_images())
    encoding = method.encoding_flops
    assert counter.get_total_flops() - encoding == method.second_price.flops * len(visit.images)
    # By hand: two layers more than the three of 16, the last of which sees the input, too.
    d, width = 6, 16
    shared = d * width + 2 * width**2
    layers = 2 * shared + (d + width) * 3 * d
    assert method.second_price.flops == 6 * layers - 2 * d * width


def test_codes_that_samples_need_are_paid_for(tiny):
    for name in WITH_ENCODER:
        method = build(tiny, name, "protocol.batch=5")
        method.fit_iteration()
        needed = name in ("ae", "rae", "rae_gp", "two_stage_vae", "ae_ot")
        assert method.samples_need_codes == needed
        seconds = method.problem.clock.seconds
        assert (seconds.get("evaluation", 0) > 0) == (not needed)
        assert abs(method.flops - method.problem.allowance) <= 2.5 * method.price.flops
        if not needed:
            assert method.flops == method.image_passes // 2 * method.price.flops


def test_both_stages_have_their_share(tiny):
    """Stage two goes over the codes ``second_epochs`` times as often as stage one does."""
    chosen = ["protocol.batch=5", "method.second_epochs=3", "protocol.equal=passes"]
    method = build(tiny, "two_stage_vae", *chosen, "protocol.steps=20")
    counts = {"first": 0, "second": 0}
    for stage, name in (("first", "learn"), ("second", "learn_codes")):
        work = getattr(method, name)

        def counted(*arguments, work=work, stage=stage):
            counts[stage] += 1
            return work(*arguments)

        setattr(method, name, counted)
    method.fit_iteration()
    assert counts["second"] == pytest.approx(3 * counts["first"], abs=3)
    assert method.decoder_updates == counts["first"] + counts["second"]


# Limits


def test_beta_of_one_is_the_vae(tiny):
    one, vae = trained(tiny, "beta_vae", "method.beta=1.0"), trained(tiny, "vae")
    assert_same(one, vae)
    assert not torch.equal(trained(tiny, "beta_vae").codes, vae.codes)


def test_beta_is_a_choice_of_sigma(tiny):
    """beta at sigma has beta times the loss of a VAE at sigma sqrt(beta)."""
    beta = build(tiny, "beta_vae", "method.beta=4.0", "model.sigma=0.3")
    vae = build(tiny, "vae", "model.sigma=0.6")
    assert beta.learn(a_visit(beta)).item() == pytest.approx(4 * vae.learn(a_visit(vae)).item())


def test_a_linear_beta_vae_is_stationary_at_probabilistic_pca(tiny):
    """Lucas, Tucker, Grosse and Norouzi (NeurIPS 2019): W = U (L - beta sigma^2 I)^(1/2)."""
    beta, sigma, d, n = 2.0, 0.4, 2, 400
    method = build(tiny, "beta_vae", f"method.beta={beta}", f"model.sigma={sigma}")
    draw = torch.Generator().manual_seed(0)
    data = torch.randn(n, 8, generator=draw) * torch.tensor([2.0, 1.5] + [0.3] * 6)
    data = data - data.mean(0)
    values, vectors = torch.linalg.eigh(data.T @ data / n)
    noise_variance = beta * sigma**2
    top = vectors[:, -d:] * (values[-d:] - noise_variance).sqrt()
    inner = top.T @ top + noise_variance * torch.eye(d)

    def slope(scale):
        """Of the loss with respect to W, per |W|, at W = scale times that of pPCA."""
        weights = (scale * top).requires_grad_(True)
        mean = data @ top @ inner.inverse()
        log_variance = (noise_variance / inner.diagonal()).log().expand(n, d)
        total = 0.0
        for half in (1, -1):  # antithetic: the loss is quadratic in the noise
            for axis in range(d):
                noise = half * math.sqrt(d) * torch.eye(d)[axis].expand(n, d)
                codes = mean + (log_variance / 2).exp() * noise
                residual = (data - codes @ weights.T).view(n, 1, 1, 8)
                divergence = method.divergence(mean, log_variance, codes)
                total = total + (method.misfit(residual) + divergence).mean() / (2 * d)
        (gradient,) = torch.autograd.grad(total, weights)
        return (gradient * top).sum().item() / top.square().sum().item()

    assert slope(1.0) == pytest.approx(0, abs=1e-4)
    assert abs(slope(0.9)) > 0.1
    # And the encoder's variance there: log sigma_q^2 at which misfit and divergence balance.
    variance = (noise_variance / inner.diagonal()).requires_grad_(True)
    pull = (top.square().sum(0) * variance).sum() / (2 * sigma**2)
    zero = torch.zeros(1, d)
    loss = pull + method.divergence(zero, variance.log()[None], zero).sum()
    (gradient,) = torch.autograd.grad(loss, variance)
    torch.testing.assert_close(gradient, torch.zeros(d), atol=1e-3, rtol=0)


def test_without_weights_a_rae_is_an_ae(tiny):
    nothing = ["method.embedding_weight=0.0", "method.decoder_weight=0.0"]
    one, other = trained(tiny, "rae", *nothing), trained(tiny, "ae")
    assert_same(one, other)
    assert not torch.equal(trained(tiny, "rae").codes, other.codes)


@pytest.mark.parametrize("name", ["ae", "rae", "wae_mmd"])
def test_without_a_likelihood_sigma_is_a_factor(tiny, name):
    one, other = (build(tiny, name, f"model.sigma={sigma}") for sigma in (0.3, 0.6))
    losses = [method.learn(a_visit(method)).item() for method in (one, other)]
    assert losses[0] == pytest.approx(4 * losses[1], rel=1e-5)


# Penalties


def test_the_weights_of_a_rae_are_those_of_its_script(tiny):
    """The authors' loss for pixels in [0, 1], which has means, times 2 D / sigma^2."""
    method = build(tiny, "rae", "method.embedding_weight=0.3", "method.decoder_weight=0.02")
    twin = build(tiny, "rae")
    visit = a_visit(method)
    images = twin.problem.images.scaled(visit.images)
    with statistics(twin.encoder, "learn"), statistics(twin.decoder, "learn"), torch.no_grad():
        codes = twin.encoder(images).chunk(2, dim=1)[0]
        made = twin.decoder(codes)
    script = ((images + 1) / 2 - (made + 1) / 2).square().mean() + 0.3 * codes.square().mean()
    for layer in twin.decoder.modules():
        if isinstance(layer, nn.Linear | nn.ConvTranspose2d):
            script = script + 0.02 * layer.weight.square().sum()
    expected = script.item() * 2 * 784 / 0.3**2
    assert method.learn(visit).item() == pytest.approx(expected, rel=1e-5)


def test_mmd_alone_makes_codes_the_prior(tiny):
    """With a weight beside which the misfit is nothing, codes come to have the prior's moments."""
    chosen = ["method.mmd_weight=1e6", "protocol.steps=40", "protocol.batch=40"]
    method = build(tiny, "wae_mmd", *chosen, "model.latent_dim=2")
    visit = a_visit(method)

    def gap():
        key = method.problem.images.scaled(visit.images)
        with statistics(method.encoder, "batch"), torch.no_grad():
            codes = method.encoder(key).chunk(2, dim=1)[0]
        draws = torch.randn(2000, 2, generator=torch.Generator().manual_seed(1))
        return mmd(codes, draws[:40]).item(), codes.square().mean().item()

    before, _ = gap()
    for sweep in range(60):
        method.learn(replace(visit, sweep=sweep))
    after, size = gap()
    assert after < before / 4
    assert size == pytest.approx(1, abs=0.4)


# Two stages


def test_stage_one_begins_as_a_vae(tiny):
    two, vae = build(tiny, "two_stage_vae"), build(tiny, "vae")
    assert two.learn(a_visit(two)).item() == pytest.approx(vae.learn(a_visit(vae)).item())
    assert two.log_gamma.exp().item() != pytest.approx(0.3, rel=1e-4)  # and then learns


@pytest.mark.parametrize("stage", ["first", "second"])
def test_the_best_gamma_is_the_root_mean_squared_error(tiny, stage):
    method = build(tiny, "two_stage_vae")
    residual = torch.randn(30, 50, generator=torch.Generator().manual_seed(0))
    holder = method if stage == "first" else method.second
    with torch.no_grad():
        holder.log_gamma.copy_(residual.square().mean().sqrt().log())
    (slope,) = torch.autograd.grad(holder.misfit(residual).mean(), holder.log_gamma)
    assert abs(slope.item()) < 1e-3  # of 50 at twice that gamma
    with torch.no_grad():
        holder.log_gamma += math.log(2)
    (slope,) = torch.autograd.grad(holder.misfit(residual).mean(), holder.log_gamma)
    assert slope.item() == pytest.approx(50 * (1 - 1 / 4), rel=1e-3)


def energy_distance(a, b):
    """Szekely and Rizzo (2013); 0 for equal laws."""
    between, of_a, of_b = torch.cdist(a, b).mean(), torch.cdist(a, a).mean(), torch.cdist(b, b)
    return (2 * between - of_a - of_b.mean()).item()


def test_stage_two_has_the_law_of_codes_that_are_no_gaussian(tiny):
    """Of a mixture of two: its draws are nearer than the prior's, its latents nearer the prior."""
    chosen = ["model.latent_dim=2", "protocol.learning_rate=5e-3", "method.width=32"]
    method = build(tiny, "two_stage_vae", *chosen)
    draw = torch.Generator().manual_seed(0)
    sides = 2.0 * torch.randint(0, 2, (400, 1), generator=draw) - 1
    codes = torch.cat([1.5 * sides, torch.zeros(400, 1)], dim=1)
    codes = codes + 0.3 * torch.randn(400, 2, generator=draw)
    encoded = torch.cat([codes, torch.full((400, 2), -10.0)], dim=1)
    for step in range(300):
        rows = torch.randint(0, 400, (100,), generator=draw)
        method.learn_codes(Visit(rows, step, False, rows), encoded)
    drawn = method.draw_codes(400, draw)
    prior = torch.randn(400, 2, generator=draw)
    assert energy_distance(drawn, codes) < energy_distance(prior, codes) / 5
    u = method.second(codes, torch.randn(400, 2, generator=draw))[2].detach()
    assert energy_distance(u, prior) < energy_distance(codes, prior) / 5


def test_a_draw_of_stage_two_has_its_noise():
    network = CodeVAE(3, 8, 1)
    with torch.no_grad():
        network.log_gamma.fill_(math.log(0.5))
    u, noise = torch.randn(2, 4, 3)
    torch.testing.assert_close(network.draw(u, noise), network.decoder(u).detach() + 0.5 * noise)


# Samples


def test_samples_of_an_ae_have_the_moments_of_its_codes(tiny):
    method = trained(tiny, "ae", iterations=1)
    drawn = method.draw_codes(20_000, torch.Generator().manual_seed(0))
    spread = method.codes.std(0)
    assert ((drawn.mean(0) - method.codes.mean(0)).abs() < 0.05 * spread).all()
    codes = (method.codes - method.codes.mean(0)) / spread
    drawn = (drawn - drawn.mean(0)) / spread
    covariances = [x.T @ x / len(x) for x in (codes, drawn)]
    torch.testing.assert_close(covariances[1], covariances[0], atol=0.06, rtol=0)


@pytest.mark.parametrize("name", ["vae", "beta_vae", "wae_mmd"])
def test_samples_of_the_others_are_the_priors(tiny, name):
    method = build(tiny, name)
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    prior = method.problem.sample_prior(5, draws[0])
    assert torch.equal(method.draw_codes(5, draws[1]), prior)


def test_at_angle_zero_ae_ot_draws_its_training_codes(tiny):
    method = trained(tiny, "ae_ot", "method.angle=0.0", "method.transport_steps=1000")
    drawn = method.draw_codes(4_000, torch.Generator().manual_seed(0))
    distances = (drawn[:, None] - method.codes).norm(dim=2)
    assert distances.amin(1).max() == 0
    counts = torch.bincount(distances.argmin(1), minlength=40)
    expected = 100
    chi_square = (counts - expected).square().sum().item() / expected
    assert chi_square < 39 + 5 * math.sqrt(2 * 39)  # of 39 degrees of freedom
    again = build(tiny, "ae_ot", "method.angle=0.0")
    again.load_state_dict(method.trained_state())
    draw = torch.Generator().manual_seed(0)
    assert torch.equal(again.draw_codes(4_000, draw), drawn)


def test_ae_ot_says_how_many_samples_are_no_training_codes(tiny):
    shares = {
        angle: build(tiny, "ae_ot", f"method.angle={angle}").fit_iteration()["extended_share"]
        for angle in (0.0, 3.14)
    }
    assert shares == {0.0: 0.0, 3.14: 1.0}


# Bad input


@pytest.mark.parametrize(
    ("name", "override", "named"),
    [
        ("beta_vae", "method.beta=-1.0", "method.beta=-1.0"),
        ("rae", "method.embedding_weight=-1.0", "method.embedding_weight"),
        ("rae_gp", "method.gradient_weight=-1.0", "method.gradient_weight"),
        ("wae_mmd", "method.mmd_weight=-1.0", "method.mmd_weight"),
        ("two_stage_vae", "method.width=0", "method.width=0"),
        ("two_stage_vae", "method.second_epochs=0", "method.second_epochs=0"),
        ("ae_ot", "method.angle=4.0", "method.angle=4.0"),
        ("ae_ot", "method.transport_steps=0", "method.transport_steps=0"),
    ],
)
def test_bad_values_name_the_key(tiny, name, override, named):
    with pytest.raises(InputError, match=named):
        build(tiny, name, override)


COLOURS = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)


@pytest.mark.parametrize("name", WITH_ENCODER)
def test_an_encoder_that_cannot_take_the_images_is_refused_in_one_line(tiny, name):
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", "device=cpu", "precision=float32", *small(name)]
    )
    colours = replace(tiny, train=replace(tiny.train, images=COLOURS))
    other = config | {"decoder": resolve(["decoder=svhn"])["decoder"]}
    widths = {**config["method"]["encoder"], "widths": [16, 16]}
    for encoder, taken, data in (
        (None, config, tiny), (widths, config, tiny), (config["method"]["encoder"], other, colours),
    ):  # fmt: skip
        taken = taken | {"method": {**config["method"], "encoder": encoder}}
        with pytest.raises(InputError, match=r"^decoder\.encoder") as refused:
            build_method(taken, build_problem(taken, data, trial=False))
        assert "\n" not in str(refused.value)
