"""FD-infinity and the resampling error on Gaussians with a known distance."""

import numpy as np
import pytest
import torch

from ltvm.metrics.features.moments import Moments, distance_from
from ltvm.metrics.generation import resampling
from ltvm.metrics.generation.feature_metric import Features


def features(n, d, seed, shift=0.0, scale=1.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * scale + shift


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


D = 16
SCALES, SHIFT = torch.linspace(0.5, 1.5, D).double(), 0.1
TRUE = ((SCALES - 1) ** 2).sum().item() + D * SHIFT**2  # to the standard normal


def exact(variances):
    """Moments of a Gaussian itself: zero mean, diagonal covariance."""
    moments = Moments(D, torch.zeros(D, dtype=torch.float64))
    moments.n = 10**9
    moments._products = torch.diag(variances.double()) * (moments.n - 1)
    return moments


def drawn(n, seed):
    return features(n, D, seed).double() * SCALES + SHIFT


def replicates(n, times):
    """FD, FD-infinity and jackknife error of ``times`` samples of n from a known Gaussian."""
    distance = distance_from(exact(torch.ones(D)))
    rows = []
    for seed in range(times):
        x = drawn(n, seed)
        groups = resampling.grouped(Features(n, lambda x=x: iter(x.split(77))), D, 20, generator())
        points = resampling.subset_distances(groups, distance, 4, generator(seed))
        rows.append((
            distance(Moments.joined(groups)), resampling.at_infinity(*points),
            resampling.jackknife_error(groups, distance),
        ))  # fmt: skip
    return np.array(rows)


def test_fd_infinity_and_error_on_gaussians_with_a_known_distance():
    assert distance_from(exact(torch.ones(D)))(exact(SCALES**2)) == pytest.approx(
        ((SCALES - 1) ** 2).sum().item()
    )
    plain, infinity, error = replicates(300, 60).T
    bias = plain.mean() - TRUE
    assert bias > 5 * plain.std() / 60**0.5  # what is to be corrected
    assert abs(infinity.mean() - TRUE) < 0.1 * bias + 3 * infinity.std() / 60**0.5
    # 60 draws tell a standard deviation to about 9 %; the jackknife's own mean is closer.
    assert np.sqrt((error**2).mean()) == pytest.approx(plain.std(), rel=0.3)


def test_the_error_of_a_distance_that_is_all_bias_is_too_large_by_half_at_most():
    """As stated: the jackknife of a degenerate quadratic form (here a model that is right)."""
    distance = distance_from(exact(SCALES**2))
    plain, error = [], []
    for seed in range(80):
        x = features(300, D, seed).double() * SCALES
        groups = resampling.grouped(Features(300, lambda x=x: iter([x])), D, 20, generator())
        plain.append(distance(Moments.joined(groups)))
        error.append(resampling.jackknife_error(groups, distance))
    ratio = np.sqrt(np.square(error).mean()) / np.std(plain)
    assert 1.0 < ratio < 1.75


def test_samples_that_are_no_independent_draws_are_warned_of():
    """Equal numbers of every class, far apart: the whole varies less than its subsets do."""
    centres = 8 * torch.eye(D).double()
    x = torch.cat([centres + 0.1 * features(D, D, seed).double() for seed in range(100)])
    groups = resampling.grouped(Features(len(x), lambda: iter([x])), D, 20, generator())
    distance = distance_from(Moments(D).add(x))
    sizes, distances = resampling.subset_distances(groups, distance, 4, generator(1))
    infinity = resampling.at_infinity(sizes, distances)
    error = resampling.jackknife_error(groups, distance)
    found = resampling.extrapolation_warning(infinity, error, int(sizes.min()), D)
    assert infinity < -2 * error
    assert "no independent draws" in found["warning"]
    assert resampling.extrapolation_warning(1.0, 0.1, 1000, D) == {}


def test_the_extrapolation_is_a_line_over_one_over_n():
    sizes = np.array([100, 200, 400])
    assert resampling.at_infinity(sizes, 3 + 50 / sizes) == pytest.approx(3)


def test_groups_partition_the_sample():
    x = drawn(207, 0)
    groups = resampling.grouped(Features(207, lambda: iter(x.split(50))), D, 20, generator())
    assert sorted({g.n for g in groups}) == [10, 11]
    whole = Moments.joined(groups)
    np.testing.assert_allclose(whole.covariance, np.cov(x.T), rtol=1e-9)
    np.testing.assert_allclose(whole.mean, x.mean(0), rtol=1e-9)


def test_groups_do_not_follow_the_order_of_the_images():
    """A folder is sorted by name, often by class: contiguous groups would differ in mean."""
    x = torch.arange(400.0).double()[:, None].expand(-1, D)
    groups = resampling.grouped(Features(400, lambda: iter(x.split(90))), D, 4, generator())
    assert all(abs(g.mean[0] - 199.5) < 40 for g in groups)
