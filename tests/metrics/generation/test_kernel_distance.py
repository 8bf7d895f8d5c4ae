"""The kernel distance against torch-fidelity and by hand."""

import numpy as np
import pytest
import torch

from ltvm.metrics.generation.kernel_distance import kernel_distances, squared_mmd


def features(n, d, seed, shift=0.0, scale=1.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * scale + shift


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


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
