"""Networks from their configuration: what fits is built and seeded, what does not is named."""

import pytest
import torch
from networks_by_name import decoder_of
from torch import nn

from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.models.batchnorm import statistics
from ltvm.models.networks import build_decoder, build_encoder, build_prior
from ltvm.models.weights import low_precision_copy


class Residual(nn.Module):
    """With a parameter that is no layer's, drawn from torch's global generator."""

    def __init__(self, latent_dim, scale=1.0):
        super().__init__()
        self.first = nn.Linear(latent_dim, 3 * 8 * 8)
        self.norm = nn.BatchNorm3d(3)
        self.shift = nn.Parameter(torch.randn(3, 8, 8))
        self.scale = scale

    def forward(self, codes):
        images = self.first(codes).view(-1, 3, 1, 8, 8)
        return self.scale * torch.tanh(self.norm(images)[:, :, 0] + self.shift)


@pytest.fixture
def parameters(monkeypatch):
    import sys

    module = type(sys)("networks_of_a_test")
    module.Residual, module.Fixed = Residual, lambda latent_dim: nn.Linear(latent_dim, 3)
    monkeypatch.setitem(sys.modules, "networks_of_a_test", module)
    return {"_target_": "networks_of_a_test.Residual", "name": "residual"}


def test_a_decoder_from_outside_is_seeded_whatever_it_draws(parameters):
    before = torch.get_rng_state()
    first, again = (build_decoder(parameters, 5, (3, 8, 8), seed=1) for _ in range(2))
    other = build_decoder(parameters, 5, (3, 8, 8), seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.shift, again.shift)
    assert torch.equal(first.first.weight, again.first.weight)
    assert not torch.equal(first.shift, other.shift)
    assert first.first.bias.abs().max() == 0  # layers start as all decoders' do


def test_batch_norm_of_any_dimension_keeps_its_statistics_and_precision(parameters):
    decoder = build_decoder(parameters, 5, (3, 8, 8), seed=0)
    codes = torch.randn(6, 5)
    with statistics(decoder, "batch"):
        decoder(codes)
    assert decoder.norm.num_batches_tracked.item() == 0
    with statistics(decoder, "running"):
        torch.testing.assert_close(decoder(codes)[:2], decoder(codes[:2]))
    copied = low_precision_copy(decoder, torch.bfloat16)
    assert copied.norm.weight.dtype == torch.float32
    assert copied.first.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("changes", "shape", "named"),
    [
        ({}, (3, 16, 16), "decoder=residual: makes images=3x8x8: allowed: 3x16x16"),
        ({"scale": 2.0}, (3, 8, 8), "decoder=residual: makes pixels=.*from -1 to 1"),
        ({"_target_": "networks_of_a_test.Fixed"}, (3, 8, 8), "makes images=3: allowed: 3x8x8"),
        ({"_target_": "networks_of_a_test.Absent"}, (3, 8, 8), "decoder._target_=.*allowed"),
        ({"depth": 3}, (3, 8, 8), "decoder: .*takes other parameters"),
    ],
)
def test_a_decoder_that_does_not_fit_is_named(parameters, changes, shape, named):
    with pytest.raises(InputError, match=named):
        build_decoder(parameters | changes, 5, shape, seed=0)


def test_an_encoder_that_does_not_fit_is_named():
    encoder = resolve(["decoder=svhn"])["decoder"]["encoder"]
    with pytest.raises(InputError, match="ConvEncoder: fails on inputs"):
        build_encoder(encoder, 5, (3, 64, 64), 0, "batch")
    with pytest.raises(InputError, match="decoder.encoder=null"):
        build_encoder(None, 5, (3, 32, 32), 0, "batch")


def test_a_class_that_is_no_prior_is_named():
    with pytest.raises(InputError, match="prior=none: a Identity; allowed: a subclass of Prior"):
        build_prior({"_target_": "torch.nn.Identity", "name": "none"}, 5, 0)


def test_the_default_prior_is_standard_normal():
    prior = build_prior(resolve([])["prior"], 5, 0)
    assert prior.is_standard_normal
    codes = torch.randn(4, 5)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(codes).sum(1)
    constant = 5 / 2 * torch.log(torch.tensor(2 * torch.pi))
    torch.testing.assert_close(prior.energy(codes), -density - constant)


def test_bad_settings_of_a_decoder_of_the_suite_are_named():
    with pytest.raises(InputError, match=r"decoder.norm=layer: allowed: batch, group, none"):
        decoder_of("mnist", 4, 1, norm="layer")


@pytest.mark.parametrize("widths", [[32, 16], [32, 16, 8, 8], [32]])
def test_the_decoder_of_digits_has_three_widths(widths):
    with pytest.raises(InputError, match=r"decoder\.widths=.*: allowed: three numbers"):
        decoder_of("mnist", 4, 1, widths=widths)


@pytest.mark.parametrize(
    ("name", "widths", "layer"),
    [("mnist", [30, 16, 8], 30), ("mnist", [32, 12, 8], 588), ("mnist", [32, 16, 6], 6),
     ("svhn", [16, 8, 8, 12], 12)],
)  # fmt: skip
def test_groups_of_a_norm_are_of_one_size(name, widths, layer):
    with pytest.raises(
        InputError, match=rf"decoder\.norm=group: .* multiples of 8 .*has {layer}\)"
    ):
        decoder_of(name, 4, 1, norm="group", widths=widths)
    decoder_of(name, 4, 1, norm="none", widths=widths)
