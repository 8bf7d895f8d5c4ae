"""Whether samples are copies: scipy's Mann-Whitney, scikit-learn's neighbours, clear cases."""

import numpy as np
import pytest
import torch
from given_images import GivenImages
from scipy.stats import mannwhitneyu, norm
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from ltvm.data import DataSet
from ltvm.data.image_set import evenly
from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.features.moments import frechet_distance, moments_of
from ltvm.metrics.generation.copying import (
    Compared,
    Copying,
    Far,
    centres_of,
    copies_warning,
    share_above,
    to_nearest,
)

CPU = torch.device("cpu")
EXTRACTOR = DigitFeatures()
SHARE, DISTANCE = "farther_than_unseen_digits", "fd_digits_to_unseen"


def draws(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def values_of(images, data, **parameters):
    metric = Copying(EXTRACTOR, samples=len(images), **parameters)
    found = metric(GivenImages(images), data, Context(0, CPU))
    return {name: measurement.value for name, measurement in found.items()}


@pytest.mark.parametrize("rounded", [False, True])  # many ties
def test_the_share_is_mann_whitneys_statistic(rounded):
    first, second = draws(70, seed=0) + 0.4, draws(90, seed=1)
    if rounded:
        first, second = first.round(), second.round()
    expected = mannwhitneyu(first, second).statistic / (70 * 90)
    assert share_above(first, second) == pytest.approx(expected, abs=1e-12)
    assert share_above(second, first) == pytest.approx(1 - expected, abs=1e-12)
    assert share_above(first, first) == pytest.approx(0.5, abs=1e-12)


def test_the_z_score_is_scipy_s_normal_approximation():
    first, second = draws(70, seed=0) + 0.4, draws(90, seed=1)
    expected = mannwhitneyu(first, second, method="asymptotic", use_continuity=False).pvalue
    z = Far(first, second).z()
    assert 2 * norm.sf(abs(z)) == pytest.approx(expected, rel=1e-9)
    assert z > 0 > Far(second, first).z()


def test_distances_to_the_nearest_equal_scikit_learn(monkeypatch):
    from ltvm.metrics.generation import copying

    monkeypatch.setattr(copying, "ROWS", 32)  # several blocks of rows, the last one short
    points, others = draws(70, 5, seed=0), draws(90, 5, seed=1)
    expected = NearestNeighbors(n_neighbors=1).fit(others).kneighbors(points)[0][:, 0]
    np.testing.assert_allclose(to_nearest(points, others).numpy(), expected, rtol=1e-12)


def test_training_images_are_copies(digits):
    values = values_of(digits.train.images[:100], digits)
    assert values[SHARE] == 0
    assert values[f"{SHARE}_z"] < -8
    assert values[DISTANCE] > 0


def test_copies_are_warned_of(digits):
    context = Context(0, CPU)
    for images, warned in ((digits.train.images[:100], True), (digits.test.images[:100], False)):
        found = Copying(EXTRACTOR, samples=100)(GivenImages(images), digits, context)
        assert ("near copies" in found[SHARE].provenance.get("warning", "")) == warned
    assert copies_warning(0.1) == {}
    assert "by 90% of pairs" in copies_warning(0.0999)["warning"]


def test_unseen_images_are_none(digits):
    values = values_of(digits.test.images, digits)
    assert values[SHARE] == pytest.approx(0.5, abs=1e-12)
    assert values[DISTANCE] == pytest.approx(0, abs=1e-6)
    assert values[f"{DISTANCE}_floor"] > 1


def test_what_is_unlike_any_digit_is_farther_than_all(digits):
    noise = torch.randint(0, 256, (50, 1, 28, 28), generator=torch.Generator().manual_seed(0))
    assert values_of(noise.to(torch.uint8), digits)[SHARE] > 0.99


def test_the_distance_is_that_of_the_samples_to_the_unseen_images(digits):
    chosen = digits.test.subset(80)
    values = values_of(digits.train.images[:60], digits, unseen_images=80)
    moments = {
        name: moments_of([EXTRACTOR(images)], EXTRACTOR.dimension)
        for name, images in {
            "samples": digits.train.images[:60],
            "unseen": chosen.images,
            "some": digits.train.images[evenly(200, 60)],
        }.items()
    }
    expected = frechet_distance(moments["samples"], moments["unseen"])
    assert values[DISTANCE] == pytest.approx(expected, rel=1e-6)
    assert values[f"{DISTANCE}_floor"] == pytest.approx(
        frechet_distance(moments["some"], moments["unseen"]), rel=1e-6
    )


def test_copies_have_the_floor_of_the_distance(digits):
    values = values_of(digits.train.images[evenly(200, 60)], digits)
    assert values[DISTANCE] == pytest.approx(values[f"{DISTANCE}_floor"], rel=1e-9)


def test_of_more_samples_than_training_images_the_floor_is_of_these(digits):
    few = DataSet(digits.train.subset(60), digits.test)
    metric, context = Copying(EXTRACTOR), Context(0, CPU)
    found = metric.against(few, metric.of_images(digits.train, context), context)
    value, floor = found[DISTANCE].provenance, found[f"{DISTANCE}_floor"].provenance
    assert (value["n"], floor["n"]) == (200, 60)
    assert "60 generated images" in floor["warning"]
    assert "warning" not in value


def test_of_many_images_some_are_compared(digits):
    metric = Copying(EXTRACTOR, samples=100, largest=30)
    found = metric(GivenImages(digits.train.images), digits, Context(0, CPU))
    assert (found[SHARE].provenance["n"], found[SHARE].provenance["n_real"]) == (30, 30)
    assert found[DISTANCE].provenance["n"] == 100


def test_it_says_of_which_images_it_is(digits):
    metric = Copying(EXTRACTOR, samples=60, unseen_images=80, cells=2)
    found = metric(GivenImages(digits.train.images), digits, Context(0, CPU))
    assert set(found) == set(metric.columns())
    about = found[SHARE].provenance
    assert (about["n"], about["n_real"], about["n_train"], about["split"]) == (60, 80, 200, "test")
    assert about["training"] == digits.train.fingerprint
    assert about["data"] == digits.test.subset(80).fingerprint


def test_without_unseen_images_it_says_so(digits):
    metric = Copying(EXTRACTOR)
    features = metric.of_images(digits.train, Context(0, CPU))
    with pytest.raises(InputError, match="no unseen images beside mnist5k"):
        metric.compare(features, digits.train, Context(0, CPU))


def test_in_a_trial_validation_images_are_unseen(digits):
    held_out = digits.held_out(50)
    images = held_out.test.images
    assert isinstance(held_out, DataSet)
    assert values_of(images, held_out)[SHARE] == pytest.approx(0.5, abs=1e-12)


def clusters(n, seed):
    """Points about three far corners, ``n`` of each, one corner after the other."""
    corners = 50 * torch.eye(3, 4, dtype=torch.float64)
    return draws(3 * n, 4, seed=seed) + corners.repeat_interleave(n, 0)


def over_cells(samples, unseen, training, cells=3):
    far = Far(to_nearest(samples, training), to_nearest(unseen, training))
    compared = Compared(samples, unseen, training, far)
    found = Copying(EXTRACTOR, cells=cells).over_cells(compared, {})
    return {name.removeprefix(f"{SHARE}_"): one for name, one in found.items()}


def test_over_cells_it_is_the_weighted_mean_of_mann_whitney_tests():
    training, unseen = clusters(80, seed=0), clusters(40, seed=1)[:100]  # 40, 40 and 20
    samples = 1.2 * clusters(30, seed=2)
    groups = KMeans(3, n_init=4, random_state=5).fit(training.numpy())
    near = NearestNeighbors(n_neighbors=1).fit(training.numpy())
    far = {"sample": samples, "unseen": unseen}
    far = {k: near.kneighbors(v.numpy())[0][:, 0] for k, v in far.items()}
    place = {"sample": groups.predict(samples.numpy()), "unseen": groups.predict(unseen.numpy())}
    shares, scores, weights = [], [], []
    for cell in range(3):
        x, y = (far[kind][place[kind] == cell] for kind in ("sample", "unseen"))
        test = mannwhitneyu(x, y, method="asymptotic", use_continuity=False)
        shares.append(test.statistic / len(x) / len(y))
        scores.append(np.sign(shares[-1] - 0.5) * norm.isf(test.pvalue / 2))
        weights.append(len(y))
    found = over_cells(samples, unseen, training)
    assert found["ct"].value == pytest.approx(np.average(scores, weights=weights), rel=1e-9)
    assert found["lowest"].value == pytest.approx(min(shares), rel=1e-12)
    about = found["ct"].provenance
    assert (about["cells"], about["cells_counted"], about["samples_in_them"]) == (3, 3, 90)


def test_copies_of_one_kind_are_found_beside_poor_samples_of_another():
    training, unseen = clusters(80, seed=0), clusters(40, seed=1)
    copies, poor = training[:40], unseen[80:] + 4 * draws(40, 4, seed=3)
    samples = torch.cat([copies, clusters(40, seed=4)[40:80], poor])
    share = Far(to_nearest(samples, training), to_nearest(unseen, training)).share()
    assert share == pytest.approx(0.5, abs=0.05)
    found = over_cells(samples, unseen, training)
    assert found["lowest"].value == 0
    assert found["ct"].value == pytest.approx(0, abs=1)


def test_one_cell_is_all_of_feature_space():
    training, unseen, samples = (clusters(n, seed=n) for n in (80, 40, 30))
    far = Far(to_nearest(samples, training), to_nearest(unseen, training))
    found = over_cells(samples, unseen, training, cells=1)
    assert found["ct"].value == pytest.approx(far.z(), rel=1e-12)
    assert found["lowest"].value == pytest.approx(far.share(), rel=1e-12)


def test_a_cell_with_few_images_of_either_kind_does_not_count():
    training = clusters(80, seed=0)
    unseen = torch.cat([clusters(40, seed=1)[:80], clusters(19, seed=1)[38:]])
    samples = torch.cat([clusters(19, seed=2)[:19], clusters(40, seed=2)[40:]])
    found = over_cells(samples, unseen, training)
    about = found["ct"].provenance
    assert (about["cells"], about["cells_counted"], about["samples_in_them"]) == (3, 1, 40)
    assert over_cells(samples[:19], unseen, training) == {}


def test_cells_are_the_same_at_every_call():
    training = draws(300, 6, seed=0)
    assert torch.equal(centres_of(training, 5), centres_of(training, 5))


def test_of_copies_every_cell_is_at_zero(digits):
    values = values_of(digits.train.images, digits, cells=2)
    assert values[f"{SHARE}_lowest"] == 0
    assert values[f"{SHARE}_ct"] < -8


def test_repeated_codes_are_those_of_training_images(digits):
    """A sampler that repeats codes is a copier where these decode to the images, not elsewhere."""
    images = digits.train.images
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    poor = (images + 128 * noise).clamp(0, 255).to(torch.uint8)
    for codes, expected in ((images, 0), (poor, 1)):
        metric = Copying(EXTRACTOR, samples=50)
        method = GivenImages(digits.test.images, trained=codes)
        found = metric(method, digits, Context(0, CPU))[f"{SHARE}_decoded"]
        assert found.value == pytest.approx(expected, abs=0.2)
        assert found.provenance["n"] == 50
        assert found.provenance["codes"] == "training images', inferred, at even distances"
        assert found.provenance["inference_precision"] == "float32"


def test_there_may_be_fewer_images_than_cells():
    training, unseen, samples = draws(6, 4, seed=0), draws(30, 4, seed=1), draws(30, 4, seed=2)
    assert over_cells(samples, unseen, training, cells=10) == {}  # six cells, none of them full


def test_cells_are_of_training_images_at_even_distances():
    """Of images in order, the first ones alone would leave whole kinds without a cell."""
    training, unseen, samples = (clusters(n, seed=n) for n in (80, 40, 30))
    far = Far(to_nearest(samples, training), to_nearest(unseen, training))
    metric = Copying(EXTRACTOR, cells=3, largest=60)
    found = metric.over_cells(Compared(samples, unseen, training, far), {})
    (about,) = {one.provenance["samples_in_them"] for one in found.values()}
    assert about == 90
    assert found[f"{SHARE}_ct"].value == pytest.approx(
        over_cells(samples, unseen, training)["ct"].value, rel=1e-12
    )


def test_what_unseen_images_are_at_is_measured_once(digits, monkeypatch):
    from ltvm.metrics.generation import copying

    asked = []
    monkeypatch.setattr(
        copying, "to_nearest", lambda *given: asked.append(len(given[0])) or to_nearest(*given)
    )
    context, metric = Context(0, CPU), Copying(EXTRACTOR, samples=50, unseen_images=70)
    for _ in range(2):
        metric(GivenImages(digits.train.images), digits, context)
    assert sorted(asked) == [50, 50, 50, 50, 70]  # samples and decoded codes, twice


def test_no_more_decoded_codes_are_made_than_compared(digits):
    decoded = []

    class Counting(GivenImages):
        def decode(self, codes):
            decoded.append(len(codes))
            return super().decode(codes)

    metric = Copying(EXTRACTOR, largest=30)
    found = metric(Counting(digits.train.images), digits, Context(0, CPU))
    assert sum(decoded) == found[f"{SHARE}_decoded"].provenance["n"] == 30
