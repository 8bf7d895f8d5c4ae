"""The Adam-preconditioned kernel against torch's Adam, pSGLD by hand, and a bad condition."""

import pytest
import torch

from ltvm.chain.kernels.adam import AdamLangevin
from ltvm.chain.kernels.langevin import Langevin

CURVATURE = torch.tensor([1.0, 1000.0])


def potential(codes):
    return (CURVATURE * codes.square()).sum(1) / 2, CURVATURE * codes


def run(kernel, codes, steps, noise=None):
    state = kernel.init(codes)
    for step in range(steps):
        draws = None if noise is None else noise[step]
        state = kernel.step(state, potential, draws, kernel.constants(0))
    return state


def test_without_noise_it_is_adam():
    kernel = AdamLangevin(size=0.3, betas=(0.9, 0.99), epsilon=1e-6, noise=False)
    codes = torch.nn.Parameter(torch.tensor([[1.0, -2.0]]))
    adam = torch.optim.Adam([codes], lr=0.3**2 / 2, betas=(0.9, 0.99), eps=1e-6)
    moved = run(kernel, codes.detach().clone(), 7)["codes"]
    for _ in range(7):
        adam.zero_grad()
        potential(codes)[0].sum().backward()
        adam.step()
    torch.testing.assert_close(moved, codes.detach())


def test_two_steps_by_hand_are_those_of_psgld():
    s, b, epsilon = 0.2, 0.75, 0.1
    z, noise = torch.tensor([[1.0, -0.01]]), torch.tensor([[[0.5, -1.0]], [[2.0, 0.3]]])
    v = torch.zeros(1, 2)
    expected = z
    for t in (1, 2):
        g = CURVATURE * expected
        v = b * v + (1 - b) * g**2
        scale = 1 / ((v / (1 - b**t)) ** 0.5 + epsilon)
        expected = expected - s**2 / 2 * scale * g + s * scale**0.5 * noise[t - 1]
    moved = run(AdamLangevin(s, (0.0, b), epsilon), z, 2, noise)
    torch.testing.assert_close(moved["codes"], expected)
    torch.testing.assert_close(moved["second"], v)
    assert moved["taken"].item() == 2


def test_it_gets_on_where_the_condition_is_bad():
    """Plain descent at its largest stable step crawls along the flat direction."""
    start = torch.tensor([[1.0, 1.0]])
    plain = Langevin("langevin", (2 * 1.9 / 1000) ** 0.5, noise=False)
    assert run(plain, start, 100)["codes"].abs().max() > 0.8
    kernel = AdamLangevin(0.2, noise=False)
    assert run(kernel, start, 100)["codes"].abs().max() < 0.1


def test_its_temperature_is_not_known_since_it_is_biased():
    kernel = AdamLangevin()
    assert kernel.temperature(0) is None
    assert kernel.noise_width(7, kernel.constants(0)) == 7
    assert AdamLangevin(noise=False).noise_width(7, (0.02, 0.0)) == 0
    assert kernel.constants(3) == pytest.approx((0.02, 0.2))
