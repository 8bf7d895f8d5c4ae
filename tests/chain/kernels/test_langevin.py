"""Step conventions of the Langevin kernel, and its discretisation error in closed form."""

import itertools

import pytest
import torch

from ltvm.chain.kernels.langevin import Langevin


def test_step_conventions():
    assert Langevin("langevin", 0.1).constants(7) == pytest.approx((0.005, 0.1))
    # The paper's MNIST and SVHN values at the start, and the noise schedule after.
    assert Langevin("paper", 0.3).constants(0) == pytest.approx((1.5e-4, 0.03))
    assert Langevin("paper", 3.0).constants(0) == pytest.approx((1.5e-3, 0.3))
    ratios = [Langevin("paper", 1.0).constants(t)[1] for t in (0, 4, 5, 9, 10, 49, 50, 99)]
    assert ratios == pytest.approx([0.1, 0.1, 0.09, 0.09, 0.08, 0.01, 0.0, 0.0])
    assert Langevin("paper", 0.3, noise=False).constants(0)[1] == 0


def test_temperatures_are_those_of_the_paper():
    assert Langevin("langevin", 0.1).temperature(0) == pytest.approx(1)
    assert Langevin("paper", 0.3).temperature(0) == pytest.approx(3)
    assert Langevin("paper", 3.0).temperature(0) == pytest.approx(30)
    assert Langevin("paper", 3.0).temperature(50) is None  # no noise by then
    assert Langevin("langevin", 0.1, noise=False).temperature(0) is None


def test_noise_is_asked_for_where_it_is_used():
    for kernel, iteration, width in (
        (Langevin("paper"), 0, 7), (Langevin("paper"), 50, 0), (Langevin(noise=False), 0, 0)
    ):  # fmt: skip
        assert kernel.noise_width(7, kernel.constants(iteration)) == width


def test_the_covariance_is_off_by_the_known_factor_of_first_order(linear):
    """tau^2 / (2 eta) P^-1 (I - eta P / 2)^-1 for precision P."""
    precision, errors = linear.precision.double(), []
    for size in (0.4, 0.2, 0.1):
        kernel = Langevin("langevin", size)
        eta, _ = kernel.constants(0)
        found = linear.stationary_covariance(kernel)
        factor = torch.eye(2, dtype=torch.float64) - eta * precision / 2
        torch.testing.assert_close(found, torch.linalg.inv(precision @ factor))
        errors.append((found - torch.linalg.inv(precision)).norm().item())
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine == pytest.approx(4, rel=0.25)  # eta is a quarter
