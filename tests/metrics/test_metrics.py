"""Metrics against closed forms, a float64 reference, and torch-fidelity."""

import numpy as np
import pytest
import scipy.linalg
import torch

from ltvm.config import resolve
from ltvm.data import mnist5k, to_float, to_uint8
from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.metrics.codes.distances import Latents
from ltvm.metrics.features.digits import TEST_ACCURACY, DigitFeatures
from ltvm.metrics.features.inception import InceptionFeatures
from ltvm.metrics.features.moments import Moments, frechet_distance
from ltvm.metrics.generation.frechet import FrechetDistance
from ltvm.metrics.images.reconstruction import Reconstruction
from ltvm.runs.build import build_method, build_problem

CPU = torch.device("cpu")


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


def test_uint8_is_clamped_and_rounded_and_inverts_scaling():
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(every)), every)
    assert to_uint8(torch.tensor([-1.7, 1.7, 0.0039])).tolist() == [0, 255, 128]


def test_rounding_differs_from_truncation():
    values = torch.linspace(-1, 1, 10_001)
    truncated = ((values + 1) * 127.5).byte()  # a well-known wrong variant
    rounded = to_uint8(values)
    assert (rounded != truncated).float().mean() > 0.4


def test_the_digit_extractor_reads_digits():
    """Above 99 % on MNIST's test split is checked below where that split is at hand."""
    data = mnist5k.load()
    extractor = DigitFeatures()
    found = extractor(data.test.images)
    assert found.shape == (1000, extractor.dimension)
    assert found.dtype == torch.float64
    logits = extractor.network(data.test.images.float() / 255)
    assert (logits.argmax(1) == data.test.labels).float().mean() > 0.99
    torch.testing.assert_close(extractor(data.test.images[:7]), found[:7], rtol=1e-4, atol=1e-4)


def test_the_digit_extractor_has_its_stated_test_accuracy(real_data):
    import gzip

    raw = real_data / "mnist" / "MNIST" / "raw"
    packed = [
        (raw / f"t10k-{kind}-ubyte.gz").read_bytes() for kind in ("images-idx3", "labels-idx1")
    ]
    images = np.frombuffer(gzip.decompress(packed[0])[16:], np.uint8)
    labels = np.frombuffer(gzip.decompress(packed[1])[8:], np.uint8)
    images = torch.from_numpy(images.copy()).view(-1, 1, 28, 28)
    extractor = DigitFeatures()
    hits = [
        extractor.network(part.float() / 255).argmax(1) == torch.from_numpy(label.copy())
        for part, label in zip(images.split(2000), np.split(labels, 5), strict=True)
    ]
    accuracy = torch.cat(hits).float().mean().item()
    assert accuracy == pytest.approx(TEST_ACCURACY, abs=1e-4)
    assert accuracy >= 0.99


def test_the_digit_extractor_refuses_other_shapes_and_other_weights(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="1x28x28"):
        DigitFeatures()(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    from ltvm.metrics.features import digits

    cut = tmp_path / "digits.npz"
    cut.write_bytes(digits.WEIGHTS.read_bytes()[:1000])
    monkeypatch.setattr(digits, "WEIGHTS", cut)
    with pytest.raises(InputError, match="truncated"):
        DigitFeatures()
    assert cut.exists()


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (3, 64)])
def test_inception_features_equal_torch_fidelity(random_inception, channels, size):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    weights, checksum = random_inception
    images = torch.randint(0, 256, (4, channels, size, size), dtype=torch.uint8)
    ours = InceptionFeatures(dimension=64, weights=weights, checksum=checksum)(images)
    theirs = FeatureExtractorInceptionV3("x", ["64"], feature_extractor_weights_path=weights).eval()
    (expected,) = theirs(images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours.float(), expected, rtol=1e-5, atol=1e-6)


def test_inception_weights_are_verified(random_inception, tmp_path):
    weights, _ = random_inception
    with pytest.raises(InputError, match="SHA-256"):
        InceptionFeatures(weights=weights)
    with pytest.raises(InputError, match="no file"):
        InceptionFeatures(weights=str(tmp_path / "absent.pth"))
    with pytest.raises(InputError, match="dimension=100"):
        InceptionFeatures(dimension=100, weights=weights)


def test_absent_inception_weights_offline_say_file_place_and_size(monkeypatch):
    import urllib.error

    def offline(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(InputError, match=r"weights-inception.*91 MB.*inception") as caught:
        InceptionFeatures()
    assert len(str(caught.value).splitlines()) <= 2


@pytest.fixture
def trained(tiny):
    config = resolve(["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu"])
    method = build_method(config, build_problem(config, tiny))
    method.fit_iteration()
    return method


def test_reconstruction_is_the_mean_squared_error_per_pixel(trained, tiny):
    values = Reconstruction(test_images=8)(trained, tiny, Context(0, CPU))
    expected = (trained.decode(trained.codes) - tiny.train.scaled()).square().mean().item()
    assert values["mse_train"].value == pytest.approx(expected, rel=1e-6)
    assert values["mse_train"].provenance["n"] == 40
    assert values["mse_test"].provenance | {"n": 8, "split": "test", "restarts": 1} == (
        values["mse_test"].provenance
    )


def test_restarts_pick_the_code_of_least_energy(trained, tiny):
    metric = Reconstruction(test_images=8, restarts=3)
    images = tiny.test.scaled(slice(0, 8))
    codes = [torch.full((8, 6), 30.0), torch.zeros(8, 6), torch.full((8, 6), 40.0)]
    trained.infer = lambda *_: torch.cat(codes)
    pair = metric.unseen_reconstructions(trained, images, Context(0, CPU))
    once, best = ((made - images).square().mean().item() for made in pair)
    errors = [(trained.decode(z) - images).square().mean().item() for z in codes]
    # |z|^2 / 2 makes zero the least energy, and it is neither the first nor the last.
    assert (once, best) == pytest.approx((errors[0], errors[1]))
    assert once != pytest.approx(best)


def test_latents_of_the_prior_itself_are_close_to_it(trained, tiny):
    n = 400
    trained.codes = torch.randn(n, 6)
    trained.posterior_draws = lambda: trained.codes
    near = Latents(codes=n)(trained, tiny, Context(0, CPU))
    assert near["latent_energy"].value == pytest.approx(1, abs=0.15)
    assert near["transport_cost"].value == pytest.approx(
        near["transport_cost_floor"].value, rel=0.15
    )
    trained.codes = torch.randn(n, 6) * 0.2 + 2
    far = Latents(codes=n)(trained, tiny, Context(0, CPU))
    # Between Gaussians: |m1 - m2|^2 + sum (s1 - s2)^2 = 6 * (4 + 0.64)
    assert far["transport_cost"].value == pytest.approx(6 * 4.64, rel=0.1)
    assert far["latent_sliced_w2"].value > 4 * near["latent_sliced_w2"].value


def test_frechet_metric_counts_names_and_caches(trained, tiny):
    context = Context(0, CPU)
    metric = FrechetDistance("digits", samples=30)
    values = metric(trained, tiny, context)
    provenance = values["fd_digits"].provenance
    assert provenance["n"] == 30
    assert provenance["checksum"] == DigitFeatures().checksum
    assert provenance["data"] == tiny.train.fingerprint
    cached = dict(context.cache)
    assert metric(trained, tiny, context)["fd_digits"].value == values["fd_digits"].value
    assert context.cache.keys() == cached.keys()


def test_frechet_metric_refuses_more_samples_than_images(tiny):
    with pytest.raises(InputError, match="samples=41: allowed: at most the 40"):
        FrechetDistance("digits", samples=41).check(tiny, Context(0, CPU))


def test_a_real_sample_beats_noise():
    data = mnist5k.load()
    extractor = DigitFeatures()
    real = Moments(64).add(extractor(data.train.images))
    held_out = Moments(64).add(extractor(data.test.images))
    noise = torch.randint(0, 256, (500, 1, 28, 28), dtype=torch.uint8)
    noisy = Moments(64).add(extractor(noise))
    assert frechet_distance(held_out, real) < 10 < frechet_distance(noisy, real) / 10
