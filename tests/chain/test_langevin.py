"""The chain against a posterior that is known: a linear decoder."""

import pytest
import torch
from torch import nn

from ltvm.chain.langevin import Step, energy, short_run
from ltvm.errors import InputError
from ltvm.models.decoders import build_decoder
from ltvm.runtime.randomness import image_normals


class LinearDecoder(nn.Module):
    """g(z) = W z, as images [n, 1, 2, 2]."""

    def __init__(self):
        super().__init__()
        weight = torch.tensor([[1.0, 0.2], [0.0, 0.7], [-0.5, 0.3], [0.4, -0.9]])
        self.weight = nn.Parameter(weight)

    def forward(self, codes):
        return (codes @ self.weight.T).view(-1, 1, 2, 2)


SIGMA = 0.6


def posterior(image, weight):
    """p(z | x) = N(m, S): S = (I + W'W / sigma^2)^-1, m = S W'x / sigma^2."""
    covariance = torch.linalg.inv(torch.eye(2) + weight.T @ weight / SIGMA**2)
    return covariance @ weight.T @ image.flatten() / SIGMA**2, covariance


def test_the_chain_reaches_the_gaussian_posterior():
    decoder = LinearDecoder()
    image = torch.tensor([0.5, -0.3, 0.8, -0.1]).view(1, 1, 2, 2)
    mean, covariance = posterior(image, decoder.weight.detach())
    n = 40_000
    eta, tau = Step("langevin", 0.1).at(0)
    codes = short_run(
        decoder, image.expand(n, -1, -1, -1), torch.zeros(n, 2),
        steps=600, eta=eta, tau=tau, sigma=SIGMA, noise=image_normals(0, torch.arange(n), 600, 2),
    )  # fmt: skip
    # Standard errors are about 0.003; a step of 0.1 biases the covariance by under 2 %.
    torch.testing.assert_close(codes.mean(0), mean, atol=0.012, rtol=0)
    torch.testing.assert_close(codes.T.cov(), covariance, atol=0.01, rtol=0.03)


def test_without_noise_it_descends_to_the_mode():
    decoder = LinearDecoder()
    image = torch.tensor([0.5, -0.3, 0.8, -0.1]).view(1, 1, 2, 2)
    mean, _ = posterior(image, decoder.weight.detach())
    codes = short_run(
        decoder, image, torch.ones(1, 2),
        steps=300, eta=0.05, tau=0.0, sigma=SIGMA, noise=None,
    )  # fmt: skip
    torch.testing.assert_close(codes[0], mean, atol=1e-4, rtol=0)


def test_energy_is_minus_the_log_joint():
    decoder = LinearDecoder()
    images, codes = torch.randn(6, 1, 2, 2), torch.randn(6, 2)
    normal = torch.distributions.Normal
    joint = normal(decoder(codes), SIGMA).log_prob(images).sum((1, 2, 3))
    joint = joint + normal(0.0, 1.0).log_prob(codes).sum(1)
    constant = joint + energy(decoder, images, codes, SIGMA)
    torch.testing.assert_close(constant, constant[:1].expand(6))


def test_one_step_by_hand():
    decoder = LinearDecoder()
    images, codes = torch.randn(3, 1, 2, 2), torch.randn(3, 2)
    weight = decoder.weight.detach()
    residual = codes @ weight.T - images.flatten(1)
    expected = codes - 0.01 * (residual @ weight / SIGMA**2 + codes)
    noise = torch.randn(1, 3, 2)
    moved = short_run(decoder, images, codes, steps=1, eta=0.01, tau=0.2, sigma=SIGMA, noise=noise)
    torch.testing.assert_close(moved, expected + 0.2 * noise[0])


def test_step_conventions():
    assert Step("langevin", 0.1).at(7) == pytest.approx((0.005, 0.1))
    # The paper's MNIST and SVHN values at the start, and the noise schedule after.
    assert Step("paper", 0.3).at(0) == pytest.approx((1.5e-4, 0.03))
    assert Step("paper", 3.0).at(0) == pytest.approx((1.5e-3, 0.3))
    ratios = [Step("paper", 1.0).at(t)[1] for t in (0, 4, 5, 9, 10, 49, 50, 99)]
    assert ratios == pytest.approx([0.1, 0.1, 0.09, 0.09, 0.08, 0.01, 0.0, 0.0])
    assert Step("paper", 0.3, noise=False).at(0)[1] == 0


@pytest.mark.parametrize(
    "bad", [{"kind": "adam"}, {"size": 0.0}, {"size": -1.0}, {"reference_batch": 0}]
)
def test_bad_steps_are_refused(bad):
    with pytest.raises(InputError, match="method.step"):
        Step(**bad)


def chain(decoder, images, codes, **options):
    return short_run(
        decoder, images, codes,
        steps=3, eta=0.005, tau=0.0, sigma=0.3, noise=None, **options,
    )  # fmt: skip


def test_running_statistics_make_images_independent_and_batch_statistics_do_not():
    decoder = build_decoder("mnist", 4, 1, generator=torch.Generator().manual_seed(0))
    images, codes = torch.rand(6, 1, 28, 28), torch.randn(6, 4)
    for mode, independent in (("running", True), ("batch", False)):
        whole = chain(decoder, images, codes, batchnorm=mode)
        half = chain(decoder, images[:3], codes[:3], batchnorm=mode)
        assert torch.allclose(whole[:3], half, atol=1e-4) is independent
