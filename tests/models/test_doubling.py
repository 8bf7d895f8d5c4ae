"""The shapes of product that take a transposed convolution's place, against torch's own."""

import pytest
import torch
from torch import nn

from ltvm.models.doubling import DoublingConv, dense, phases
from ltvm.models.weights import frozen

SHAPES = [(6, 5, 2, 2), (6, 5, 1, 3), (6, 5, 1, 1), (6, 3, 4, 5), (6, 1, 2, 2)]


def layers(channels_in, channels_out, dtype=torch.float64):
    layer = DoublingConv(channels_in, channels_out).to(dtype)
    plain = nn.ConvTranspose2d(channels_in, channels_out, 5, 2, 2, 1).to(dtype)
    plain.load_state_dict(layer.state_dict())
    return layer, plain


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(("channels_in", "channels_out", "h", "w"), SHAPES)
def test_a_doubling_is_the_transposed_convolution(channels_in, channels_out, h, w, kept):
    """Its image and its gradients, to inputs, weights and biases, and the gradient of these."""
    layer, plain = layers(channels_in, channels_out)
    layer.keep(kept)
    images = torch.randn(4, channels_in, h, w, dtype=torch.float64, requires_grad=True)
    found = []
    for one in (layer, plain):
        made = one(images)
        wanted = (images, one.weight, one.bias)
        first = torch.autograd.grad(made.sin().sum(), wanted, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), (images, one.weight))
        found.append([made, *first, *second])
    for own, theirs in zip(*found, strict=True):
        torch.testing.assert_close(own, theirs)


def test_both_products_are_taken_where_they_should_be():
    _, plain = layers(6, 5)
    images = torch.randn(3, 6, 2, 2, dtype=torch.float64)
    product = images.permute(0, 2, 3, 1).flatten(1) @ dense(plain.weight, 2, 2)
    torch.testing.assert_close(
        product.view(3, 5, 4, 4) + plain.bias.view(1, 5, 1, 1), plain(images)
    )
    assert phases(layers(6, 3)[0].weight).shape == (12, 6, 3, 3)
    taken = []
    for side, keep, dtype in [(2, True, None), (2, False, None), (3, True, None),
                              (2, False, torch.bfloat16)]:  # fmt: skip
        one = DoublingConv(6, 5).to(dtype or torch.float32)
        one.keep(keep)
        one(torch.randn(3, 6, side, side, dtype=dtype).to(one.weight.dtype)).sum().backward()
        taken.append(one.rearranged is not None)
        one._dense = lambda images: taken.append("dense") or images
        one(torch.randn(3, 6, side, side).to(one.weight.dtype))
    assert taken == [True, "dense", False, False, False]


def fail_in(layer, images):
    layer(images)
    raise RuntimeError("stop")


def test_what_a_chain_keeps_of_the_weights_ends_with_it():
    layer, plain = layers(6, 5, torch.float32)
    images = torch.randn(3, 6, 2, 2)
    with frozen(nn.Sequential(layer)):
        before = layer(images)
        with frozen(layer):  # an inner block does not end what the outer one keeps
            pass
        assert layer.rearranged is not None
        assert torch.equal(layer(images), before)
    assert layer.rearranged is None
    with torch.no_grad():
        layer.weight.mul_(2)
        plain.weight.mul_(2)
    with frozen(layer):
        torch.testing.assert_close(layer(images), plain(images))
    with pytest.raises(RuntimeError, match="stop"), frozen(layer):
        fail_in(layer, images)
    assert layer.rearranged is None
    assert not layer.keeps
