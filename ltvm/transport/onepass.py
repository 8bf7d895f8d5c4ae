"""Semi-dual ascent after one pass over all pairs, which also certifies what the ascent reaches.

Weak duality asks for max_p (<z, p> + h_p) over all targets, at the heights that are reached.
A pass under earlier heights h0 knows it nearly: it leaves each code's best targets L and a
ceiling c of all other scores, so that under any heights h (the margin of the shortlist method,
Gottschlich and Schuhmacher, PLoS ONE 2014, made a bound on the dual)

    max_p (<z, p> + h_p)  <=  max( max_{p in L} (<z, p> + h_p),  c + max_p (h_p - h0_p) ).

    heights (moments or warm start) -> pass: best targets, ceilings -> ascent -> heights
        -> bound by ceilings -> permutation within the best targets -> gap small? else again
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
from ltvm.transport.nearest import Nearest, Tiles
from ltvm.transport.scores import (
    bound_from_maxima,
    lower_bound,
    products_are_float32,
    rounding,
)
from ltvm.transport.shortlist import POOL, ascend, match_moments

CAPS = (1.0, 0.9999, 0.999, 0.99, 0.97, 0.9)  # quantiles of h - h0 at which rises may end


class OnePass:
    """``onepass``: until the certified gap is at most ``gap``, or ``passes`` full passes.

    One pass is usual; without a warm start the fit of moments costs 30,000 / n of one more.
    ``length`` targets per code are kept, ``rounds`` steps are made on them.
    """

    def __init__(
        self, gap: float = 0.005, passes: int = 4, length: int = 32, rounds: int = 120
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
        centred, tiles = codes - shift, Tiles(targets)
        offset = mean_cost(codes, targets) - mean_cost(centred, targets)  # of every permutation
        if "heights" in warm_start:
            heights = warm_start["heights"].to(codes.device)
        else:
            heights = match_moments(tiles, centred, targets, generator)
        pool: list[Tensor] = []
        bound, cost = float("-inf"), float("inf")
        for number in range(self.passes):
            near = tiles.nearest(centred, heights, self.length)
            pool = [*pool, near.targets][-POOL:]
            reached, predicted = ascend(
                centred, targets, heights, torch.cat(pool, dim=1), self.rounds
            )
            rises = reached.double() - heights.double()
            bound = max(bound, certify(codes, targets, heights, near, rises, shift))
            # What the ascent reached on its shortlists tells the cost: wait until it is worth it.
            last = number == self.passes - 1
            if last or predicted + offset <= bound * (1 + self.gap):
                scores = near.scores + rises.to(heights.dtype)[near.targets]
                scores, order = scores.sort(dim=1, descending=True)
                listed = near.targets.gather(1, order)
                found = assign_within(centred, targets, reached, scores, listed)
                found_cost = mean_cost(codes, targets[found])
                if found_cost < cost:
                    cost, assignment = found_cost, found
            heights = reached
            if cost <= bound * (1 + self.gap):
                break
        state = {"heights": heights, "assignment": assignment}
        return permutation_coupling(codes, targets, assignment, lower_bound=bound, state=state)


def certify(
    codes: Tensor, targets: Tensor, heights: Tensor, near: Nearest, rises: Tensor, shift: Tensor
) -> float:
    """A certified lower bound on the optimal mean cost, by heights + rises, without a pass.

    ``near`` are the nearest targets of the codes less ``shift`` under ``heights``. A few targets
    that rose far would lift the ceilings of all codes: rises are also tried with an end at the
    quantiles ``CAPS``, and the best bound counts, for each is a bound.
    """
    codes, targets, heights, shift = (x.double() for x in (codes, targets, heights, shift))
    if not products_are_float32():
        return lower_bound(codes, targets, heights + rises - targets @ shift)
    allowed = rounding(codes - shift, targets, heights)
    scores, ceiling = near.scores.double(), near.ceiling.double()
    ordered = rises.sort().values
    bounds = []
    for quantile in CAPS:
        capped = rises.clamp(max=ordered[int(quantile * (len(rises) - 1))])
        listed = scores + capped.index_select(0, near.targets.flatten()).view_as(scores)
        values = listed.amax(1).maximum(ceiling + capped.max())
        unshifted = heights + capped - targets @ shift
        bounds.append(bound_from_maxima(codes, targets, unshifted, values + allowed))
    return max(bounds)
