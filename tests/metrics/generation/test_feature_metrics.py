"""Metrics on features against independent implementations, closed forms and known Gaussians."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from ltvm.config import resolve
from ltvm.data import DataSet, ImageSet, mnist5k, to_float
from ltvm.errors import DivergedError, InputError
from ltvm.metrics.base import Context
from ltvm.metrics.features.moments import Moments, distance_from, frechet_distance
from ltvm.metrics.generation import resampling
from ltvm.metrics.generation.feature_metric import FeatureMetric, Features
from ltvm.metrics.generation.frechet import FrechetDistance
from ltvm.metrics.generation.kernel_distance import KernelDistance, kernel_distances, squared_mmd
from ltvm.metrics.generation.manifold import Manifold, manifold_values
from ltvm.metrics.generation.resampling import FrechetResampling
from ltvm.runs.build import build_method, build_metrics, build_problem
from ltvm.runs.execute import measure

CPU = torch.device("cpu")


def features(n, d, seed, shift=0.0, scale=1.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * scale + shift


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# Kernel distance


def test_kernel_distance_equals_torch_fidelity_on_the_same_features():
    from torch_fidelity.metric_kid import kid_features_to_metric

    a, b = features(120, 16, 0).double(), features(120, 16, 1, shift=0.2).double()
    theirs = kid_features_to_metric(  # the subset is the whole set, so the draws do not matter
        a, b, kid_subsets=3, kid_subset_size=120, verbose=False,
    )  # fmt: skip
    ours = kernel_distances(a, b, 3, 120, generator())
    assert ours.mean().item() == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert ours.std(correction=0).item() == pytest.approx(0, abs=1e-12)


def test_kernel_distance_of_every_subset_equals_torch_fidelity():
    from torch_fidelity.metric_kid import kernel_mmd

    a, b = features(90, 8, 0).double(), features(70, 8, 1, scale=1.3).double()
    ours = kernel_distances(a, b, 4, 50, generator(3))
    draws, theirs = generator(3), []
    for _ in range(4):
        subsets = [x[torch.randperm(len(x), generator=draws)[:50]].numpy() for x in (a, b)]
        theirs.append(kernel_mmd(*subsets, kid_kernel="poly", kid_kernel_poly_degree=3,
                                 kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1))  # fmt: skip
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-9)
    assert ours.std() > 0


def test_kernel_distance_is_unbiased_by_hand():
    """Two points a side in one dimension, where every term can be written down."""
    a, b = torch.tensor([[1.0], [2.0]]).double(), torch.tensor([[0.0], [3.0]]).double()
    within_a, within_b = (1 * 2 + 1) ** 3, (0 * 3 + 1) ** 3
    between = (1 + (3 + 1) ** 3 + 1 + (6 + 1) ** 3) / 4
    assert squared_mmd(a, b).item() == pytest.approx(within_a + within_b - 2 * between)


def test_kernel_distance_has_no_bias_that_grows_as_n_falls():
    few = [squared_mmd(features(10, 4, 2 * i).double(), features(10, 4, 2 * i + 1).double())
           for i in range(400)]  # fmt: skip
    values = torch.stack(few)
    assert abs(values.mean()) < 3 * values.std() / 400**0.5
    assert (values < 0).any()


# Precision, recall, density, coverage


def reference_manifold(real, generated, k):
    """The definitions one by one, with scikit-learn's nearest neighbours."""

    def reach(x):
        return NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, -1]

    def distances(x, y):
        return np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1))

    between = distances(real, generated)
    nearest = NearestNeighbors(n_neighbors=1).fit(generated).kneighbors(real)[0][:, 0]
    inside = between <= reach(real)[:, None]
    return {
        "precision": np.mean([inside[:, j].any() for j in range(len(generated))]),
        "recall": np.mean([(between[i] <= reach(generated)).any() for i in range(len(real))]),
        "density": inside.sum() / (k * len(generated)),
        "coverage": (nearest <= reach(real)).mean(),
    }


@pytest.mark.parametrize("k", [1, 3, 5])
def test_manifold_metrics_equal_scikit_learn(k, monkeypatch):
    from ltvm.metrics.generation import manifold

    monkeypatch.setattr(manifold, "ROWS", 64)  # several blocks of rows, the last one short
    real, generated = features(150, 5, 0).double(), features(110, 5, 1, 0.5, 0.7).double()
    ours = manifold_values(real, generated, k)
    theirs = reference_manifold(real.numpy(), generated.numpy(), k)
    assert ours == pytest.approx(theirs, abs=1e-12)
    assert len({round(v, 3) for v in ours.values()}) == 4  # no two could be exchanged


def test_a_copy_of_the_real_images_touches_the_edge_of_every_ball():
    """Each ball holds its centre, k - 1 others and the one on its edge; duplicates count too."""
    x = features(200, 6, 0, shift=1000.0).double()
    order = torch.randperm(200, generator=generator(1))
    values = manifold_values(x, x[order], 5)
    assert values == {"precision": 1, "recall": 1, "density": pytest.approx(1.2), "coverage": 1}
    twins = torch.cat([features(20, 6, 0), features(20, 6, 0)]).double()
    assert manifold_values(twins, twins, 1)["density"] == 2  # radius 0 around each pair


def test_manifold_metrics_know_a_dropped_mode():
    """Real: two clusters. Generated: one of them."""
    clusters = torch.cat([features(100, 3, 0), features(100, 3, 1) + 50]).double()
    values = manifold_values(clusters, features(200, 3, 2).double(), 5)
    assert values["precision"] > 0.9
    assert values["recall"] < 0.6
    assert values["coverage"] < 0.6


def test_manifold_refuses_more_neighbours_than_images():
    few = ImageSet("few", "all", mnist5k.load().test.images[:5])
    metric, context = Manifold(), Context(0, CPU)
    with pytest.raises(InputError, match="neighbours=5: allowed: below the 5"):
        metric.compare(metric.of_images(few, context), mnist5k.load().train, context)


# FD-infinity and the resampling error

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


# As metrics of a run


@pytest.fixture(scope="module")
def digits():
    data = mnist5k.load()
    return DataSet(data.train.subset(200), data.test.subset(100))


class Sampler:
    """A method that hands out given images, in order; counts what it is asked for."""

    def __init__(self, images):
        self.images, self.asked = images, 0
        self.decoder = torch.nn.Linear(1, 1)  # for its dtype

    def sample(self, n, draws):  # noqa: ARG002
        self.asked += n
        return to_float(self.images[:n])


def thorough(*overrides):
    config = resolve(["evaluation=digits_thorough", "protocol=smoke", *overrides])
    metrics = build_metrics(config, torch.device("cpu"))
    return {k: m for k, m in metrics.items() if isinstance(m, FeatureMetric)}


def test_the_thorough_group_measures_one_sample_once(digits):
    sampler = Sampler(digits.test.images)
    metrics = thorough("protocol.evaluation.samples=100")
    assert list(metrics) == ["frechet", "resampling", "kernel", "manifold"]
    values = measure(metrics, sampler, digits, Context(0, CPU))
    assert sampler.asked == 100
    assert set(values) == {
        "fd_digits", "fd_digits_floor", "fd_digits_infinity", "fd_digits_error", "kid_digits",
        "kid_digits_sd", "precision_digits", "recall_digits", "density_digits", "coverage_digits",
    }  # fmt: skip
    assert values["fd_digits"]["value"] == values["fd_digits_floor"]["value"]  # the same images
    alone = FrechetDistance("digits", samples=100)(sampler, digits, Context(0, CPU))
    assert alone["fd_digits"].value == values["fd_digits"]["value"]
    assert values["precision_digits"]["neighbours"] == 5
    assert (values["precision_digits"]["n"], values["precision_digits"]["n_real"]) == (100, 100)
    assert (values["kid_digits"]["subset_size"], values["kid_digits"]["subsets"]) == (50, 100)
    assert values["kid_digits_sd"]["value"] > 0.01 * abs(values["kid_digits"]["value"])
    assert values["fd_digits_infinity"]["smallest_subset"] == 70
    again = measure(metrics, sampler, digits, Context(0, CPU))
    assert {k: v["value"] for k, v in again.items()} == {k: v["value"] for k, v in values.items()}


def test_every_new_value_has_a_title(digits):
    from ltvm.report.tables import TITLES

    values = measure(thorough("protocol.evaluation.samples=100"), Sampler(digits.test.images),
                     digits, Context(0, CPU))  # fmt: skip
    assert {name for name in values if not name.endswith("_floor")} <= set(TITLES)


def test_inception_metrics_share_the_weights_of_the_distance():
    config = resolve(["evaluation=inception_thorough", "evaluation.metrics.frechet.dimension=768",
                      "evaluation.metrics.frechet.weights=x.npz",
                      "evaluation.metrics.frechet.checksum=null"])  # fmt: skip
    metrics = build_metrics(config, torch.device("cpu"))
    assert metrics["kernel"].value_name == "kid_inception768"
    assert metrics["resampling"].infinity_name == "fid_inception768_infinity"
    keys = {metrics[n].extractor_key() for n in ("frechet", "resampling", "kernel", "manifold")}
    assert len(keys) == 1


def test_nothing_is_kept_from_one_method_to_the_next(digits):
    metrics, context = thorough("protocol.evaluation.samples=50"), Context(0, CPU)
    first = measure(metrics, Sampler(digits.test.images[:50]), digits, context)
    second = measure(metrics, Sampler(digits.test.images[50:]), digits, context)
    assert first["kid_digits"]["value"] != second["kid_digits"]["value"]


def test_large_features_are_made_again_instead_of_kept(digits, monkeypatch):
    from ltvm.metrics.generation import feature_metric as samples

    monkeypatch.setattr(samples, "KEPT_NUMBERS", 10)
    sampler = Sampler(digits.test.images)
    metrics = thorough("protocol.evaluation.samples=100")
    values = measure(metrics, sampler, digits, Context(0, CPU))
    assert sampler.asked == 400
    monkeypatch.undo()
    kept = measure(metrics, sampler, digits, Context(0, CPU))
    assert values["kid_digits"]["value"] == pytest.approx(kept["kid_digits"]["value"], rel=1e-6)


def test_the_distance_of_the_metric_is_that_of_the_features(digits):
    from ltvm.metrics.features.digits import DigitFeatures

    value = FrechetDistance()(
        Sampler(digits.train.images.flip(0)), digits, Context(0, CPU)
    )["fd_digits"].value  # fmt: skip
    assert value == pytest.approx(0, abs=1e-6)
    moments = [Moments(64).add(DigitFeatures()(x.images)) for x in (digits.test, digits.train)]
    floor = FrechetDistance().floor(digits, Context(0, CPU))["fd_digits_floor"].value
    assert floor == pytest.approx(frechet_distance(*moments), rel=1e-9)


# Bad input


def test_fewer_samples_than_features_are_computed_with_a_warning(digits):
    values = measure(thorough("protocol.evaluation.samples=64"), Sampler(digits.test.images),
                     digits, Context(0, CPU))  # fmt: skip
    assert values["fd_digits"]["warning"] == (
        "64 generated images for 64 features: singular covariance"
    )
    assert np.isfinite(values["fd_digits"]["value"])
    assert "warning" not in values["fd_digits_floor"]
    assert "warning" not in values["kid_digits"]  # it has no covariance
    enough = FrechetDistance(samples=65)(Sampler(digits.test.images), digits, Context(0, CPU))
    assert "warning" not in enough["fd_digits"].provenance
    sampler = Sampler(digits.test.images)
    few = FrechetResampling(samples=100)(sampler, digits, Context(0, CPU))
    assert few["fd_digits_infinity"].provenance["warning"] == (
        "subsets of 70 images for 64 features: extrapolated too low"
    )
    assert "warning" not in few["fd_digits_error"].provenance
    fewer = FrechetResampling(samples=66)(sampler, digits, Context(0, CPU))
    assert fewer["fd_digits_error"].provenance["warning"].startswith("62 generated images for 64")


@pytest.mark.parametrize(
    "metric", [FrechetDistance(), FrechetResampling(), KernelDistance(), Manifold()]
)
def test_constant_samples_are_an_error(metric, digits):
    same = digits.test.images[:1].expand(200, -1, -1, -1)
    with pytest.raises(DivergedError, match="Sampler: all samples are the same image"):
        metric(Sampler(same), digits, Context(0, CPU))
    flat = torch.arange(200, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    with pytest.raises(DivergedError, match="one value throughout"):
        metric(Sampler(flat), digits, Context(0, CPU))


def test_a_learning_curve_may_pass_through_constant_samples(digits):
    same = digits.test.images[:1].expand(200, -1, -1, -1)
    assert FrechetDistance().curve(Sampler(same), digits, Context(0, CPU))["fd_digits_curve"] > 0


def test_constant_samples_end_a_run_by_name(tiny):
    """The record of the run says why; the exit is not that of bad input."""
    config = resolve(["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu"])
    method = build_method(config, build_problem(config, tiny))
    for parameter in method.decoder.parameters():
        parameter.data.zero_()
    with pytest.raises(DivergedError, match="ShortRunOT: all samples are the same image"):
        FrechetDistance()(method, tiny, Context(0, CPU))


def test_samples_that_are_not_finite_are_an_error(digits):
    sampler = Sampler(digits.test.images)
    sampler.sample = lambda n, draws: torch.full((n, 1, 28, 28), float("nan"))
    with pytest.raises(DivergedError, match="not finite"):
        FrechetDistance(samples=50)(sampler, digits, Context(0, CPU))


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 32, 32)])
def test_samples_of_another_shape_are_an_error(shape, digits):
    images = torch.zeros(50, *shape, dtype=torch.uint8)
    with pytest.raises(InputError, match="allowed: 1x28x28, as in mnist5k"):
        KernelDistance(samples=50)(Sampler(images), digits, Context(0, CPU))


def test_too_few_images_are_refused_before_a_run(digits):
    context, few = Context(0, CPU), DataSet(digits.train.subset(7), digits.test)
    with pytest.raises(InputError, match="neighbours=5: allowed: below the 4 images"):
        Manifold(samples=4).check(digits, context)
    with pytest.raises(InputError, match="samples=7: allowed: 8 or more"):
        FrechetResampling().check(few, context)


def test_constant_training_images_are_an_error(digits):
    same = ImageSet("blank", "train", torch.zeros(20, 1, 28, 28, dtype=torch.uint8))
    with pytest.raises(InputError, match="blank: train images: all 20 are the same"):
        KernelDistance().check(DataSet(same, digits.test), Context(0, CPU))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: KernelDistance(subsets=1), "kernel.subsets=1"),
        (lambda: FrechetDistance(samples=20.5), "frechet.samples=20.5: allowed: integers from 2"),
        (lambda: FrechetDistance(curve_samples=1), "frechet.curve_samples=1"),
        (lambda: KernelDistance(size=1), "kernel.size=1"),
        (lambda: Manifold(neighbours=0), "manifold.neighbours=0"),
        (lambda: FrechetResampling(groups=3), "resampling.groups=3"),
        (lambda: FrechetResampling(samples=7), "resampling.samples=7"),
        (lambda: KernelDistance("vgg"), "kernel.extractor=vgg: allowed: digits, inception"),
    ],
)
def test_bad_parameters_are_named(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_strides_of_one_channel_change_nothing(digits):
    from ltvm.metrics.features.digits import DigitFeatures

    images = digits.test.images
    strided = images.as_strided(images.shape, (784, 1, 28, 1))
    assert strided.stride() != images.stride()
    assert torch.equal(DigitFeatures()(strided), DigitFeatures()(images))
