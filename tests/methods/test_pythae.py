"""Losses of pythae (Chadebec, Vincent and Allassonniere, NeurIPS 2022) and ours, at equal weights.

Both are given the same images, networks and draws. pythae has no sigma: its misfit is |x - g(z)|^2,
ours at sigma^2 = 1/2, or half of that for a VAE, ours at sigma = 1.
"""

import math

import pytest
import torch
from small_networks import small

from ltvm.config import resolve
from ltvm.methods.budget import Visit
from ltvm.models.batchnorm import statistics
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.runtime.randomness import image_normals

pytest.importorskip("pythae", reason="pythae is not installed (pip install 'ltvm[bench]')")

HALF = f"model.sigma={math.sqrt(0.5)!r}"
D = 6


def build(tiny, name, *overrides):
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", f"model.latent_dim={D}", "device=cpu",
         "precision=float32", "execution.products=torch", *small(name), *overrides]
    )  # fmt: skip
    return build_method(config, build_problem(config, tiny, trial=False))


def networks(method):
    """Encoder and decoder of a method as pythae has them."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.network = method.encoder

        def forward(self, x):
            mean, log_variance = self.network(x).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.network = method.decoder

        def forward(self, z):
            return ModelOutput(reconstruction=self.network(z))

    return {"encoder": Encoder(), "decoder": Decoder()}


def theirs(model, method, monkeypatch):
    """Their loss on the first batch, drawing what ours draws for it, and its gradients."""
    (batch, *_) = method.batches(0)
    images = method.problem.images.scaled(batch)
    noise = image_normals(method.problem.stream_key("noise", 0), batch, 1, D)[0]
    monkeypatch.setattr(torch, "randn_like", lambda *_, **__: noise)
    model.device = torch.device("cpu")
    with statistics(method.encoder, "batch"), statistics(method.decoder, "batch"):
        output = model({"data": images})
    parameters = method.learned_parameters()
    gradients = torch.autograd.grad(output.loss, parameters, allow_unused=True)
    return output.loss.item(), gradients


def ours(method):
    (batch, *_) = method.batches(0)
    loss = method.learn(Visit(batch, 0, False, batch)).item()
    return loss, [parameter.grad for parameter in method.learned_parameters()]


def assert_equal(found, expected):
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    # Of biases before a batch norm the gradient is rounding alone.
    largest = max(gradient.abs().max().item() for gradient in expected[1])
    for own, other in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(own, other, rtol=2e-3, atol=1e-5 * largest)


@pytest.mark.parametrize(("name", "beta"), [("vae", 1.0), ("beta_vae", 4.0)])
def test_vae(tiny, monkeypatch, name, beta):
    from pythae.models import BetaVAE, BetaVAEConfig

    chosen = ["model.sigma=1.0"] + ([f"method.beta={beta}"] if name == "beta_vae" else [])
    method = build(tiny, name, *chosen)
    config = BetaVAEConfig(input_dim=(1, 28, 28), latent_dim=D, beta=beta)
    model = BetaVAE(config, **networks(method))
    expected = theirs(model, method, monkeypatch)
    assert_equal(ours(method), expected)


def test_wae_mmd(tiny, monkeypatch):
    from pythae.models import WAE_MMD, WAE_MMD_Config

    method = build(tiny, "wae_mmd", HALF, "method.mmd_weight=10.0")
    config = WAE_MMD_Config(
        input_dim=(1, 28, 28), latent_dim=D, kernel_choice="imq", kernel_bandwidth=1.0,
        scales=[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0], reg_weight=80 * 10.0,
    )  # fmt: skip
    model = WAE_MMD(config, **networks(method))
    expected = theirs(model, method, monkeypatch)
    assert_equal(ours(method), expected)


def test_rae_l2(tiny, monkeypatch):
    """pythae leaves the decoder's weights to the optimiser: they are no part of its loss."""
    from pythae.models import RAE_L2, RAE_L2_Config

    chosen = ["method.embedding_weight=0.01", "method.decoder_weight=0.0"]
    method = build(tiny, "rae", HALF, *chosen)
    # Ours: 2 * 784 / sigma^2 * 0.01 * mean z^2; theirs: weight * |z|^2 / 2.
    weight = 2 * 784 / 0.5 * 0.01 / D * 2
    config = RAE_L2_Config(input_dim=(1, 28, 28), latent_dim=D, embedding_weight=weight)
    expected = theirs(RAE_L2(config, **networks(method)), method, monkeypatch)
    assert_equal(ours(method), expected)


def test_rae_gp_without_its_gradient(tiny, monkeypatch):
    """pythae's penalty is another: the gradient with respect to the image, of a sum of pixels."""
    from pythae.models import RAE_GP, RAE_GP_Config

    chosen = ["method.embedding_weight=0.01", "method.gradient_weight=0.0"]
    method = build(tiny, "rae_gp", HALF, *chosen)
    weight = 2 * 784 / 0.5 * 0.01 / D * 2
    config = RAE_GP_Config(
        input_dim=(1, 28, 28), latent_dim=D, embedding_weight=weight, reg_weight=0.0
    )
    expected = theirs(RAE_GP(config, **networks(method)), method, monkeypatch)
    assert_equal(ours(method), expected)
