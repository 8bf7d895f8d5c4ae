"""Semi-discrete transport: from a law that can be drawn from to n points of equal weight.

With heights h on the points, T(u) = argmax_p <u, p> + h_p maps a cell of u to each point; it is
the optimal map (squared distance) once every cell has the mass 1/n, which is where the convex

    F(h) = E_u max_p (<u, p> + h_p) - mean_p h_p,    dF/dh_p = P(T(u) = p) - 1/n

has its minimum (:mod:`ltvm.transport.scores` has the same F for n draws in place of a law). The
descent here is that of ``semidual`` with fresh draws at every step, whose noise is averaged out:
the heights are the mean of the second half of the steps (Polyak and Juditsky, 1992). Its draws are
far cheaper than a permutation of as many, and what it finds holds for draws not yet seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ltvm.transport.coupling import squared_distances
from ltvm.transport.scores import CELLS, Scores
from ltvm.transport.shortlist import unit

Draw = Callable[[int], Tensor]  # so many fresh draws of the law: [m, d]


@dataclass(frozen=True)
class Cells:
    """Points [n, d], their heights [n], and the mean draw of each cell [n, d] (NaN: no draw)."""

    points: Tensor
    heights: Tensor
    centres: Tensor

    def of(self, draws: Tensor) -> Tensor:
        """The point that each draw [m, d] is mapped to: int64 [m]."""
        return Scores(centred(self.points)).best(draws, self.heights)[1]

    def extend(self, draws: Tensor, angle: float) -> Tensor:
        """The map extended linearly between cells: draws [m, d] -> [m, d].

        A draw is mapped to a mean of the points of its cell and of the d cells whose centres are
        nearest, weighted by 1 / distance to the centre. Left out are points y' whose piece of
        the Brenier potential, with the normal (y', -1), meets that of the draw's own point y at
        more than ``angle`` radians: there the map jumps, from one mode to another. At 0 nothing
        is left but T(u), nor where the centre of its cell is unknown.
        """
        rows = max(1, CELLS["cpu"] // len(self.points))
        return torch.cat([self._extended(part, angle) for part in draws.split(rows)])

    def _extended(self, draws: Tensor, angle: float) -> Tensor:
        n, d = self.points.shape
        own = self.of(draws)
        distances = squared_distances(draws, self.centres).sqrt()  # [m, n]
        distances = distances.nan_to_num(nan=torch.inf).scatter_(1, own[:, None], -1.0)
        vertices = distances.topk(min(d + 1, n), largest=False).indices  # [m, d + 1], own first
        normals = torch.cat([self.points, -torch.ones_like(self.points[:, :1])], dim=1)
        normals = normals / normals.norm(dim=1, keepdim=True)
        cosines = (normals[vertices] * normals[own][:, None]).sum(2)
        kept = cosines.clamp(-1, 1).acos() <= angle
        reach = (draws[:, None] - self.centres[vertices]).norm(dim=2)  # NaN: no centre is known
        weights = torch.where(kept & reach[:, :1].isfinite(), 1 / reach.clamp(min=1e-6), 0.0)
        weights[:, 0] = (1 / reach[:, 0].clamp(min=1e-6)).nan_to_num(nan=1.0)  # T(u) is always kept
        weights = weights.nan_to_num(nan=0.0)
        weights = weights / weights.sum(1, keepdim=True)
        return (weights[:, :, None] * self.points[vertices]).sum(1)


def centred(points: Tensor) -> Tensor:
    """Points around their mean: no cell changes, but scores are rounded less."""
    return points - points.mean(0)


def descend(
    points: Tensor,
    draw: Draw,
    *,
    steps: int,
    draws: int,
    heights: Tensor | None = None,
    size: float = 0.3,
) -> Tensor:
    """Heights [n] by ``steps`` of ``draws`` each, from those given (a warm start) or from zero.

    As in ``semidual``: a point's height falls while more than its share of the draws choose it,
    with momentum 0.9 and steps that fall as 1 / (1 + k / 25).
    """
    n, points = len(points), centred(points)
    scores = Scores(points)
    begun = 0 if heights is None else 100  # a warm start is near the optimum already
    heights = points.new_zeros(n) if heights is None else heights
    velocity, total = torch.zeros_like(heights), torch.zeros_like(heights)
    for k in range(steps):
        fresh = draw(draws)
        _, chosen = scores.best(fresh, heights)
        used = torch.bincount(chosen, minlength=n) * (n / draws)
        velocity = 0.9 * velocity + 0.1 * (1 - used)
        heights = heights + size * unit(fresh, points) / (1 + (k + begun) / 25) * velocity
        if k >= steps // 2:
            total = total + heights
    heights = total / (steps - steps // 2)
    return heights - heights.mean()


def measure(points: Tensor, heights: Tensor, draw: Draw, draws: int) -> tuple[Cells, float]:
    """The cells with their centres, by so many fresh draws, and chi^2 / (n - 1) of their counts.

    That is 1 in expectation where all cells have the mass 1/n, and no less.
    """
    n, fresh = len(points), draw(draws)
    _, chosen = Scores(centred(points)).best(fresh, heights)
    counts = torch.bincount(chosen, minlength=n)
    sums = torch.zeros_like(points).index_add_(0, chosen, fresh)
    expected = draws / n
    chi_square = (counts - expected).square().sum() / expected / max(1, n - 1)
    return Cells(points, heights, sums / counts[:, None]), chi_square.item()
