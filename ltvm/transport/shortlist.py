"""Semi-dual ascent on shortlists: few targets per code, checked against all by full passes.

A pass over all pairs costs n^2 d; an ascent of the semi-dual needs hundreds. Here nearly all
of them see only a shortlist of targets per code (compare Gottschlich and Schuhmacher, The
Shortlist Method, PLoS ONE 2014), and a full pass now and then makes new shortlists under the
heights reached and, by weak duality, a certified lower bound:

    heights (moments or warm start) -> shortlists -> ascent -> heights
        -> full pass: bound, new shortlists -> permutation within them -> gap small? else ascend
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltvm.transport.completion import assign_within
from ltvm.transport.coupling import (
    Coupling,
    check_counts,
    check_numbers,
    check_points,
    mean_cost,
    permutation_coupling,
)
from ltvm.transport.nearest import Tiles
from ltvm.transport.scores import Scores, lower_bound_from

POOL = 3  # latest shortlists that an ascent sees
BATCH = 500  # codes per step of the start by moments


class Shortlist:
    """``shortlist``: until the certified gap is at most ``gap``, or ``passes`` full passes.

    The gap is an aim: where passes run out before it, the coupling's own ``gap`` says what was
    certified. ``length`` targets per code are kept; ``rounds`` steps are made on them between
    passes.
    """

    def __init__(
        self, gap: float = 0.005, passes: int = 8, length: int = 24, rounds: int = 60
    ) -> None:
        check_numbers(gap=gap)
        check_counts(passes=passes, length=length, rounds=rounds)
        self.gap, self.passes, self.length, self.rounds = gap, passes, length, rounds

    def __call__(
        self,
        codes: Tensor,
        targets: Tensor,
        warm_start: dict[str, Tensor],
        generator: torch.Generator,
    ) -> Coupling:
        check_points(codes, targets)
        # A shift of all codes moves no optimum, but makes scores large and their rounding with it.
        shift = codes.mean(0)
        centred, scores = codes - shift, Scores(targets)
        offset = mean_cost(codes, targets) - mean_cost(centred, targets)  # of every permutation
        if "shortlists" in warm_start:
            heights = warm_start["heights"].to(codes.device)
            listed = warm_start["shortlists"].to(codes.device).long()
        else:
            heights = match_moments(scores, centred, targets, generator)
            _, listed = scores.shortlists(centred, heights, self.length)
        pool = [listed]
        bound, cost, assignment = float("-inf"), float("inf"), listed[:, 0]
        for number in range(self.passes):
            heights, predicted = ascend(
                centred, targets, heights, torch.cat(pool[-POOL:], dim=1), self.rounds
            )
            values, listed = scores.shortlists(centred, heights, self.length)
            pool.append(listed)
            best = values[:, 0]
            bound = max(bound, lower_bound_from(codes, targets, heights, best, shift))
            # What the ascent reached on its shortlists tells the cost: wait until it is worth it.
            last = number == self.passes - 1
            if last or predicted + offset <= bound * (1 + self.gap):
                found = assign_within(centred, targets, heights, values, listed)
                found_cost = mean_cost(codes, targets[found])
                if found_cost < cost:
                    cost, assignment = found_cost, found
                if cost <= bound * (1 + self.gap):
                    break
        state = {"heights": heights, "shortlists": listed.int(), "assignment": assignment}
        return permutation_coupling(codes, targets, assignment, lower_bound=bound, state=state)


def unit(codes: Tensor, targets: Tensor) -> Tensor:
    """The size of a coordinate's contribution to a score: what steps of heights scale with."""
    return (codes.square().mean() * targets.square().mean()).sqrt()


def match_moments(
    scores: Scores | Tiles,
    codes: Tensor,
    targets: Tensor,
    generator: torch.Generator,
    steps: int = 60,
) -> Tensor:
    """Quadratic heights [n] under which the chosen targets have all targets' first two moments.

    It is the semi-dual's stochastic descent over h_p = <v, p> + <p, M p> / 2, which has few
    parameters and so needs few codes; heights of zero would send most codes to few targets.
    """
    n = len(targets)
    points = targets / targets.square().mean().sqrt()
    mean, second = points.mean(0), points.T @ points / n
    heights, size = targets.new_zeros(n), unit(codes, targets)
    for step in range(steps):
        draw = torch.randint(n, (min(BATCH, n),), generator=generator, device=generator.device)
        _, chosen = scores.best(codes[draw.to(codes.device)], heights)
        picked = points[chosen]
        quadratic = second - picked.T @ picked / len(picked)
        slope = mean - picked.mean(0)
        change = ((points @ quadratic) * points).sum(1) / 2 + points @ slope
        heights = heights + 0.5 * size / (1 + step / 15) * change
    return heights


def ascend(
    codes: Tensor, targets: Tensor, heights: Tensor, listed: Tensor, rounds: int
) -> tuple[Tensor, float]:
    """Descend on F over the shortlists [n, k]; return heights [n] and the mean cost they predict.

    As in ``semidual``: a target rises while fewer than one code chooses it and falls while more
    do, with momentum 0.9; steps fall linearly to nothing. Nothing is read back from a GPU
    until the end.
    """
    products = torch.empty_like(listed, dtype=codes.dtype)  # <z_i, p_j> for j listed for i: [n, k]
    for i in range(
        0, len(codes), 2_000
    ):  # into one tensor: kept parts would hold temporaries apart
        block, part = codes[i : i + 2_000], listed[i : i + 2_000]
        products[i : i + 2_000] = torch.bmm(targets[part], block[:, :, None])[:, :, 0]
    size, velocity = unit(codes, targets), torch.zeros_like(heights)
    ones = torch.ones_like(heights)
    flat = listed.flatten()

    def scores() -> Tensor:
        # A quarter of the time of heights[listed], and the same numbers.
        return products + heights.index_select(0, flat).view_as(products)

    # A target on no shortlist would rise without end, for nobody can choose it: it stays.
    free = torch.zeros_like(heights).index_fill_(0, flat, 1)
    for step in range(rounds):
        chosen = listed.gather(1, scores().argmax(1, keepdim=True))[:, 0]
        used = torch.zeros_like(heights).scatter_add_(0, chosen, ones)
        velocity = 0.9 * velocity + 0.1 * free * (1 - used)
        heights = heights + 0.25 * size * (1 - step / rounds) * velocity
    heights = heights - heights.mean()
    values = scores().amax(1)
    squares = codes.square().sum(1).mean() + targets.square().sum(1).mean()
    return heights, (squares - 2 * values.mean()).item()
