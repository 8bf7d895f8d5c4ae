"""The Frechet distance of moments against closed forms, a float64 reference and torch-fidelity."""

import numpy as np
import pytest
import scipy.linalg
import torch

from ltvm.data import mnist5k
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.features.moments import Moments, frechet_distance


def reference_distance(a, b):
    """The FID formula in numpy and scipy, float64, with a general matrix square root."""
    m1, m2, s1, s2 = a.mean(0), b.mean(0), np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(s1 @ s2).real
    return ((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * root)


def features(n, d, seed, shift=0.0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)) @ random.normal(size=(d, d)) / np.sqrt(d) + shift


def moments(array, pieces=1):
    result = Moments(array.shape[1])
    for part in np.array_split(array, pieces):
        result.add(torch.from_numpy(part))
    return result


def test_frechet_distance_equals_the_float64_reference():
    a, b = features(500, 20, 0), features(400, 20, 1, shift=0.3)
    ours = frechet_distance(moments(a), moments(b))
    assert ours == pytest.approx(reference_distance(a, b), rel=1e-9)


def test_frechet_distance_equals_torch_fidelity_on_the_same_features():
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    a, b = features(500, 32, 2), features(450, 32, 3, shift=0.1)
    stats = [fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    theirs = fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(theirs, rel=1e-6)


def test_frechet_distance_of_known_gaussians():
    """Diagonal Gaussians: |m1 - m2|^2 + sum (s1 - s2)^2, on samples with exact moments."""
    base = np.random.default_rng(0).normal(size=(200, 3))
    white = (base - base.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(base.T))).T
    a, b = white * [1, 2, 3] + [1, 0, 0], white * [2, 2, 1] + [0, 0, 2]
    expected = (1 + 4) + (1 + 0 + 4)
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(moments(a), moments(a)) == pytest.approx(0, abs=1e-9)


def test_moments_are_streamed_and_survive_a_large_mean():
    a = features(1000, 8, 4, shift=1e6)
    whole, parts = moments(a), moments(a, pieces=7)
    np.testing.assert_allclose(whole.covariance.numpy(), np.cov(a.T), rtol=1e-6)
    np.testing.assert_allclose(parts.covariance.numpy(), np.cov(a.T), rtol=1e-6)


def test_non_finite_features_are_an_error():
    broken = Moments(2).add(torch.tensor([[1.0, 2.0], [float("nan"), 0.0]]))
    with pytest.raises(ValueError, match="not finite"):
        frechet_distance(broken, broken)


def test_a_real_sample_beats_noise():
    data = mnist5k.load()
    extractor = DigitFeatures()
    real = Moments(64).add(extractor(data.train.images))
    held_out = Moments(64).add(extractor(data.test.images))
    noise = torch.randint(0, 256, (500, 1, 28, 28), dtype=torch.uint8)
    noisy = Moments(64).add(extractor(noise))
    assert frechet_distance(held_out, real) < 10 < frechet_distance(noisy, real) / 10
