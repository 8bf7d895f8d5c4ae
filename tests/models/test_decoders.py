"""Decoders against Table 1 of the paper, layers against torch's own."""

import math

import pytest
import torch
from networks_by_name import SIZES, decoder_of, encoder_of
from torch import nn

from ltvm.errors import InputError
from ltvm.models.batchnorm import statistics
from ltvm.models.pixel_rows import (
    ImageToRows,
    PatchConv,
    PatchTransposedConv,
    RowGroupNorm,
    RowsToImage,
)
from ltvm.models.weights import frozen


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
    decoder = decoder_of(name, d, channels)
    assert sum(p.numel() for p in decoder.parameters()) == parameters
    seen = []
    for layer in decoder:
        if isinstance(layer, nn.Unflatten | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _m, _i, out: seen.append(out.numel() // 3))
    images = decoder(torch.randn(3, d))
    assert seen == [math.prod(shape) for shape in maps]
    assert images.shape == (3, *maps[-1])
    assert images.abs().max() <= 1


@pytest.mark.parametrize("name", SIZES)
def test_encoder_mirrors_the_decoder(name):
    channels = 1 if name == "mnist" else 3
    decoder, encoder = decoder_of(name, 7, channels), encoder_of(name, 7, channels)
    images = decoder(torch.randn(4, 7))
    assert encoder(images).shape == (4, 14)
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    mirrored = [m for m in decoder.modules() if isinstance(m, nn.ConvTranspose2d)][::-1]
    assert [m.weight.shape for m in convolutions] == [m.weight.shape for m in mirrored]


def rows_of(images):
    """[n, c, h, w] -> rows of pixels, image by image."""
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def torch_decoder(ours, norm):
    """The MNIST decoder of the table in torch's own layers, with the weights of ``ours``."""
    channels = ours[-3].out_channels
    spatial = {"batch": nn.BatchNorm2d(64), "group": nn.GroupNorm(8, 64), "none": nn.Identity()}
    flat = {"batch": nn.BatchNorm1d, "group": lambda c: nn.GroupNorm(8, c)}
    flat["none"] = lambda _: nn.Identity()
    twin = nn.Sequential(
        nn.Linear(5, 1024), flat["none"](0) if norm == "none" else flat[norm](1024), nn.ReLU(),
        nn.Linear(1024, 6272), flat["none"](0) if norm == "none" else flat[norm](6272), nn.ReLU(),
        nn.Unflatten(1, (7, 7, 128)), nn.Flatten(1, 2), nn.Unflatten(1, (7, 7)),
        nn.ConvTranspose2d(128, 64, 2, stride=2), spatial[norm], nn.ReLU(),
        nn.ConvTranspose2d(64, channels, 2, stride=2), nn.Tanh(),
    ).double()  # fmt: skip
    with torch.no_grad():
        for mine, theirs in zip(ours.parameters(), twin.parameters(), strict=True):
            theirs.copy_(mine)

    def run(codes):
        hidden = twin[:6](codes).view(-1, 7, 7, 128).permute(0, 3, 1, 2)  # units are pixels first
        return twin[9:](hidden)

    return twin, run


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
def test_rows_equal_torch_layers_with_gradients(norm):
    ours = decoder_of("mnist", 5, 2, norm=norm).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter += 0.1 * torch.randn_like(parameter)  # biases and scales that matter
    twin, run = torch_decoder(ours, norm)
    codes = torch.randn(6, 5, dtype=torch.float64)
    results = []
    for decode, parameters in ((ours, ours.parameters()), (run, twin.parameters())):
        given = codes.clone().requires_grad_()
        images = decode(given)
        weight = torch.linspace(-1, 1, images.numel(), dtype=torch.float64).view_as(images)
        (images * weight).sum().backward()
        results.append([images, given.grad, *(p.grad for p in parameters)])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_patch_convolutions_equal_torch():
    images = torch.randn(3, 2, 8, 8, dtype=torch.float64)
    layers = [PatchConv(2, 5, 2).double(), PatchConv(5, 4, 2).double()]
    plain = [nn.Conv2d(2, 5, 2, stride=2).double(), nn.Conv2d(5, 4, 2, stride=2).double()]
    for ours, theirs in zip(layers, plain, strict=True):
        theirs.load_state_dict(ours.state_dict())
    rows = layers[1](layers[0](ImageToRows()(images)))
    torch.testing.assert_close(rows, rows_of(plain[1](plain[0](images))))
    back = RowsToImage(2, 2)(ImageToRows()(images))
    assert torch.equal(back, images)
    wide = PatchTransposedConv(4, 3, 2).double()
    twin = nn.ConvTranspose2d(4, 3, 2, stride=2).double()
    twin.load_state_dict(wide.state_dict())
    pixels = torch.randn(7, 4, dtype=torch.float64)
    blocks = twin(pixels[:, :, None, None]).permute(0, 2, 3, 1).reshape(-1, 3)
    torch.testing.assert_close(wide(pixels), blocks)


def test_group_norm_of_rows_is_per_image():
    images = torch.randn(3, 16, 4, 4)
    expected = nn.GroupNorm(8, 16)(images)
    torch.testing.assert_close(RowGroupNorm(8, 16, pixels=16)(rows_of(images)), rows_of(expected))


def test_weights_are_xavier_normal_and_seeded():
    first = decoder_of("svhn", 64, 3, generator=torch.Generator().manual_seed(1))
    again = decoder_of("svhn", 64, 3, generator=torch.Generator().manual_seed(1))
    layer = next(m for m in first if isinstance(m, nn.ConvTranspose2d))
    expected = math.sqrt(2 / ((512 + 256) * 25))
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.01)
    assert layer.bias.abs().max() == 0
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )


def test_statistics_modes():
    decoder = decoder_of("mnist", 5, 1)
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
    decoder = decoder_of("mnist", 5, 1)
    with frozen(decoder):
        assert not any(p.requires_grad for p in decoder.parameters())
    assert all(p.requires_grad for p in decoder.parameters())


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("stem", [True, False])
def test_every_norm_works(norm, stem):
    for name, channels in (("mnist", 1), ("svhn", 3)):
        assert (
            decoder_of(name, 4, channels, norm=norm, stem_norm=stem)(torch.randn(2, 4))
            .isfinite()
            .all()
        )


@pytest.mark.parametrize("arguments", [("lsun", 5, 1), ("mnist", 0, 1), ("mnist", 5, 0)])
def test_bad_arguments_name_what_is_allowed(arguments):
    with pytest.raises(InputError, match="allowed"):
        decoder_of(*arguments)
