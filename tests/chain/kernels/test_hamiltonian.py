"""Hamiltonian Monte Carlo: the posterior itself, at a step size with many rejections."""

import itertools

import torch

from ltvm.chain.hamiltonian import transition
from ltvm.chain.kernels.hamiltonian import Hamiltonian
from ltvm.runtime.randomness import image_normals


def test_the_stationary_law_is_the_posterior_at_a_coarse_step(linear):
    n, steps, kernel = 40_000, 30, Hamiltonian(size=0.6, leapfrog=3)
    noise = image_normals(0, torch.arange(n), steps, 3)
    codes = linear.run(kernel, torch.zeros(n, 2), steps, noise)["codes"]
    rejected = (linear.run(kernel, codes, 1, noise[:1])["codes"] == codes).all(1).float().mean()
    assert rejected > 0.05  # the uncorrected law would be visibly another
    # Standard errors are about 0.003.
    torch.testing.assert_close(codes.mean(0), linear.mean, atol=0.012, rtol=0)
    torch.testing.assert_close(codes.T.cov(), linear.covariance, atol=0.01, rtol=0.02)


def test_the_energy_is_conserved_to_second_order(linear):
    precision = linear.precision.double()

    def target(codes):
        gradient = codes @ precision
        return {"codes": codes, "terms": (codes * gradient).sum(1, True) / 2, "gradient": gradient}

    draws = torch.randn(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start, lost = target(draws.flip(0)[:, :2]), []
    for halvings in range(4):
        _, probability = transition(target, start, 0.2 / 2**halvings, 2**halvings, draws)
        lost.append((1 - probability).mean())
    for coarse, fine in itertools.pairwise(lost):
        assert 3 < coarse / fine < 5.5


def test_a_trajectory_that_leaves_the_numbers_is_rejected():
    def potential(codes):
        inside = codes.abs().amax(1) < 1
        return codes.square().sum(1).where(inside, torch.nan), (2 * codes).where(
            inside[:, None], torch.nan
        )

    kernel, codes = Hamiltonian(size=5.0, leapfrog=2), torch.full((4, 2), 0.5)
    moved = kernel.step(kernel.init(codes), potential, torch.ones(4, 3), kernel.constants(0))
    assert torch.equal(moved["codes"], codes)
    assert moved["gradient"].isfinite().all()
