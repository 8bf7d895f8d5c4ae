"""Underdamped Langevin dynamics: the posterior's covariance in closed form, at any stable step."""

import pytest
import torch

from ltvm.chain.kernels.underdamped import Underdamped
from ltvm.runtime.randomness import image_normals


@pytest.mark.parametrize("size", [0.05, 0.3, 0.8])
@pytest.mark.parametrize(("friction", "temperature"), [(0.5, 1.0), (3.0, 2.0)])
def test_codes_and_velocities_have_the_covariance_they_should(linear, size, friction, temperature):
    found = linear.stationary_covariance(Underdamped(size, friction, temperature))
    exact = temperature * torch.linalg.inv(linear.precision.double())
    torch.testing.assert_close(found[:2, :2], exact)
    torch.testing.assert_close(found[2:, 2:], temperature * torch.eye(2, dtype=torch.float64))


def test_the_chain_reaches_the_posterior_and_keeps_its_velocity(linear):
    n, steps, kernel = 20_000, 60, Underdamped(0.3, 1.5)
    noise = image_normals(0, torch.arange(n), steps, 2)
    state = linear.run(kernel, torch.zeros(n, 2), steps, noise)
    # Standard errors are about 0.004.
    torch.testing.assert_close(state["codes"].mean(0), linear.mean, atol=0.016, rtol=0)
    torch.testing.assert_close(state["codes"].T.cov(), linear.covariance, atol=0.012, rtol=0.03)
    assert state.keys() == {"codes", "velocity"}


def test_one_step_by_hand():
    kernel, noise = Underdamped(0.5, 2.0, 3.0), torch.tensor([[0.7]])
    state = {"codes": torch.tensor([[1.0]]), "velocity": torch.tensor([[0.2]])}
    moved = kernel.step(state, lambda z: (z.square().sum(1), 2 * z), noise, kernel.constants(0))
    c = torch.tensor(-1.0).exp()
    half = 1 + 0.25 * (0.2 - 0.5 * 2)
    velocity = c * (0.2 - 0.5 * 2) + (3 * (1 - c**2)).sqrt() * 0.7
    torch.testing.assert_close(moved["velocity"][0, 0], velocity)
    torch.testing.assert_close(moved["codes"][0, 0], half + 0.25 * velocity)
