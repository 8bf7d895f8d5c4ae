"""Precision, recall, density and coverage against scikit-learn's neighbours."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from ltvm.data import ImageSet, mnist5k
from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.generation.manifold import Manifold, manifold_values

CPU = torch.device("cpu")


def features(n, d, seed, shift=0.0, scale=1.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * scale + shift


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


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
    metric, context = Manifold(DigitFeatures()), Context(0, CPU)
    with pytest.raises(InputError, match="neighbours=5: allowed: below the 5"):
        metric.compare(metric.of_images(few, context), mnist5k.load().train, context)
