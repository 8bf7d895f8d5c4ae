"""What metrics on features warn of, and what they refuse."""

import numpy as np
import pytest
import torch
from given_images import GivenImages, measure, thorough
from small_networks import SMALL

from ltvm.config import resolve
from ltvm.data import DataSet, ImageSet
from ltvm.errors import DivergedError, InputError
from ltvm.metrics.base import Context
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.generation.frechet import FrechetDistance
from ltvm.metrics.generation.kernel_distance import KernelDistance
from ltvm.metrics.generation.manifold import Manifold
from ltvm.metrics.generation.resampling import FrechetResampling
from ltvm.runs.execution.build import build_method, build_problem

CPU = torch.device("cpu")
EXTRACTOR = DigitFeatures()


def test_fewer_samples_than_features_are_computed_with_a_warning(digits):
    values = measure(thorough("protocol.evaluation.samples=64"), GivenImages(digits.test.images),
                     digits, Context(0, CPU))  # fmt: skip
    assert values["fd_digits"]["warning"] == (
        "64 generated images for 64 features: singular covariance"
    )
    assert np.isfinite(values["fd_digits"]["value"])
    assert "warning" not in values["fd_digits_floor"]
    assert "warning" not in values["kid_digits"]  # it has no covariance
    enough = FrechetDistance(EXTRACTOR, samples=65)(
        GivenImages(digits.test.images), digits, Context(0, CPU)
    )
    assert "warning" not in enough["fd_digits"].provenance
    sampler = GivenImages(digits.test.images)
    few = FrechetResampling(EXTRACTOR, samples=100)(sampler, digits, Context(0, CPU))
    assert few["fd_digits_infinity"].provenance["warning"] == (
        "subsets of 70 images for 64 features: extrapolated too low"
    )
    assert "warning" not in few["fd_digits_error"].provenance
    fewer = FrechetResampling(EXTRACTOR, samples=66)(sampler, digits, Context(0, CPU))
    assert fewer["fd_digits_error"].provenance["warning"].startswith("62 generated images for 64")


@pytest.mark.parametrize(
    "metric",
    [
        FrechetDistance(EXTRACTOR),
        FrechetResampling(EXTRACTOR),
        KernelDistance(EXTRACTOR),
        Manifold(EXTRACTOR),
    ],
)
def test_constant_samples_are_an_error(metric, digits):
    same = digits.test.images[:1].expand(200, -1, -1, -1)
    with pytest.raises(DivergedError, match="GivenImages: all samples are the same image"):
        metric(GivenImages(same), digits, Context(0, CPU))
    flat = torch.arange(200, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    with pytest.raises(DivergedError, match="one value throughout"):
        metric(GivenImages(flat), digits, Context(0, CPU))


def test_a_learning_curve_may_pass_through_constant_samples(digits):
    same = digits.test.images[:1].expand(200, -1, -1, -1)
    curve = FrechetDistance(EXTRACTOR).curve(GivenImages(same), digits, Context(0, CPU))
    assert curve["fd_digits_curve"] > 0


def test_constant_samples_end_a_run_by_name(tiny):
    """The record of the run says why; the exit is not that of bad input."""
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu", *SMALL]
    )
    method = build_method(config, build_problem(config, tiny))
    for parameter in method.decoder.parameters():
        parameter.data.zero_()
    with pytest.raises(DivergedError, match="ShortRunOT: all samples are the same image"):
        FrechetDistance(EXTRACTOR)(method, tiny, Context(0, CPU))


def test_samples_that_are_not_finite_are_an_error(digits):
    sampler = GivenImages(digits.test.images)
    sampler.sample = lambda n, draws: torch.full((n, 1, 28, 28), float("nan"))
    with pytest.raises(DivergedError, match="not finite"):
        FrechetDistance(EXTRACTOR, samples=50)(sampler, digits, Context(0, CPU))


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 32, 32)])
def test_samples_of_another_shape_are_an_error(shape, digits):
    images = torch.zeros(50, *shape, dtype=torch.uint8)
    with pytest.raises(InputError, match="allowed: 1x28x28, as in mnist5k"):
        KernelDistance(EXTRACTOR, samples=50)(GivenImages(images), digits, Context(0, CPU))


def test_too_few_images_are_refused_before_a_run(digits):
    context, few = Context(0, CPU), DataSet(digits.train.subset(7), digits.test)
    with pytest.raises(InputError, match="neighbours=5: allowed: below the 4 images"):
        Manifold(EXTRACTOR, samples=4).check(digits, context)
    with pytest.raises(InputError, match="samples=7: allowed: 8 or more"):
        FrechetResampling(EXTRACTOR).check(few, context)


def test_constant_training_images_are_an_error(digits):
    same = ImageSet("blank", "train", torch.zeros(20, 1, 28, 28, dtype=torch.uint8))
    with pytest.raises(InputError, match="blank: train images: all 20 are the same"):
        KernelDistance(EXTRACTOR).check(DataSet(same, digits.test), Context(0, CPU))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: KernelDistance(EXTRACTOR, subsets=1), "kernel.subsets=1"),
        (
            lambda: FrechetDistance(EXTRACTOR, samples=20.5),
            "frechet.samples=20.5: allowed: integers from 2",
        ),
        (lambda: FrechetDistance(EXTRACTOR, curve_samples=1), "frechet.curve_samples=1"),
        (lambda: KernelDistance(EXTRACTOR, size=1), "kernel.size=1"),
        (lambda: Manifold(EXTRACTOR, neighbours=0), "manifold.neighbours=0"),
        (lambda: FrechetResampling(EXTRACTOR, groups=3), "resampling.groups=3"),
        (lambda: FrechetResampling(EXTRACTOR, samples=7), "resampling.samples=7"),
    ],
)
def test_bad_parameters_are_named(make, words):
    with pytest.raises(InputError, match=words):
        make()
