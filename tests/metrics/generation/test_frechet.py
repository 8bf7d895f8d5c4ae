"""The Frechet distance of decoded codes beside that of prior samples, and their gap."""

from dataclasses import replace

import pytest
import torch
from given_images import GivenImages

from ltvm.data import DataSet, mnist5k, to_float
from ltvm.data.image_set import evenly
from ltvm.metrics.base import Context
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.generation.frechet import FrechetDistance, inferred_codes
from ltvm.report.plots.history_figures import learning_curve_headings
from ltvm.report.values.declared import main_metrics

CPU = torch.device("cpu")
EXTRACTOR = DigitFeatures()


def values_of(metric, method, data):
    return {k: m.value for k, m in metric(method, data, Context(0, CPU)).items()}


def noise(like):
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, like.shape, generator=draw, dtype=torch.uint8)


def test_a_decoder_that_changes_nothing_gives_the_distance_of_the_images_themselves(digits):
    method = GivenImages(noise(digits.test.images), digits.test.images)
    values = values_of(FrechetDistance(EXTRACTOR, samples=100), method, digits)
    assert values["fd_digits_decoded"] == values["fd_digits_floor"]
    assert values["fd_digits_unseen"] == values["fd_digits_unseen_floor"]
    assert values["fd_digits_unseen"] == values["fd_digits_floor"]  # all unseen images
    few = values_of(FrechetDistance(EXTRACTOR, samples=100, unseen_images=80), method, digits)
    assert few["fd_digits_unseen"] == few["fd_digits_unseen_floor"] != few["fd_digits_floor"]


def test_training_codes_that_lose_nothing_are_at_no_distance(digits):
    method = GivenImages(noise(digits.train.images), digits.train.images)
    values = values_of(FrechetDistance(EXTRACTOR), method, digits)
    assert values["fd_digits_decoded"] == pytest.approx(0, abs=1e-6)
    assert values["prior_gap"] == pytest.approx(values["fd_digits"])


def test_the_gap_is_the_difference_in_values_and_in_curves(digits):
    method, context = GivenImages(noise(digits.train.images), digits.train.images), Context(0, CPU)
    metric = FrechetDistance(EXTRACTOR, samples=90, curve_samples=70)
    values, curve = values_of(metric, method, digits), metric.curve(method, digits, context)
    assert values["prior_gap"] == values["fd_digits"] - values["fd_digits_decoded"] > 100
    assert set(curve) == {"fd_digits_curve", "fd_digits_decoded_curve", "prior_gap_curve"}
    difference = curve["fd_digits_curve"] - curve["fd_digits_decoded_curve"]
    assert curve["prior_gap_curve"] == difference > 100
    same = FrechetDistance(EXTRACTOR, samples=70, curve_samples=70)
    assert values_of(same, method, digits)["prior_gap"] == curve["prior_gap_curve"]


def test_in_a_trial_samples_are_compared_with_validation_images(digits):
    parted = digits.held_out(90)
    method = GivenImages(noise(parted.train.images), parted.train.images)
    found = FrechetDistance(EXTRACTOR, samples=100)(method, parted, Context(0, CPU))
    other = FrechetDistance(EXTRACTOR, samples=100)  # those images as if they were to train on
    plain = DataSet(replace(parted.test, split="train"), replace(digits.test, split="test"))
    expected = other.compare(
        other.of_method(method, plain, Context(0, CPU), 100), plain.train, Context(0, CPU)
    )
    assert found["fd_digits"].value == expected["fd_digits"].value
    assert found["fd_digits"].provenance["split"] == "validation"
    gap = found["fd_digits"].value - found["fd_digits_decoded"].value
    assert found["prior_gap"].value == gap
    floor = found["fd_digits_floor"]  # of images that it was not measured on
    assert floor.value > 1
    assert floor.provenance["split"] == "train against validation"
    assert found["fd_digits_unseen"].provenance["split"] == "validation against train"
    used = {m.provenance["data"] for m in found.values()}
    assert used == {parted.train.fingerprint, parted.test.fingerprint}


def test_a_prior_like_the_codes_has_hardly_a_gap():
    whole = mnist5k.load()
    order = torch.randperm(len(whole.train), generator=torch.Generator().manual_seed(0))
    sampled, coded = whole.train.images[order[:1000]], whole.train.images[order[1000:2000]]
    metric = FrechetDistance(EXTRACTOR, samples=1000, unseen_images=20)
    alike = values_of(metric, GivenImages(sampled, coded), whole)
    blurred = torch.nn.functional.avg_pool2d(sampled.float(), 3, 1, 1).to(torch.uint8)
    unlike = values_of(metric, GivenImages(blurred, coded), whole)
    assert unlike["fd_digits_decoded"] == alike["fd_digits_decoded"] > 1  # finite n alone
    assert abs(alike["prior_gap"]) < 0.02 * unlike["prior_gap"]


def test_as_many_codes_as_samples_at_even_distances(digits):
    method, asked = GivenImages(digits.train.images), []
    original = method.decode
    method.decode = lambda codes: asked.append(codes) or original(codes)
    metric = FrechetDistance(EXTRACTOR, samples=80, unseen_images=20)
    found = metric(method, digits, Context(0, CPU))
    assert torch.equal(asked[0], method.codes[evenly(200, 80)])
    assert [len(codes) for codes in asked] == [80, 20]
    decoded, unseen = (found[f"fd_digits_{which}"].provenance for which in ("decoded", "unseen"))
    assert found["prior_gap"].provenance == decoded
    assert (decoded["n"], decoded["n_real"], decoded["split"]) == (80, 200, "train")
    assert (unseen["n"], unseen["n_real"], unseen["split"]) == (20, 200, "test against train")
    assert unseen["images"] == digits.test.subset(20).fingerprint
    floor = found["fd_digits_unseen_floor"].provenance
    assert {**floor, "codes": "inferred once", "inference_precision": "float32"} == unseen
    assert unseen["warning"].startswith("20 generated images for 64 features")


def test_methods_may_take_gradients_to_infer(digits):
    method = GivenImages(digits.train.images)

    def infer(images, draws):
        codes = images.flatten(1).requires_grad_(True)
        (gradient,) = torch.autograd.grad(codes.square().sum(), codes)
        return gradient / 2

    method.infer = infer
    values = values_of(FrechetDistance(EXTRACTOR, unseen_images=70), method, digits)
    assert values["fd_digits_unseen"] == values["fd_digits_unseen_floor"]


def test_codes_are_inferred_by_batches(monkeypatch, digits):
    from ltvm.metrics.generation import frechet

    monkeypatch.setattr(frechet, "EVALUATION_BATCH", 30)
    method, sizes = GivenImages(digits.train.images), []
    original = method.infer
    method.infer = lambda images, draws: sizes.append(len(images)) or original(images, draws)
    codes = inferred_codes(method, digits.test, torch.Generator())
    assert sizes == [30, 30, 30, 10]
    assert torch.equal(codes, to_float(digits.test.images).flatten(1))


def test_fewer_unseen_images_than_wanted_are_all(digits):
    few = DataSet(digits.train, digits.test.subset(9))
    method = GivenImages(digits.train.images)
    found = FrechetDistance(EXTRACTOR, unseen_images=50)(method, few, Context(0, CPU))
    assert found["fd_digits_unseen"].provenance["n"] == 9


def test_tables_and_figures_show_the_gap():
    metric = FrechetDistance(EXTRACTOR, unseen_images=50)
    shown = main_metrics(metric.columns())
    assert shown == ["fd_digits", "prior_gap", "fd_digits_decoded", "fd_digits_unseen"]
    assert "at most 50 unseen" in metric.columns()["fd_digits_unseen"].definition
    headings = learning_curve_headings(metric.curve_columns())
    assert list(headings) == ["fd_digits_curve", "fd_digits_decoded_curve", "prior_gap_curve"]
    assert headings["prior_gap_curve"] == "prior gap, FD, digit features, along training"
