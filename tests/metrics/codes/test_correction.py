"""What a correction does to the codes: closed forms, POT, and what it leaves alone."""

import math

import numpy as np
import ot
import pytest
import torch
from scipy import stats
from small_networks import SMALL

from ltvm.config import resolve
from ltvm.metrics.base import Context
from ltvm.metrics.codes.correction import CorrectionEffect, correction_effect
from ltvm.metrics.codes.sliced import sliced_w2
from ltvm.models.prior import StandardNormal
from ltvm.report.plots.history_figures import learning_curve_headings
from ltvm.runs.execution.build import build_method, build_problem

CPU = torch.device("cpu")


def draws(n, d, seed, shift=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)) + shift)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_sliced_w2_of_a_shift_is_that_of_its_projections():
    codes, shift = draws(200, 5, 8), draws(1, 5, 9)
    directions = draws(5, 30, 10)
    directions /= directions.norm(dim=0)
    expected = (shift @ directions).square().mean().sqrt().item()
    assert sliced_w2(codes + shift, codes, directions) == pytest.approx(expected, rel=1e-9)


def test_a_correction_is_seen_in_its_effect():
    before = torch.randn(3000, 4, generator=generator()) * 2 + 1
    after = torch.randn(3000, 4, generator=generator(1))
    effect = correction_effect(before, after, StandardNormal(before.shape[1]), generator(2))
    assert effect["codes_energy_before"] == pytest.approx(before.square().mean().item())
    assert effect["codes_energy_after"] == pytest.approx(1, abs=0.05)
    # Between N(1, 4 I) and N(0, I), the mean over directions of (mean shift)^2 + (2 - 1)^2.
    assert effect["codes_sliced_w2_before"] == pytest.approx(math.sqrt(1 + 1), rel=0.1)
    assert effect["codes_sliced_w2_after"] < 0.2
    # Optimal transport between those Gaussians: d (1 + (2 - 1)^2), and what sampling adds.
    assert 8 < effect["codes_transport_cost_before"] < 10
    assert effect["codes_transport_cost_after"] < 1
    grid = np.linspace(-6, 8, 10_001)
    largest = np.abs(stats.norm.cdf(grid, 1, 2) - stats.norm.cdf(grid)).max()
    assert effect["codes_ks_before"] == pytest.approx(largest, rel=0.15)
    assert effect["codes_ks_p_before"] < 1e-6 < 0.01 < effect["codes_ks_p_after"]
    assert effect["codes_mmd_p_before"] == 1 / 200 < effect["codes_mmd_p_after"]
    assert effect["codes_mmd2_before"] > 10 * abs(effect["codes_mmd2_after"])
    for which in ("min", "max"):
        assert effect[f"codes_eigenvalue_{which}_before"] == pytest.approx(4, rel=0.25)
        assert effect[f"codes_eigenvalue_{which}_after"] == pytest.approx(1, rel=0.25)


def test_the_transport_cost_is_that_of_pot():
    before, after = (torch.randn(40, 3, generator=generator(seed)) * 2 for seed in (0, 1))
    draws = generator(2)
    order, prior = torch.randperm(40, generator=draws), torch.randn(40, 3, generator=draws)
    effect = correction_effect(before, after, StandardNormal(before.shape[1]), generator(2))
    for when, codes in (("before", before), ("after", after)):
        costs = ot.dist(codes[order].double().numpy(), prior.double().numpy())
        assert effect[f"codes_transport_cost_{when}"] == pytest.approx(ot.emd2([], [], costs))


def test_equal_codes_have_equal_values_before_and_after():
    codes = torch.randn(60, 3, generator=generator())
    effect = correction_effect(codes, codes.clone(), StandardNormal(codes.shape[1]), generator(1))
    names = {name.rsplit("_", 1)[0] for name in effect}
    assert len(names) == 9
    for name in names:
        assert effect[f"{name}_before"] == effect[f"{name}_after"], name


@pytest.fixture
def build(tiny):
    def built(*overrides):
        config = resolve(
            ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu",
             "precision=float32", *SMALL, *overrides]
        )  # fmt: skip
        return build_method(config, build_problem(config, tiny))

    return built


def test_the_curve_is_of_the_codes_before_and_after_and_draws_nothing_of_training(build, tiny):
    measured, plain = build(), build()
    metric, context = CorrectionEffect(), Context(0, CPU)
    for _ in range(2):
        measured.fit_iteration()
        plain.fit_iteration()
        found = metric.curve(measured, tiny, context)
        draws = measured.problem.stream("correction effect", measured.iteration - 1)
        prior = measured.problem.prior
        assert found == correction_effect(measured.inferred, measured.codes, prior, draws)
    assert set(found) <= set(metric.curve_columns())
    assert metric(measured, tiny, context) == {}
    assert torch.equal(measured.codes, plain.codes)
    for a, b in zip(measured.decoder.parameters(), plain.decoder.parameters(), strict=True):
        assert torch.equal(a, b)
    assert found["codes_energy_before"] != found["codes_energy_after"]


@pytest.mark.parametrize("solver", ["exact", "shortlist", "blocks"])
def test_the_gap_that_the_solver_certified_is_a_curve(build, solver):
    """What the history has of the method itself is drawn where it is declared."""
    scalars = build(f"method.solver={solver}").fit_iteration()
    column = CorrectionEffect().curve_columns()["correction_gap"]
    assert "correction_gap" in learning_curve_headings({"correction_gap": column})
    if solver == "blocks":  # certifies nothing
        assert "correction_gap" not in scalars
    else:
        assert 0 <= scalars["correction_gap"] <= (1e-12 if solver == "exact" else 0.05)


def test_a_method_that_does_not_correct_has_no_curve(build, tiny):
    method = build("method=vae")
    method.fit_iteration()
    assert CorrectionEffect().curve(method, tiny, Context(0, CPU)) == {}


def test_full_replacement_and_no_correction_bound_the_effect(build, tiny):
    metric, context = CorrectionEffect(), Context(0, CPU)
    replaced, kept = build("method.alpha=1.0"), build("method.alpha=0.0")
    replaced.fit_iteration()
    kept.fit_iteration()
    after = metric.curve(replaced, tiny, context)["codes_energy_after"]
    assert after == pytest.approx(replaced.targets.square().mean().item(), rel=1e-6)
    found = metric.curve(kept, tiny, context)
    for name in ("codes_energy", "codes_sliced_w2"):
        assert found[f"{name}_before"] == found[f"{name}_after"]
