"""Decoders against Table 1 of the paper, layers against torch's own."""

import math

import pytest
import torch
from torch import nn

from ltvm.decoders import ARCHITECTURES, PatchTransposedConv, build_decoder, frozen, statistics
from ltvm.encoders import PatchConv, build_encoder
from ltvm.errors import InputError


def batchnorm(channels):
    return 2 * channels


# Counted by hand from the table: weights, biases, and two numbers per normalised channel.
MNIST = (
    30 * 1024 + 1024 + batchnorm(1024)
    + 1024 * 6272 + 6272 + batchnorm(6272)
    + 128 * 64 * 4 + 64 + batchnorm(64)
    + 64 * 1 * 4 + 1
)  # fmt: skip
SVHN = (
    64 * 2048 + batchnorm(512)
    + 512 * 256 * 25 + 256 + batchnorm(256)
    + 256 * 128 * 25 + 128 + batchnorm(128)
    + 128 * 64 * 25 + 64 + batchnorm(64)
    + 64 * 3 * 25 + 3
)  # fmt: skip
CELEBA = (
    64 * 16 * 1024 + batchnorm(1024)
    + 1024 * 512 * 25 + 512 + batchnorm(512)
    + 512 * 256 * 25 + 256 + batchnorm(256)
    + 256 * 128 * 25 + 128 + batchnorm(128)
    + 128 * 3 * 25 + 3
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "d", "channels", "parameters", "maps"),
    [
        ("mnist", 30, 1, MNIST, [(128, 7, 7), (64, 14, 14), (1, 28, 28)]),
        ("svhn", 64, 3, SVHN,
         [(512, 2, 2), (256, 4, 4), (128, 8, 8), (64, 16, 16), (3, 32, 32)]),
        ("celeba", 64, 3, CELEBA,
         [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64)]),
    ],
)  # fmt: skip
def test_layers_and_parameters_are_those_of_the_table(name, d, channels, parameters, maps):
    decoder = build_decoder(name, d, channels)
    assert sum(p.numel() for p in decoder.parameters()) == parameters
    seen = []
    for layer in decoder:
        if isinstance(layer, nn.Unflatten | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[1:])))
    images = decoder(torch.randn(3, d))
    assert seen == maps
    assert images.abs().max() <= 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_encoder_mirrors_the_decoder(name):
    channels = 1 if name == "mnist" else 3
    decoder, encoder = build_decoder(name, 7, channels), build_encoder(name, 7, channels)
    images = decoder(torch.randn(4, 7))
    assert encoder(images).shape == (4, 14)
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    mirrored = [m for m in decoder.modules() if isinstance(m, nn.ConvTranspose2d)][::-1]
    assert [m.weight.shape for m in convolutions] == [m.weight.shape for m in mirrored]


@pytest.mark.parametrize("contiguous", [True, False])
def test_patch_layers_equal_torch_with_gradients(contiguous):
    x = torch.randn(5, 8, 6, 6, dtype=torch.float64)
    x = x if contiguous else x.to(memory_format=torch.channels_last)
    for fast, slow in (
        (PatchTransposedConv(8, 4, 2), nn.ConvTranspose2d(8, 4, 2, stride=2)),
        (PatchConv(8, 4, 2), nn.Conv2d(8, 4, 2, stride=2)),
    ):
        slow.load_state_dict(fast.state_dict())
        results = []
        for layer in (fast.double(), slow.double()):
            given = x.clone().requires_grad_()
            layer(given).square().sum().backward()
            results.append((layer(x), given.grad, layer.weight.grad, layer.bias.grad))
        for ours, theirs in zip(*results, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_weights_are_xavier_normal_and_seeded():
    first = build_decoder("svhn", 64, 3, generator=torch.Generator().manual_seed(1))
    again = build_decoder("svhn", 64, 3, generator=torch.Generator().manual_seed(1))
    layer = next(m for m in first if isinstance(m, nn.ConvTranspose2d))
    expected = math.sqrt(2 / ((512 + 256) * 25))
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.01)
    assert layer.bias.abs().max() == 0
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )


def test_statistics_modes():
    decoder = build_decoder("mnist", 5, 1)
    norm = next(m for m in decoder if isinstance(m, nn.BatchNorm1d))
    codes = torch.randn(8, 5)

    def state():
        return norm.running_mean.clone(), norm.num_batches_tracked.item()

    start = state()
    with statistics(decoder, "batch"):
        together = decoder(codes)
        alone = decoder(codes[:4])
    assert torch.equal(state()[0], start[0])
    assert state()[1] == 0
    assert not torch.allclose(together[:4], alone, atol=1e-3)  # neighbours matter
    with statistics(decoder, "running"):
        torch.testing.assert_close(decoder(codes)[:4], decoder(codes[:4]))
    with statistics(decoder, "learn"):
        decoder(codes)
    assert state()[1] == 1
    assert not torch.equal(state()[0], start[0])
    assert decoder.training


def test_frozen_restores():
    decoder = build_decoder("mnist", 5, 1)
    with frozen(decoder):
        assert not any(p.requires_grad for p in decoder.parameters())
    assert all(p.requires_grad for p in decoder.parameters())


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("stem", [True, False])
def test_every_norm_works(norm, stem):
    for name, channels in (("mnist", 1), ("svhn", 3)):
        assert (
            build_decoder(name, 4, channels, norm=norm, stem_norm=stem)(torch.randn(2, 4))
            .isfinite()
            .all()
        )


@pytest.mark.parametrize("arguments", [("lsun", 5, 1), ("mnist", 0, 1), ("mnist", 5, 0)])
def test_bad_arguments_name_what_is_allowed(arguments):
    with pytest.raises(InputError, match="allowed"):
        build_decoder(*arguments)
