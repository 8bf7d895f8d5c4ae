"""The mixture of Gaussians: known mixtures, scikit-learn's and scipy's densities, its draws."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture as Mixture

from ltvm.densities import Gaussian
from ltvm.densities.gaussian_mixture import GaussianMixture
from ltvm.errors import DivergedError, InputError
from ltvm.runtime.randomness import stream

WEIGHTS = torch.tensor([0.5, 0.3, 0.2]).double()
MEANS = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, -8.0]]).double()
FACTORS = torch.tensor([[[1.0, 0.0], [0.5, 0.3]], [[0.4, 0.0], [0.0, 2.0]], [[1, 0], [0, 1]]])


def known():
    """A mixture of three known Gaussians."""
    mixture = GaussianMixture(3)
    mixture.weights = WEIGHTS
    mixture.parts = [Gaussian.of(*p) for p in zip(MEANS, FACTORS.double(), strict=True)]
    return mixture


@pytest.fixture(scope="module")
def codes():
    return known().sample(4_000, stream(0, "codes"))


@pytest.fixture(scope="module")
def fitted(codes):
    mixture = GaussianMixture(3)
    mixture.fit(codes, stream(0, "fit"))
    return mixture


def test_a_known_mixture_is_found_again(fitted):
    order = fitted.weights.argsort(descending=True).tolist()
    torch.testing.assert_close(fitted.weights[order], WEIGHTS, atol=0.02, rtol=0)
    for number, mean, factor in zip(order, MEANS, FACTORS.double(), strict=True):
        part = fitted.parts[number]
        torch.testing.assert_close(part.mean, mean, atol=0.15, rtol=0)
        torch.testing.assert_close(part.factor @ part.factor.T, factor @ factor.T, atol=0.3, rtol=0)
    assert fitted.found["converged"]


def test_its_density_is_scipys(codes):
    mixture, few = known(), codes[:20].double()
    of_parts = [
        np.log(weight) + multivariate_normal(mean, factor @ factor.T).logpdf(few)
        for weight, mean, factor in zip(
            WEIGHTS.numpy(), MEANS.numpy(), FACTORS.double().numpy(), strict=True
        )
    ]
    np.testing.assert_allclose(mixture.log_density(few), logsumexp(of_parts, 0), rtol=1e-9)


def test_its_fit_is_scikit_learns(codes, fitted):
    theirs = Mixture(3, tol=1e-6, random_state=0).fit(codes.double().numpy())
    ours = fitted.log_density(codes).mean().item()
    assert ours == pytest.approx(theirs.score(codes.double().numpy()), abs=2e-3)


def test_its_draws_have_the_parts_shares_and_moments():
    drawn = known().sample(100_000, stream(1, "draws"))
    assert drawn.dtype == torch.float32
    share = (drawn[:, 0] > 3.5).double().mean()
    assert share == pytest.approx(0.3, abs=0.01)
    of_second = drawn[drawn[:, 0] > 3.5].double()
    torch.testing.assert_close(of_second.mean(0), MEANS[1], atol=0.05, rtol=0)
    torch.testing.assert_close(
        of_second.T.cov(), torch.diag(torch.tensor([0.16, 4.0])).double(), atol=0.1, rtol=0
    )


def test_one_component_is_the_gaussian(codes):
    mixture, gaussian = GaussianMixture(1), Gaussian()
    mixture.fit(codes, stream(0, "fit"))
    gaussian.fit(codes, stream(0, "fit"))
    torch.testing.assert_close(mixture.log_density(codes), gaussian.log_density(codes))
    torch.testing.assert_close(
        mixture.sample(50, stream(1, "draws")), gaussian.sample(50, stream(1, "draws"))
    )


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_codes_does_not_matter(codes, fitted, scale):
    other = GaussianMixture(3)
    other.fit(codes * scale + 7 * scale, stream(0, "fit"))
    torch.testing.assert_close(
        other.log_density(codes * scale + 7 * scale) + 2 * np.log(scale),
        fitted.log_density(codes), atol=1e-3, rtol=1e-3,
    )  # fmt: skip


def test_a_fit_that_is_not_done_says_so(codes):
    mixture = GaussianMixture(3, iterations=1)
    mixture.fit(codes, stream(0, "fit"))
    assert mixture.found["warning"] == "EM did not converge in 1 iterations"


def test_what_it_cannot_be_fitted_to():
    with pytest.raises(InputError, match=r"sampler\.components=0: allowed: 1 or more"):
        GaussianMixture(0)
    with pytest.raises(InputError, match=r"sampler\.components=3: allowed: at most the 2 codes"):
        GaussianMixture(3).check(2, 2)
    with pytest.raises(DivergedError, match="not finite"):
        GaussianMixture(1).fit(torch.full((5, 2), torch.inf), stream(0, "fit"))
