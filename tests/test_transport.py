"""Solvers against scipy's optimum and against weak duality."""

import itertools

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from ltvm.errors import InputError
from ltvm.randomness import stream
from ltvm.transport import SOLVERS, build_solver, lower_bound
from ltvm.transport.coupling import permutation_coupling, squared_distances

PERMUTING = sorted(set(SOLVERS) - {"gaussian", "none"})


def problem(n=300, d=6, seed=0):
    """Shifted, correlated codes and standard normal targets."""
    draw = stream(seed, "test")
    mixing = torch.eye(d) + 0.3 * torch.randn(d, d, generator=draw)
    codes = torch.randn(n, d, generator=draw) @ mixing + 0.5
    return codes, torch.randn(n, d, generator=draw)


def solve(name, codes, targets, warm=None, **options):
    return build_solver(name, **options)(codes, targets, warm or {}, stream(0, "solve"))


def optimum(codes, targets):
    costs = torch.cdist(codes.double(), targets.double()).square().numpy()
    rows, columns = linear_sum_assignment(costs)
    return costs[rows, columns].mean()


def test_exact_is_the_optimum_by_brute_force():
    codes, targets = problem(n=6)
    costs = squared_distances(codes, targets)
    best = min(
        sum(costs[i, j].item() for i, j in enumerate(order)) / 6
        for order in itertools.permutations(range(6))
    )
    assert solve("exact", codes, targets).cost == pytest.approx(best, rel=1e-5)


def test_exact_equals_scipy():
    codes, targets = problem()
    coupling = solve("exact", codes, targets)
    assert coupling.cost == pytest.approx(optimum(codes, targets), rel=1e-9)
    assert coupling.gap == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", PERMUTING)
def test_every_solver_permutes_and_never_beats_the_bound(name):
    codes, targets = problem()
    coupling = solve(name, codes, targets)
    assert sorted(coupling.assignment.tolist()) == list(range(len(codes)))
    torch.testing.assert_close(coupling.mapped, targets[coupling.assignment])
    best = optimum(codes, targets)
    assert coupling.cost >= best * (1 - 1e-9)
    if coupling.lower_bound is not None:
        assert coupling.lower_bound <= best * (1 + 1e-9)


@pytest.mark.parametrize(("name", "share"), [("blocks", 0.9), ("semidual", 0.99), ("bsp", 0.3)])
def test_share_of_the_way_from_random_pairing_to_the_optimum(name, share):
    codes, targets = problem(n=1000, d=10)
    random, best = solve("random", codes, targets).cost, optimum(codes, targets)
    options = {"block": 100} if name == "blocks" else {}
    found = solve(name, codes, targets, **options).cost
    assert (random - found) / (random - best) >= share


@pytest.mark.parametrize("seed", range(20))
def test_any_heights_give_a_lower_bound(seed):
    codes, targets = problem(n=100, seed=seed)
    best = optimum(codes, targets)
    for scale in (0, 0.1, 1, 10):
        heights = scale * torch.randn(100, generator=stream(seed, "heights"))
        assert lower_bound(codes, targets, heights) <= best * (1 + 1e-12)
        # Raising all heights alike changes no choice, so it must not change the bound either.
        for shift in (-50, 50):
            shifted = lower_bound(codes, targets, heights.double() + shift)
            assert shifted == pytest.approx(lower_bound(codes, targets, heights), abs=1e-6)


def test_semidual_certifies_a_small_gap():
    coupling = solve("semidual", *problem(n=1000, d=10))
    assert 0 <= coupling.gap < 0.02


@pytest.mark.parametrize("name", ["blocks", "semidual"])
def test_a_warm_start_is_no_worse_and_costs_less(name):
    codes, targets = problem(n=600)
    options = {"blocks": {"block": 100, "rounds": 1}, "semidual": {"passes": 20, "error": 0.0}}
    cold = solve(name, codes, targets, **options[name])
    warm = solve(name, codes, targets, cold.state, **options[name])
    assert warm.cost < cold.cost


def test_gaussian_map_matches_the_moments_and_says_it_is_no_permutation():
    codes, targets = problem(n=2000)
    coupling = solve("gaussian", codes, targets)
    assert coupling.assignment is None
    torch.testing.assert_close(coupling.mapped.mean(0), targets.mean(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(coupling.mapped.T.cov(), targets.T.cov(), atol=1e-3, rtol=0)


def test_none_leaves_every_code_where_it_is():
    codes, targets = problem()
    assert torch.equal(solve("none", codes, targets).mapped, codes)


def test_a_repeated_target_is_refused():
    codes, targets = problem(n=4)
    with pytest.raises(ValueError, match="not a permutation"):
        permutation_coupling(codes, targets, torch.tensor([0, 1, 1, 3]))


@pytest.mark.parametrize(
    ("name", "options"), [("sinkhorn", {}), ("blocks", {"block": 1}), ("blocks", {"size": 3})]
)
def test_bad_solver_input_names_the_key(name, options):
    with pytest.raises(InputError, match=r"method\.solver"):
        build_solver(name, **options)
