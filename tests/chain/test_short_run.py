"""The chain against a posterior that is known: a linear decoder (see ``conftest``)."""

import pytest
import torch
from networks_by_name import decoder_of

from ltvm.chain.kernels.langevin import Langevin
from ltvm.chain.short_run import energy, short_run
from ltvm.models.prior import Prior, StandardNormal


class Shifted(Prior):
    """N(m, s^2 I), with a mean that is learned."""

    def __init__(self, latent_dim, mean, spread):
        super().__init__(latent_dim)
        self.mean, self.spread = torch.nn.Parameter(torch.full((latent_dim,), mean)), spread

    def sample(self, n, draws):
        return (self.mean + self.spread * draws.normal(n, self.latent_dim)).detach()

    def energy(self, codes):
        return ((codes - self.mean) / self.spread).square().sum(1) / 2


def test_the_chain_reaches_the_gaussian_posterior(linear):
    n = 40_000
    noise = torch.randn(300, n, 2, generator=torch.Generator().manual_seed(0))
    codes = linear.run(Langevin("langevin", 0.1), torch.zeros(n, 2), 300, noise)["codes"]
    # Standard errors are about 0.003; a step of 0.1 biases the covariance by under 2 %.
    torch.testing.assert_close(codes.mean(0), linear.mean, atol=0.012, rtol=0)
    torch.testing.assert_close(codes.T.cov(), linear.covariance, atol=0.01, rtol=0.03)


def test_without_noise_it_descends_to_the_mode(linear):
    kernel = Langevin("langevin", 0.1**0.5, noise=False)
    codes = linear.run(kernel, torch.ones(1, 2), 300, None)["codes"]
    torch.testing.assert_close(codes[0], linear.mean, atol=1e-4, rtol=0)


def test_the_mode_is_that_of_the_prior_given(linear):
    linear.prior = Shifted(2, 1.5, 0.5)
    codes = linear.run(Langevin("langevin", 0.3, noise=False), torch.ones(1, 2), 400, None)["codes"]
    weight = linear.decoder.weight.detach()
    precision = weight.T @ weight / linear.sigma**2 + torch.eye(2) / 0.25
    right = weight.T @ linear.image.flatten() / linear.sigma**2 + 1.5 / 0.25
    torch.testing.assert_close(codes[0], torch.linalg.solve(precision, right), atol=1e-4, rtol=0)
    assert linear.prior.mean.requires_grad  # frozen in the chain alone
    assert linear.prior.mean.grad is None


def test_energy_is_minus_the_log_joint(linear):
    images, codes = torch.randn(6, 1, 2, 2), torch.randn(6, 2)
    normal = torch.distributions.Normal
    likelihood = normal(linear.decoder(codes), linear.sigma).log_prob(images).sum((1, 2, 3))
    for prior, law in ((linear.prior, normal(0.0, 1.0)), (Shifted(2, 1.5, 0.5), normal(1.5, 0.5))):
        joint = likelihood + law.log_prob(codes).sum(1)
        constant = joint + energy(linear.decoder, images, codes, sigma=linear.sigma, prior=prior)
        torch.testing.assert_close(constant, constant[:1].expand(6))


def test_one_step_by_hand(linear):
    codes, weight, noise = torch.randn(3, 2), linear.decoder.weight.detach(), torch.randn(1, 3, 2)
    residual = codes @ weight.T - linear.image.flatten()
    expected = codes - 0.02 * (residual @ weight / linear.sigma**2 + codes) + 0.2 * noise[0]
    moved = linear.run(Langevin("langevin", 0.2), codes, 1, noise)
    torch.testing.assert_close(moved["codes"], expected)
    assert moved.keys() == {"codes"}


def chain(decoder, images, codes, **options):
    kernel = Langevin("langevin", 0.1, noise=False)
    return short_run(
        decoder, images, kernel.init(codes), kernel=kernel, constants=kernel.constants(0), steps=3,
        sigma=0.3, prior=StandardNormal(4), noise=None, **options,
    )["codes"]  # fmt: skip


@pytest.mark.parametrize(("mode", "independent"), [("running", True), ("batch", False)])
def test_running_statistics_make_images_independent_and_batch_statistics_do_not(mode, independent):
    decoder = decoder_of("mnist", 4, 1, generator=torch.Generator().manual_seed(0))
    images, codes = torch.rand(6, 1, 28, 28), torch.randn(6, 4)
    whole = chain(decoder, images, codes, batchnorm=mode)
    half = chain(decoder, images[:3], codes[:3], batchnorm=mode)
    assert torch.allclose(whole[:3], half, atol=1e-4) is independent
