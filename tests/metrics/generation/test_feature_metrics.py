"""Metrics on features as an evaluation has them: one sample, made once, for all."""

import pytest
import torch
from given_images import GivenImages, measure, thorough

from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.features.folded import FILE
from ltvm.metrics.features.moments import Moments, frechet_distance
from ltvm.metrics.generation.feature_metric import FeatureMetric
from ltvm.metrics.generation.frechet import FrechetDistance
from ltvm.runs.execution.build import build_metrics

CPU = torch.device("cpu")
EXTRACTOR = DigitFeatures()


@pytest.fixture(scope="module")
def weights(real_data):
    path = real_data / "features" / FILE
    if not path.is_file():
        pytest.skip(f"no folded Inception weights at {path}")
    return path


def test_the_thorough_group_measures_one_sample_once(digits):
    sampler = GivenImages(digits.test.images)
    metrics = thorough("protocol.evaluation.samples=100")
    assert list(metrics) == ["frechet", "resampling", "kernel", "manifold"]
    values = measure(metrics, sampler, digits, Context(0, CPU))
    assert sampler.asked == 100
    assert set(values) == {
        "fd_digits", "fd_digits_floor", "fd_digits_infinity", "fd_digits_error", "kid_digits",
        "kid_digits_sd", "precision_digits", "recall_digits", "density_digits", "coverage_digits",
        "fd_digits_decoded", "prior_gap", "fd_digits_unseen", "fd_digits_unseen_floor",
    }  # fmt: skip
    assert values["fd_digits"]["value"] == values["fd_digits_floor"]["value"]  # the same images
    alone = FrechetDistance(EXTRACTOR, samples=100)(sampler, digits, Context(0, CPU))
    assert alone["fd_digits"].value == values["fd_digits"]["value"]
    assert values["precision_digits"]["neighbours"] == 5
    assert (values["precision_digits"]["n"], values["precision_digits"]["n_real"]) == (100, 100)
    assert (values["kid_digits"]["subset_size"], values["kid_digits"]["subsets"]) == (50, 100)
    assert values["kid_digits_sd"]["value"] > 0.01 * abs(values["kid_digits"]["value"])
    assert values["fd_digits_infinity"]["smallest_subset"] == 70
    again = measure(metrics, sampler, digits, Context(0, CPU))
    assert {k: v["value"] for k, v in again.items()} == {k: v["value"] for k, v in values.items()}


def test_a_choice_of_extractor_is_shared_by_all_metrics(weights):
    config = resolve(["evaluation=inception_thorough", "device=cpu",
                      "extractor@evaluation.extractor=inception_folded",
                      f"evaluation.extractor.weights={weights}"])  # fmt: skip
    metrics = build_metrics(config, torch.device("cpu"))
    assert metrics["kernel"].value_name == "kid_inception768"
    assert metrics["resampling"].infinity_name == "fid_inception768_infinity"
    assert metrics["frechet"].columns()["fid_inception768"].title == "FID-768"
    assert len({id(m.extractor) for m in metrics.values() if isinstance(m, FeatureMetric)}) == 1


def test_nothing_is_kept_from_one_method_to_the_next(digits):
    metrics, context = thorough("protocol.evaluation.samples=50"), Context(0, CPU)
    first = measure(metrics, GivenImages(digits.test.images[:50]), digits, context)
    second = measure(metrics, GivenImages(digits.test.images[50:]), digits, context)
    assert first["kid_digits"]["value"] != second["kid_digits"]["value"]


def test_large_features_are_made_again_instead_of_kept(digits, monkeypatch):
    from ltvm.metrics.generation import feature_metric as samples

    sampler = GivenImages(digits.test.images)
    metrics = thorough("protocol.evaluation.samples=100")
    with monkeypatch.context() as limited:
        limited.setattr(samples, "KEPT_NUMBERS", 10)
        values = measure(metrics, sampler, digits, Context(0, CPU))
    assert sampler.asked == 400
    kept = measure(metrics, sampler, digits, Context(0, CPU))
    assert values["kid_digits"]["value"] == pytest.approx(kept["kid_digits"]["value"], rel=1e-6)


def test_the_distance_of_the_metric_is_that_of_the_features(digits):
    value = FrechetDistance(EXTRACTOR)(
        GivenImages(digits.train.images.flip(0)), digits, Context(0, CPU)
    )["fd_digits"].value  # fmt: skip
    assert value == pytest.approx(0, abs=1e-6)
    moments = [Moments(64).add(DigitFeatures()(x.images)) for x in (digits.test, digits.train)]
    floor = FrechetDistance(EXTRACTOR).floor(digits, Context(0, CPU))["fd_digits_floor"].value
    assert floor == pytest.approx(frechet_distance(*moments), rel=1e-9)


def test_frechet_metric_counts_names_and_caches(digits):
    sampler = GivenImages(digits.test.images)
    context = Context(0, CPU)
    metric = FrechetDistance(EXTRACTOR, samples=30)
    values = metric(sampler, digits, context)
    provenance = values["fd_digits"].provenance
    assert provenance["n"] == 30
    assert provenance["checksum"] == EXTRACTOR.checksum
    assert provenance["data"] == digits.train.fingerprint
    cached = dict(context.cache)
    assert metric(sampler, digits, context)["fd_digits"].value == values["fd_digits"].value
    assert context.cache.keys() == cached.keys()


def test_frechet_metric_refuses_more_samples_than_images(digits):
    with pytest.raises(InputError, match="samples=201: allowed: at most the 200"):
        FrechetDistance(EXTRACTOR, samples=201).check(digits, Context(0, CPU))
