"""Semi-discrete transport: a closed form on the line, equal masses, and what lies between cells."""

import math

import pytest
import torch
from scipy.stats import norm

from ltvm.transport.semidiscrete import Cells, centred, descend, measure


def normals(d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return lambda m: torch.randn(m, d, generator=generator)


def test_on_the_line_cells_end_at_the_quantiles():
    """p_1 < ... < p_n: h_{i+1} - h_i = -q_i (p_{i+1} - p_i), q_i the normal's i/n quantile."""
    points = torch.tensor([-2.0, -1.5, 0.3, 0.4, 5.0])[:, None] + 7
    heights = descend(points, normals(1), steps=600, draws=200)
    ends = -heights.diff() / points[:, 0].diff()
    expected = torch.tensor(norm.ppf([0.2, 0.4, 0.6, 0.8]), dtype=torch.float32)
    torch.testing.assert_close(ends, expected, atol=0.05, rtol=0)
    cells, _ = measure(points, heights, normals(1, 1), 20_000)
    inner = norm.pdf([-math.inf, *expected, math.inf])
    means = torch.tensor((inner[:-1] - inner[1:]) / 0.2, dtype=torch.float32)
    torch.testing.assert_close(cells.centres[:, 0], means, atol=0.05, rtol=0)
    assert torch.equal(cells.of(torch.tensor([[-9.0], [0.0], [9.0]])), torch.tensor([0, 2, 4]))


@pytest.mark.parametrize("modes", [0.0, 6.0])
def test_every_point_has_the_same_mass(modes):
    """The gradient of F, P(cell) - 1/n, is 0 within what so many draws can tell."""
    generator = torch.Generator().manual_seed(2)
    points = torch.randn(60, 4, generator=generator)
    points[:30, 0] += modes
    points = 3 * points + 5
    heights = descend(points, normals(4), steps=600, draws=600)
    draws = 12_000
    _, chi_square = measure(points, heights, normals(4, 1), draws)
    assert chi_square < 1 + 5 * math.sqrt(2 / 59)
    chosen = Cells(points, heights, points).of(normals(4, 3)(draws))
    share = torch.bincount(chosen, minlength=60) / draws
    assert (share - 1 / 60).abs().max() < 5 * math.sqrt(1 / 60 / draws)
    _, untaught = measure(points, torch.zeros(60), normals(4, 1), draws)
    assert untaught > 50


def test_a_warm_start_is_kept():
    points = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    heights = descend(points, normals(3), steps=400, draws=400)
    moved = points + 0.01 * torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    _, cold = measure(moved, descend(moved, normals(3), steps=5, draws=400), normals(3, 1), 40_000)
    warm = descend(moved, normals(3), steps=5, draws=400, heights=heights)
    assert measure(moved, warm, normals(3, 1), 40_000)[1] < cold / 5


@pytest.fixture(scope="module")
def two_modes():
    """Twelve points in the plane, six at either side, far from each other and from the origin."""
    points = torch.randn(12, 2, generator=torch.Generator().manual_seed(3))
    points[:6, 0] += 20
    points[6:, 0] -= 20
    heights = descend(points, normals(2), steps=400, draws=120)
    return measure(points, heights, normals(2, 1), 6_000)[0]


def by_hand(cells, draw, angle):
    """The extension of one draw, in words of the paper."""
    n, d = cells.points.shape
    scores = [float(draw @ centred(cells.points)[j] + cells.heights[j]) for j in range(n)]
    own = max(range(n), key=scores.__getitem__)
    others = sorted(set(range(n)) - {own}, key=lambda j: (draw - cells.centres[j]).norm().item())
    pieces = {}
    for j in [own, *others[:d]]:
        normal, its = (torch.cat([cells.points[k], torch.tensor([-1.0])]) for k in (own, j))
        cosine = (normal @ its / normal.norm() / its.norm()).clamp(-1, 1)
        if j == own or cosine.acos() <= angle:
            pieces[j] = 1 / (draw - cells.centres[j]).norm().item()
    total = sum(pieces.values())
    return sum(weight / total * cells.points[j] for j, weight in pieces.items())


@pytest.mark.parametrize("angle", [0.0, 0.1, 1.0, math.pi])
def test_the_extension_is_that_of_the_paper(two_modes, angle):
    draws = normals(2, 5)(50)
    expected = torch.stack([by_hand(two_modes, draw, angle) for draw in draws])
    torch.testing.assert_close(two_modes.extend(draws, angle), expected, atol=1e-4, rtol=1e-4)


def test_the_angle_keeps_samples_out_from_between_modes(two_modes):
    draws = normals(2, 4)(3000)
    between = {
        angle: (two_modes.extend(draws, angle)[:, 0].abs() < 15).float().mean().item()
        for angle in (0.0, 1.0, math.pi)
    }
    assert between[math.pi] > 0.01  # as a continuous generator has it
    assert between[0.0] == between[1.0] == 0
    assert not torch.equal(two_modes.extend(draws, 1.0), two_modes.extend(draws, 0.0))
    assert torch.equal(two_modes.extend(draws, 0.0), two_modes.points[two_modes.of(draws)])


def test_a_cell_that_no_draw_has_met_has_its_point(two_modes):
    unmet = two_modes.centres.clone()
    unmet[4] = math.nan
    cells, draws = Cells(two_modes.points, two_modes.heights, unmet), normals(2, 4)(500)
    made, own = cells.extend(draws, math.pi), cells.of(draws)
    assert made.isfinite().all()
    assert torch.equal(made[own == 4], cells.points[own[own == 4]])
