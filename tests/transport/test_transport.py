"""Solvers against scipy's optimum and against weak duality."""

import io
import itertools
import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from ltvm.errors import InputError
from ltvm.runtime.randomness import stream
from ltvm.transport import SOLVERS, build_solver, completion, lower_bound, shortlist
from ltvm.transport.completion import assign_within, complete
from ltvm.transport.coupling import permutation_coupling, squared_distances
from ltvm.transport.scores import Scores, lower_bound_from

PERMUTING = sorted(set(SOLVERS) - {"gaussian", "noise", "none"})


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


def share_of_the_way(coupling, codes, targets):
    """0 is the mean over all pairings, 1 the optimum."""
    pairing = squared_distances(codes.double(), targets.double()).mean().item()
    return (pairing - coupling.cost) / (pairing - optimum(codes, targets))


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


@pytest.mark.parametrize("n", [2, 3, 7, 501])
@pytest.mark.parametrize("name", PERMUTING)
def test_every_solver_permutes_and_never_beats_the_bound(name, n):
    codes, targets = problem(n)
    coupling = solve(name, codes, targets)
    assert sorted(coupling.assignment.tolist()) == list(range(n))
    torch.testing.assert_close(coupling.mapped, targets[coupling.assignment])
    best = optimum(codes, targets)
    assert coupling.cost >= best * (1 - 1e-9)
    if coupling.lower_bound is not None:
        assert coupling.lower_bound <= best * (1 + 1e-9)


@pytest.mark.parametrize("repeated", ["codes", "targets", "both"])
@pytest.mark.parametrize("name", PERMUTING)
def test_duplicates_still_get_a_permutation(name, repeated):
    codes, targets = problem(n=200)
    if repeated in ("codes", "both"):
        codes = codes[torch.arange(200) % 40]
    if repeated in ("targets", "both"):
        targets = targets[torch.arange(200) % 30]
    coupling = solve(name, codes, targets)
    assert sorted(coupling.assignment.tolist()) == list(range(200))


@pytest.mark.parametrize(
    ("name", "share", "options"),
    [
        ("blocks", 0.9, {"block": 100}),
        ("semidual", 0.99, {}),
        ("shortlist", 0.995, {}),
        ("onepass", 0.995, {}),
        ("auto", 0.995, {}),
        ("bsp", 0.3, {}),
    ],
)
def test_share_of_the_way_from_random_pairing_to_the_optimum(name, share, options):
    codes, targets = problem(n=1300, d=10)
    coupling = solve(name, codes, targets, **options)
    assert share_of_the_way(coupling, codes, targets) >= share


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


def test_heights_near_the_optimum_give_nearly_the_optimum():
    codes, targets = problem(n=200)
    heights = solve("shortlist", codes, targets, gap=0.0, passes=30).state["heights"]
    heights = heights - targets @ codes.mean(0)  # the solver's are those of centred codes
    bound, best = lower_bound(codes, targets, heights), optimum(codes, targets)
    assert bound <= best * (1 + 1e-12)
    assert bound >= best * 0.98


def in_float32(codes, targets, heights, shift):
    values, _ = Scores(targets).best(codes - shift, heights)
    return values


def test_the_bound_from_float32_scores_stays_below_that_in_float64():
    """Also where rounding is large; without its allowance for rounding it would not."""
    above = 0
    for seed in range(20):
        codes, targets = problem(n=100, seed=seed)
        shift = codes.mean(0) + seed
        for scale in (0, 1, 1e2, 1e4, 1e6):
            heights = scale * torch.randn(100, generator=stream(seed, "heights"))
            values = in_float32(codes, targets, heights, shift)
            proof = lower_bound(
                codes, targets, heights.double() - targets.double() @ shift.double()
            )
            bound = lower_bound_from(codes, targets, heights, values, shift)
            assert bound <= proof
            assert bound == pytest.approx(proof, rel=1e-4)
            squares = (
                codes.double().square().sum(1).mean() + targets.double().square().sum(1).mean()
            )
            unshifted = heights.double() - targets.double() @ shift.double()
            careless = squares - 2 * (values.double().mean() - unshifted.mean())
            above += careless.item() > proof
    assert above > 0


def test_the_bound_trusts_no_products_of_reduced_precision():
    codes, targets = problem(n=50)
    heights, shift = torch.zeros(50), torch.zeros(6)
    proof = lower_bound(codes, targets, heights)
    torch.set_float32_matmul_precision("high")
    try:  # values that no full-precision product would give: they must not be used
        assert lower_bound_from(codes, targets, heights, torch.zeros(50), shift) == proof
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("n", [5, 1024, 1500])
def test_shortlists_begin_with_the_best_and_hold_true_scores(n):
    codes, targets = problem(n)
    heights = torch.randn(n, generator=stream(0, "heights"))
    values, listed = Scores(targets).shortlists(codes[:300], heights, 16)
    every = codes[:300].double() @ targets.double().T + heights
    width = min(16, n)
    assert listed.shape == (min(300, n), width)
    torch.testing.assert_close(values.double(), every.gather(1, listed), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(values[:, 0].double(), every.amax(1), atol=1e-4, rtol=1e-5)
    assert all(len(set(row)) == width for row in listed.tolist())
    exact = every.topk(width).indices
    found = (listed[:, :, None] == exact[:, None, :]).any(1).double().mean()
    assert found == 1 if n <= 1024 else found > 0.9  # groups of one target miss nothing


def test_blocks_of_rows_do_not_change_the_scores(monkeypatch):
    codes, targets = problem(n=300)
    heights = torch.randn(300, generator=stream(0, "heights"))
    at_once = Scores(targets).best(codes, heights)
    monkeypatch.setattr("ltvm.transport.scores.ROWS", 7)
    in_blocks = Scores(targets).best(codes, heights)
    torch.testing.assert_close(at_once[0], in_blocks[0])
    assert torch.equal(at_once[1], in_blocks[1])


def test_assignment_within_full_shortlists_is_the_optimum():
    codes, targets = problem(n=120)
    heights = torch.randn(120, generator=stream(0, "heights"))
    values, listed = Scores(targets).shortlists(codes, heights, 120)
    found = assign_within(codes, targets, heights, values, listed)
    cost = (codes - targets[found]).double().square().sum(1).mean().item()
    assert cost == pytest.approx(optimum(codes, targets), rel=1e-6)


def test_assignment_is_given_every_edge_once(monkeypatch):
    codes, targets = problem(n=120)
    values, listed = Scores(targets).shortlists(codes, torch.zeros(120), 8)
    given = []
    solver = completion.min_weight_full_bipartite_matching
    monkeypatch.setattr(
        completion,
        "min_weight_full_bipartite_matching",
        lambda edges: given.append(edges.tocoo()) or solver(edges),
    )
    assign_within(codes, targets, torch.zeros(120), values, listed)
    pairs = list(zip(*given[0].coords, strict=True))
    assert len(set(pairs)) == len(pairs) > 120 * 8


def test_assignment_within_shortlists_that_admit_none_is_no_worse_than_completion():
    codes, targets = problem(n=120)
    values, listed = Scores(targets).shortlists(codes, torch.zeros(120), 2)
    found = assign_within(codes, targets, torch.zeros(120), values, listed)
    assert sorted(found.tolist()) == list(range(120))
    completed = complete(codes, targets, listed[:, 0])
    assert permutation_coupling(codes, targets, found).cost <= (
        permutation_coupling(codes, targets, completed).cost * (1 + 1e-9)
    )


def test_more_left_over_codes_than_an_exact_assignment_takes_still_make_a_permutation():
    codes, targets = problem(n=2300)
    found = complete(codes, targets, torch.zeros(2300, dtype=torch.int64))
    assert sorted(found.tolist()) == list(range(2300))
    assert found[(codes - targets[0]).square().sum(1).argmin()] == 0  # the nearest keeps it


@pytest.mark.parametrize(
    ("name", "gap"), [("semidual", 0.02), ("shortlist", 0.005), ("onepass", 0.005)]
)
def test_a_small_gap_is_certified(name, gap):
    coupling = solve(name, *problem(n=1300, d=10))
    assert 0 <= coupling.gap <= gap


def test_a_gap_that_is_not_reached_is_reported():
    codes, targets = problem(n=1300, d=10)
    coupling = solve("shortlist", codes, targets, gap=1e-6, passes=1, rounds=2)
    assert coupling.gap > 1e-6
    assert coupling.lower_bound <= optimum(codes, targets) <= coupling.cost
    assert coupling.gap == pytest.approx(coupling.cost / coupling.lower_bound - 1)


@pytest.mark.parametrize("shift", [0.0, 30.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_shortlist_takes_codes_of_any_place_and_size(shift, scale):
    codes, targets = problem(n=600, d=10)
    codes = scale * codes + shift
    coupling = solve("shortlist", codes, targets)
    assert share_of_the_way(coupling, codes, targets) >= 0.99
    assert coupling.lower_bound <= optimum(codes, targets) * (1 + 1e-9)


@pytest.mark.parametrize("name", ["blocks", "semidual"])
def test_a_warm_start_is_no_worse_and_costs_less(name):
    codes, targets = problem(n=600)
    options = {"blocks": {"block": 100, "rounds": 1}, "semidual": {"passes": 20, "error": 0.0}}
    cold = solve(name, codes, targets, **options[name])
    warm = solve(name, codes, targets, cold.state, **options[name])
    assert warm.cost < cold.cost


def test_a_warm_shortlist_reaches_the_same_gap_with_less_work(monkeypatch):
    codes, targets = problem(n=1300, d=10)
    first = solve("shortlist", codes, targets)
    moved = 0.5 * (codes + first.mapped) + 0.3 * torch.randn(1300, 10, generator=stream(0, "move"))
    scored = []
    blocks = Scores.blocks
    monkeypatch.setattr(
        Scores, "blocks", lambda self, z, h: scored.append(len(z)) or blocks(self, z, h)
    )
    cold, cold_work = solve("shortlist", moved, targets), sum(scored)
    scored.clear()
    warm, warm_work = solve("shortlist", moved, targets, first.state), sum(scored)
    assert max(cold.gap, warm.gap) <= 0.005
    assert warm_work <= cold_work / 3


def test_shortlist_stops_at_the_gap_and_never_loses_a_better_bound(monkeypatch):
    draw = stream(0, "clusters")
    centres = 2 * torch.randn(10, 10, generator=draw)  # ties: bounds go up and down
    codes = centres[torch.arange(1100) % 10] + 0.05 * torch.randn(1100, 10, generator=draw)
    targets = torch.randn(1100, 10, generator=draw)
    bounds = [solve("shortlist", codes, targets, passes=k).lower_bound for k in range(1, 7)]
    assert bounds == sorted(bounds)
    scored = []
    blocks = Scores.blocks
    monkeypatch.setattr(
        Scores, "blocks", lambda self, z, h: scored.append(len(z)) or blocks(self, z, h)
    )
    solve("shortlist", *problem(n=1100, d=10), gap=0.5)
    assert scored.count(1100) == 2  # the first shortlists, and one pass that finds the gap


def test_state_survives_a_checkpoint_and_continues_alike():
    codes, targets = problem(n=1300)
    state = solve("shortlist", codes, targets).state
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    again = torch.load(file, weights_only=True)
    moved = codes + 0.1
    a, b = (solve("shortlist", moved, targets, warm) for warm in (state, again))
    assert torch.equal(a.assignment, b.assignment)
    assert a.lower_bound == b.lower_bound
    assert state["heights"].mean().abs() < 1e-4  # no drift over many warm starts


@pytest.mark.parametrize("name", sorted(set(PERMUTING) - {"bsp"}))  # POT's ignores its seed
def test_the_generator_alone_decides(name):
    codes, targets = problem(n=700)
    solver = build_solver(name)
    torch.manual_seed(1)
    first = solver(codes, targets, {}, stream(0, "solve"))
    torch.manual_seed(2)
    again = solver(codes, targets, {}, stream(0, "solve"))
    assert torch.equal(first.assignment, again.assignment)
    assert first.lower_bound == again.lower_bound


def test_moments_of_the_chosen_targets_are_matched():
    codes, targets = problem(n=2000)
    scores, centred = Scores(targets), codes - codes.mean(0)
    heights = shortlist.match_moments(scores, centred, targets, stream(0, "moments"))

    def error(under):
        chosen = targets[scores.best(centred, under)[1]]
        return (chosen.T @ chosen - targets.T @ targets).norm() / len(targets)

    assert error(heights) < 0.25 * error(torch.zeros(2000))


def test_a_target_on_no_shortlist_does_not_rise_without_end():
    codes, targets = problem(n=100)
    listed = (torch.arange(100)[:, None] + torch.tensor([0, 1, 2])) % 99  # all but the last
    heights, _ = shortlist.ascend(codes, targets, torch.zeros(100), listed, rounds=60)
    assert heights[99] - heights[:99].mean() < 0.5  # free to rise, it would by some 9
    assert heights[:99].std() > 0.5


@pytest.mark.parametrize("shift", [0, 30])
def test_assignments_wait_until_the_ascent_predicts_the_gap(monkeypatch, shift):
    codes, targets = problem(n=1100, d=10)
    calls = []
    monkeypatch.setattr(
        shortlist, "assign_within", lambda *args: calls.append(0) or assign_within(*args)
    )
    solve("shortlist", codes + shift, targets, gap=0.0, passes=3)
    assert len(calls) == 1  # the last pass's: no prediction is as low as the bound


@pytest.mark.parametrize(("n", "expected"), [(1000, "exact"), (1001, "shortlist")])
def test_auto_chooses_by_size(n, expected):
    codes, targets = problem(n, d=4)
    chosen, same = solve("auto", codes, targets), solve(expected, codes, targets)
    assert torch.equal(chosen.assignment, same.assignment)
    assert chosen.lower_bound == same.lower_bound
    assert ("shortlists" in chosen.state) == (expected == "shortlist")


def test_gaussian_map_matches_the_moments_and_says_it_is_no_permutation():
    codes, targets = problem(n=2000)
    coupling = solve("gaussian", codes, targets)
    assert coupling.assignment is None
    torch.testing.assert_close(coupling.mapped.mean(0), targets.mean(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(coupling.mapped.T.cov(), targets.T.cov(), atol=1e-3, rtol=0)


def test_gaussian_map_whitens_codes_where_the_targets_are_white():
    """The moment control: to N(0, I) the map is S^(-1/2) (z - m), and no prior draw is in it."""
    codes, targets = problem(n=500)
    targets = (targets - targets.mean(0)) @ torch.linalg.inv(
        torch.linalg.cholesky(targets.T.cov())
    ).T
    values, vectors = torch.linalg.eigh(codes.T.cov().double())
    root = vectors @ values.rsqrt().diag() @ vectors.T
    expected = (codes - codes.mean(0)).double() @ root
    torch.testing.assert_close(
        solve("gaussian", codes, targets).mapped, expected.float(), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("n", [300, 1_300])  # exact, and not
def test_noise_moves_codes_as_far_as_the_transport_would_and_nowhere(n):
    codes, targets = problem(n)
    coupling, transport = solve("noise", codes, targets), solve("auto", codes, targets)
    assert coupling.cost == pytest.approx(transport.cost, rel=1e-6)
    assert coupling.assignment is None
    assert coupling.lower_bound is None
    moved = coupling.mapped - codes
    each = transport.cost / codes.shape[1]  # variance of a coordinate
    torch.testing.assert_close(moved.T.cov(), each * torch.eye(6), atol=0.25 * each, rtol=0)
    assert moved.mean(0).abs().max() < 4 * (each / n) ** 0.5
    # The transport's own displacements point from the codes to the prior; these do not.
    towards = [(part * (codes - codes.mean(0))).sum(1).mean() for part in (
        transport.mapped - codes, moved)]  # fmt: skip
    assert towards[0] < -0.3
    assert abs(towards[1]) < 0.3
    again = solve("noise", codes, targets, warm=coupling.state)
    assert again.cost == pytest.approx(transport.cost, rel=0.01)


def test_none_leaves_every_code_where_it_is():
    codes, targets = problem()
    assert torch.equal(solve("none", codes, targets).mapped, codes)


def test_a_repeated_target_is_refused():
    codes, targets = problem(n=4)
    with pytest.raises(ValueError, match="not a permutation"):
        permutation_coupling(codes, targets, torch.tensor([0, 1, 1, 3]))


@pytest.mark.parametrize("name", sorted(SOLVERS))
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_codes_that_are_not_finite_are_refused(name, value):
    codes, targets = problem(n=4)
    codes[2, 1] = value
    with pytest.raises(InputError, match="codes=1 rows not finite"):
        solve(name, codes, targets)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sinkhorn", {}),
        ("blocks", {"block": 1}),
        ("blocks", {"size": 3}),
        ("shortlist", {"gap": -1}),
        ("shortlist", {"passes": 0}),
        ("shortlist", {"length": 0}),
        ("shortlist", {"rounds": 0}),
        ("onepass", {"gap": -1}),
        ("onepass", {"passes": 0}),
        ("onepass", {"length": 0}),
        ("onepass", {"rounds": 0}),
        ("auto", {"gap": 0.1}),
    ],
)
def test_bad_solver_input_names_the_key(name, options):
    with pytest.raises(InputError, match=r"method\.solver"):
        build_solver(name, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("shortlist", {"gap": "x"}),
        ("shortlist", {"gap": math.nan}),
        ("semidual", {"step": 0}),
        ("semidual", {"error": True}),
        ("blocks", {"block": 100.5}),
        ("blocks", {"rounds": 2.5}),
        ("bsp", {"plans": "many"}),
        ("onepass", {"rounds": 2.0}),
        ("onepass", {"length": None}),
        *[(name, {"passes": 1.5}) for name in ("shortlist", "onepass", "semidual")],
        *[(name, {"passes": True}) for name in ("shortlist", "onepass", "semidual")],
    ],
)
def test_an_option_of_another_kind_is_refused_at_once(name, options):
    ((key, value),) = options.items()
    with pytest.raises(InputError, match=rf"method\.solver_options\.{key}={value}: allowed: "):
        build_solver(name, **options)
