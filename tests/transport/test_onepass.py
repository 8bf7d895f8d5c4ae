"""The pass that finds nearest targets, the bound that it certifies, and the solver on both."""

import pytest
import torch
from transport.test_transport import optimum, problem, share_of_the_way, solve

from ltvm.runtime.randomness import stream
from ltvm.transport import auto, build_solver, lower_bound, nearest, onepass
from ltvm.transport.nearest import Nearest, Tiles
from ltvm.transport.onepass import certify
from ltvm.transport.scores import bound_from_maxima


@pytest.mark.parametrize(("n", "length"), [(5, 3), (31, 40), (33, 32), (1024, 16), (1500, 32)])
def test_the_nearest_targets_are_the_best_and_the_ceiling_is_above_all_others(n, length):
    codes, targets = problem(n)
    heights = torch.randn(n, generator=stream(0, "heights"))
    found = Tiles(targets).nearest(codes[:300], heights, length)
    every = codes[:300].double() @ targets.double().T + heights
    exact = every.topk(min(length, n))
    torch.testing.assert_close(found.scores.double(), exact.values, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(
        found.scores.double(), every.gather(1, found.targets), atol=1e-4, rtol=1e-5
    )
    assert all(len(set(row)) == min(length, n) for row in found.targets.tolist())
    others = every.scatter(1, found.targets, float("-inf")).amax(1)
    assert (others <= found.ceiling + 1e-4).all()
    assert (found.ceiling <= found.scores[:, -1] + 1e-4).all()  # and no higher than it need be


def test_tiles_and_blocks_do_not_change_what_is_nearest(monkeypatch):
    codes, targets = problem(n=300)
    heights = torch.randn(300, generator=stream(0, "heights"))
    at_once = Tiles(targets).nearest(codes, heights, 8)
    monkeypatch.setitem(nearest.ROWS, "cpu", 7)
    monkeypatch.setitem(nearest.GROUPS, "cpu", 2)
    monkeypatch.setitem(nearest.AGAIN, "cpu", 3)
    in_parts = Tiles(targets).nearest(codes, heights, 8)
    assert torch.equal(at_once.targets, in_parts.targets)
    torch.testing.assert_close(at_once.scores, in_parts.scores)
    torch.testing.assert_close(at_once.ceiling, in_parts.ceiling)


def test_the_best_is_the_first_of_the_nearest():
    codes, targets = problem(n=1500)
    heights = torch.randn(1500, generator=stream(0, "heights"))
    values, chosen = Tiles(targets).best(codes, heights)
    assert torch.equal(chosen, (codes.double() @ targets.double().T + heights).argmax(1))
    torch.testing.assert_close(values, (codes * targets[chosen]).sum(1) + heights[chosen])


@pytest.mark.parametrize("seed", range(10))
def test_what_is_certified_is_proved_by_a_full_pass_whatever_rises(seed):
    """Without the ceiling, or with one that does not rise with the heights, it would not be."""
    codes, targets = problem(n=200, seed=seed)
    shift, draw = codes.mean(0) + seed, stream(seed, "heights")
    above = {"no ceiling": 0, "no rise": 0}
    for scale in (0.0, 0.3, 1.0, 10.0, 1e4):
        heights = scale * torch.randn(200, generator=draw)
        near = Tiles(targets).nearest(codes - shift, heights, 4)
        for size in (0.0, 0.3, 3.0, 30.0):
            rises = size * torch.randn(200, generator=draw).double()
            unshifted = heights - targets.double() @ shift.double()
            caps = rises.sort().values[[int(q * 199) for q in onepass.CAPS]]
            proofs = [lower_bound(codes, targets, unshifted + rises.clamp(max=c)) for c in caps]
            assert certify(codes, targets, heights, near, rises, shift) <= max(proofs)
            listed = (near.scores + rises[near.targets]).amax(1)
            for wrong, values in (
                ("no ceiling", listed),
                ("no rise", listed.maximum(near.ceiling.double())),
            ):
                careless = bound_from_maxima(
                    codes.double(), targets.double(), unshifted + rises, values
                )
                above[wrong] += careless > proofs[0] + 1e-3
    assert min(above.values()) > 0


def test_what_is_certified_without_rises_is_the_bound_of_the_heights():
    codes, targets = problem(n=400)
    heights, shift = torch.randn(400, generator=stream(0, "heights")), codes.mean(0)
    near = Tiles(targets).nearest(codes - shift, heights, 4)
    proof = lower_bound(codes, targets, heights - targets @ shift)
    bound = certify(codes, targets, heights, near, torch.zeros(400), shift)
    assert bound <= proof
    assert bound == pytest.approx(proof, rel=1e-4)


def test_one_target_that_rose_far_costs_no_other_bound():
    codes, targets = problem(n=1300, d=10)
    shift, solved = codes.mean(0), solve("onepass", *problem(n=1300, d=10), gap=0.0)
    heights = solved.state["heights"]
    near = Tiles(targets).nearest(codes - shift, heights, 32)
    rises = torch.zeros(1300).double()
    rises[5] = 20
    bound = certify(codes, targets, heights, near, rises, shift)
    assert bound == pytest.approx(solved.lower_bound, rel=1e-3)


def test_the_certificate_trusts_no_products_of_reduced_precision():
    codes, targets = problem(n=50)
    heights, shift = torch.zeros(50), torch.zeros(6)
    nothing = Nearest(torch.zeros(50, 1), torch.zeros(50, 1).long(), torch.zeros(50))
    torch.set_float32_matmul_precision("high")
    try:
        bound = certify(codes, targets, heights, nothing, heights.double(), shift)
        assert bound == lower_bound(codes, targets, heights)
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("d", [10, 64])
def test_one_pass_finds_and_proves_nearly_the_optimum(monkeypatch, d):
    codes, targets = problem(n=1300, d=d)
    scored = count_scored(monkeypatch)
    coupling = solve("onepass", codes, targets)
    assert scored.count(1300) == 1  # beside the moments' batches
    assert coupling.lower_bound <= optimum(codes, targets) * (1 + 1e-9)
    assert coupling.gap <= 0.003
    assert share_of_the_way(coupling, codes, targets) >= 0.999


def test_a_warm_start_saves_the_moments(monkeypatch):
    codes, targets = problem(n=1300, d=10)
    first = solve("onepass", codes, targets)
    moved = 0.5 * (codes + first.mapped) + 0.3 * torch.randn(1300, 10, generator=stream(0, "move"))
    scored = count_scored(monkeypatch)
    warm = solve("onepass", moved, targets, first.state)
    assert scored == [1300]
    assert warm.gap <= 0.005


def test_a_gap_that_one_pass_does_not_certify_takes_more_and_loses_no_bound():
    draw = stream(0, "clusters")
    centres = 2 * torch.randn(10, 10, generator=draw)
    codes = centres[torch.arange(1100) % 10] + 0.05 * torch.randn(1100, 10, generator=draw)
    targets = torch.randn(1100, 10, generator=draw)
    few, more = (solve("onepass", codes, targets, passes=k, gap=0.0) for k in (1, 8))
    assert few.lower_bound < more.lower_bound <= optimum(codes, targets) <= more.cost <= few.cost


@pytest.mark.parametrize("shift", [0.0, 30.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_codes_of_any_place_and_size(shift, scale):
    codes, targets = problem(n=600, d=10)
    codes = scale * codes + shift
    coupling = solve("onepass", codes, targets)
    assert share_of_the_way(coupling, codes, targets) >= 0.99
    assert coupling.lower_bound <= optimum(codes, targets) * (1 + 1e-9)


@pytest.mark.parametrize(("n", "chosen"), [(1100, "shortlist"), (1200, "onepass")])
def test_auto_takes_one_pass_above_its_largest_shortlist(monkeypatch, n, chosen):
    monkeypatch.setattr(auto.Auto, "largest_shortlist", 1100)
    codes, targets = problem(n, d=4)
    ours, same = solve("auto", codes, targets), solve(chosen, codes, targets)
    assert torch.equal(ours.assignment, same.assignment)
    assert ours.lower_bound == same.lower_bound


def test_auto_goes_on_when_the_number_of_codes_crosses_its_limit(monkeypatch):
    """A warm start of one solver is none of the other's business."""
    codes, targets = problem(n=1100, d=4)
    for name in ("shortlist", "onepass"):
        state = build_solver(name)(codes, targets, {}, stream(0, "solve")).state
        for other in ("shortlist", "onepass"):
            assert solve(other, codes, targets, state).gap <= 0.005


@pytest.mark.parametrize("codes", ["shrunk", "stretched", "heavy tails"])
def test_codes_unlike_the_prior_take_one_pass_too(monkeypatch, codes):
    draw = stream(0, codes)
    points, targets = torch.randn(2, 1300, 64, generator=draw)
    sizes = {
        "shrunk": torch.tensor(0.1),
        "stretched": torch.linspace(0.02, 2, 64),
        "heavy tails": torch.empty(1300, 1).exponential_(generator=draw).sqrt(),
    }
    scored = count_scored(monkeypatch)
    coupling = solve("onepass", points * sizes[codes], targets)
    assert scored.count(1300) == 1
    assert coupling.gap <= 0.005


def count_scored(monkeypatch):
    """The numbers of codes that were scored against all targets, call by call, from now on."""
    scored = []
    of_all = Tiles.nearest

    def counted(self, codes, heights, length):
        scored.append(len(codes))
        return of_all(self, codes, heights, length)

    monkeypatch.setattr(Tiles, "nearest", counted)
    return scored
