"""The Gaussian with full covariance: moments, density, what it refuses."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from ltvm.densities import Gaussian
from ltvm.errors import DivergedError, InputError
from ltvm.runtime.randomness import stream

MIXING = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [-1.0, 0.3, 0.1]])


def correlated(n):
    return torch.randn(n, 3, generator=stream(0, "test")) @ MIXING.T + torch.tensor([3.0, 0, -1])


@pytest.fixture
def fitted():
    density = Gaussian()
    density.fit(correlated(500), stream(0, "fit"))
    return density


def test_it_has_the_moments_of_the_codes(fitted):
    codes = correlated(500).double().numpy()
    np.testing.assert_allclose(fitted.mean, codes.mean(0), rtol=1e-12)
    covariance = fitted.factor @ fitted.factor.T
    np.testing.assert_allclose(covariance, np.cov(codes.T, bias=True), atol=1e-5)


def test_its_draws_have_its_moments(fitted):
    drawn = fitted.sample(200_000, stream(1, "draws"))
    assert drawn.dtype == torch.float32
    torch.testing.assert_close(drawn.double().mean(0), fitted.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(
        drawn.double().T.cov(), fitted.factor @ fitted.factor.T, atol=0.05, rtol=0.02
    )


def test_its_density_is_scipys(fitted):
    codes = correlated(20).double()
    known = multivariate_normal(fitted.mean.numpy(), (fitted.factor @ fitted.factor.T).numpy())
    np.testing.assert_allclose(fitted.log_density(codes), known.logpdf(codes.numpy()), rtol=1e-9)


def test_whitening_is_undone(fitted):
    codes = correlated(20).double()
    white = fitted.whitened(codes)
    torch.testing.assert_close(fitted.coloured(white), codes)
    whole = fitted.whitened(correlated(500).double())
    torch.testing.assert_close(whole.T @ whole / 500, torch.eye(3).double(), atol=1e-3, rtol=0)


def test_codes_of_the_prior_give_nearly_the_priors_draws():
    density = Gaussian()
    density.fit(torch.randn(100_000, 3, generator=stream(0, "test")), stream(0, "fit"))
    prior = torch.randn(10, 3, generator=stream(1, "draws"))
    torch.testing.assert_close(density.sample(10, stream(1, "draws")), prior, atol=0.05, rtol=0)


def test_few_codes_or_unused_dimensions_have_a_density_all_the_same():
    density = Gaussian()
    density.fit(correlated(3), stream(0, "fit"))
    assert density.found == {"warning": "3 codes in 3 dimensions: singular covariance"}
    flat = correlated(50)
    flat[:, 1] = 4.0
    density.fit(flat, stream(0, "fit"))
    assert density.found == {}
    assert (density.sample(50, stream(1, "draws"))[:, 1] - 4).abs().max() < 0.02
    with pytest.raises(InputError, match="codes=1: allowed: 2 or more"):
        density.check(1, 3)


@pytest.mark.parametrize(
    ("codes", "reason"),
    [(torch.full((5, 2), torch.nan), "not finite"), (torch.ones(5, 2), "all codes are the same")],
)
def test_codes_without_a_density(codes, reason):
    with pytest.raises(DivergedError, match=reason):
        Gaussian().fit(codes, stream(0, "fit"))
