"""Reconstruction errors by hand, and restarts."""

import math

import pytest
import torch
from small_networks import SMALL

from ltvm.config import resolve
from ltvm.errors import DivergedError
from ltvm.metrics.base import Context
from ltvm.metrics.images.reconstruction import Reconstruction
from ltvm.metrics.images.restarts import infer_restarts, least_energy
from ltvm.runs.execution.build import build_method, build_problem

CPU = torch.device("cpu")


@pytest.fixture
def trained(tiny):
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu", *SMALL]
    )
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


def test_chains_that_left_the_numbers_are_not_the_most_anomalous():
    """A chain with a finite energy is taken; an image without any ends the run."""
    energies = torch.tensor([[math.nan, 3.0, 1.0], [2.0, math.inf, 0.5]])
    assert least_energy(energies, "X").tolist() == [1, 0, 1]
    with pytest.raises(DivergedError, match="X: codes of 1 images have no finite energy"):
        least_energy(torch.tensor([[math.nan, 3.0], [math.inf, 1.0]]), "X")


def test_fewer_restarts_are_the_first_of_more(trained, tiny):
    images = tiny.test.scaled(slice(0, 5))
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    few, more = (infer_restarts(trained, images, r, g) for r, g in zip((2, 3), draws, strict=True))
    torch.testing.assert_close(few.codes, more.codes[:2], rtol=1e-4, atol=1e-4)
    assert more.energies.shape == (3, 5)
    assert torch.equal(more.best(1), torch.zeros(5, dtype=torch.int64))
