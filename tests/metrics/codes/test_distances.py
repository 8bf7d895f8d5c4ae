"""Distances of codes to the prior: closed forms between Gaussians."""

import pytest
import torch
from small_networks import SMALL

from ltvm.config import resolve
from ltvm.metrics.base import Context
from ltvm.metrics.codes.distances import Latents
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
