"""What auto-encoders add to their misfit, by itself: gradient penalty and MMD."""

import math

import pytest
import torch
from torch import nn

from ltvm.chain.onednn import OneDnn, onednn_available
from ltvm.methods.rae import gradient_penalty
from ltvm.methods.wae_mmd import mmd, mmd_flops


def smooth_decoder(draw):
    layers = [nn.Linear(3, 5), nn.Softplus(), nn.Linear(5, 4), nn.Tanh()]
    network = nn.Sequential(*layers).double()
    for parameter in network.parameters():
        parameter.data.normal_(generator=draw)
    return network


def test_the_gradient_penalty_is_that_of_finite_differences():
    draw = torch.Generator().manual_seed(0)
    network, step = smooth_decoder(draw), 1e-5
    codes = torch.randn(7, 3, generator=draw, dtype=torch.float64).requires_grad_(True)

    def energy(z):
        return ((network(z) + 1) / 2).square().sum(1)

    def by_differences():
        total = 0.0
        for axis in torch.eye(3, dtype=torch.float64):
            slope = (energy(codes + step * axis) - energy(codes - step * axis)) / (2 * step)
            total = total + slope.square().sum()
        return total / codes.numel()

    penalty = gradient_penalty(codes, network(codes))
    torch.testing.assert_close(penalty, by_differences(), rtol=1e-7, atol=0)
    # And its own gradient, with respect to a weight and to a code.
    weight = network[0].weight
    of_weight, of_codes = torch.autograd.grad(penalty, [weight, codes])
    for tensor, gradient in ((weight, of_weight), (codes, of_codes)):
        with torch.no_grad():
            tensor[1, 2] += step
            above = by_differences().item()
            tensor[1, 2] -= 2 * step
            below = by_differences().item()
            tensor[1, 2] += step
        assert gradient[1, 2].item() == pytest.approx((above - below) / (2 * step), rel=1e-4)


@pytest.mark.skipif(not onednn_available(), reason="no oneDNN")
def test_products_by_onednn_can_be_differentiated_twice():
    draw = torch.Generator().manual_seed(0)
    network = smooth_decoder(draw).float()
    codes = torch.randn(7, 3, generator=draw).requires_grad_(True)
    found = []
    for context in (torch.enable_grad(), OneDnn()):
        with context:
            made = network(codes)
        found.append(
            torch.autograd.grad(gradient_penalty(codes, made), [*network.parameters(), codes])
        )
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not onednn_available(), reason="no oneDNN")
@pytest.mark.parametrize("shape", [(5,), (1,), (7, 1), (7, 5)])
def test_sums_that_are_no_bias_of_a_layer_stay_torchs(shape):
    draw = torch.Generator().manual_seed(0)
    added, x, w = (torch.randn(size, generator=draw) for size in (shape, (7, 3), (3, 5)))
    with OneDnn():
        made = torch.addmm(added, x, w)
    torch.testing.assert_close(made, torch.addmm(added, x, w))


def test_mmd_is_the_unbiased_estimate():
    draw = torch.Generator().manual_seed(0)
    z, p = (torch.randn(5, 3, generator=draw, dtype=torch.float64) for _ in range(2))

    def k(a, b):
        return sum(
            (2 * 3 * s) / (2 * 3 * s + (a - b).square().sum()) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)
        ).item()

    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    expected = sum(k(z[i], z[j]) + k(p[i], p[j]) for i, j in pairs) / 20
    expected -= 2 * sum(k(a, b) for a in z for b in p) / 25
    assert mmd(z, p).item() == pytest.approx(expected, rel=1e-9)
    assert mmd_flops(50, 3) == 12 * 50 * 3  # six products of [n, d] and [d, n], both ways


def test_mmd_of_equal_laws_is_zero_in_expectation():
    draw = torch.Generator().manual_seed(0)
    equal = torch.stack([mmd(*torch.randn(2, 20, 4, generator=draw)) for _ in range(400)])
    assert abs(equal.mean()) < 4 * equal.std() / math.sqrt(400)
    assert equal.min() < 0
    pairs = [torch.randn(2, 20, 4, generator=draw) for _ in range(200)]
    wider = torch.stack([mmd(1.5 * a, b) for a, b in pairs])
    assert wider.mean() > 10 * wider.std() / math.sqrt(200)
