"""Scores <z, p> + h of codes against all targets under heights h, and the bound they prove.

For *any* heights h and any permutation pi (weak duality),

    mean_i <z_i, p_pi(i)>  <=  F(h) = mean_i max_p (<z_i, p> + h_p) - mean_p h_p,

so mean |z|^2 + mean |p|^2 - 2 F(h) is a lower bound on the optimal mean cost; F is convex and
its minimiser makes the bound tight.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

GROUPS = 1024  # of targets: a shortlist takes at most one target from each
ROWS = 512  # codes per block at most
CELLS = {"cpu": 2**24, "cuda": 2**28}  # scores per block at most: 64 MB and 1 GB in float32


class Scores:
    """Score matrices of any codes against these targets [n, d], block by block of rows.

    All blocks share one buffer: on a CPU, fresh memory for every block costs several times
    what the products cost. Scores are computed in the targets' dtype.
    """

    def __init__(self, targets: Tensor) -> None:
        self.n, d = targets.shape
        self.groups = min(GROUPS, self.n)
        self.members = -(-self.n // self.groups)
        padded = self.groups * self.members
        # One matrix product makes <z, p> + h: the heights are one more coordinate of the targets.
        self.matrix = targets.new_zeros(d + 1, padded)
        self.matrix[:d, : self.n] = targets.T
        self.matrix[d, self.n :] = torch.finfo(targets.dtype).min  # no padding is ever chosen
        cells = CELLS.get(targets.device.type, CELLS["cpu"])
        on_cpu = targets.device.type == "cpu"
        rows = min(ROWS if on_cpu else self.n, self.n, max(1, cells // padded))
        self.buffer = targets.new_empty(rows, padded)

    def blocks(self, codes: Tensor, heights: Tensor) -> Iterator[Tensor]:
        """Yield the scores [rows, >= n] of each block; the next block overwrites them."""
        self.matrix[-1, : self.n] = heights
        for block in codes.split(len(self.buffer)):
            left = torch.cat([block, block.new_ones(len(block), 1)], dim=1)
            yield torch.mm(left, self.matrix, out=self.buffer[: len(block)])

    def best(self, codes: Tensor, heights: Tensor) -> tuple[Tensor, Tensor]:
        """max_p and argmax_p of <z, p> + h_p for every code: [m] and [m]."""
        rows = [block.max(dim=1) for block in self.blocks(codes, heights)]
        return torch.cat([row.values for row in rows]), torch.cat([row.indices for row in rows])

    def shortlists(self, codes: Tensor, heights: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """High scores of every code and their targets: [m, length] and int64 [m, length].

        The ``length`` best of the winners of ``groups`` groups of targets: the best target is
        always among them, a next best is missed where it shares its group with a better one.
        That is a fifth of the work of sorting out the exact best.
        """
        values, targets = [], []
        offsets = self.groups * torch.arange(self.members, device=codes.device)
        for block in self.blocks(codes, heights):
            rows = len(block)
            winners = block.view(rows, self.members, self.groups).amax(dim=1)
            top = winners.topk(min(length, self.groups), dim=1)
            # Which member of its group won: look at the winning groups only.
            columns = top.indices[:, :, None] + offsets
            members = block.gather(1, columns.view(rows, -1)).view(columns.shape).argmax(dim=2)
            values.append(top.values)
            targets.append(top.indices + self.groups * members)
        return torch.cat(values), torch.cat(targets)


def lower_bound(codes: Tensor, targets: Tensor, heights: Tensor) -> float:
    """The certified lower bound on the optimal mean cost that ``heights`` [n] give (float64)."""
    codes, targets, heights = codes.double(), targets.double(), heights.double()
    values, _ = Scores(targets).best(codes, heights)
    return bound_from_maxima(codes, targets, heights, values)


def lower_bound_from(
    codes: Tensor, targets: Tensor, heights: Tensor, values: Tensor, shift: Tensor
) -> float:
    """As :func:`lower_bound`, from float32 maxima of scores that are known: no second pass.

    ``values`` [n] are the maxima of <z - shift, p> + h_p, which are those of <z, p> under the
    heights h_p - <shift, p>. The bound stays a proof: it is lowered by :func:`rounding`.
    """
    codes, targets, heights, shift = (x.double() for x in (codes, targets, heights, shift))
    unshifted = heights - targets @ shift
    if not products_are_float32():
        return lower_bound(codes, targets, unshifted)
    allowed = rounding(codes - shift, targets, heights)
    return bound_from_maxima(codes, targets, unshifted, values + allowed)


def products_are_float32() -> bool:
    """Whether float32 products have no TF32 or bfloat16 inside, of which no proof follows."""
    return torch.get_float32_matmul_precision() == "highest"


def rounding(codes: Tensor, targets: Tensor, heights: Tensor) -> Tensor:
    """How far float32 scores <z, p> + h_p of float64 codes may be off, of every code: [n].

    A difference (the codes' shift) and a product of d + 1 terms, summed in any order, are off by
    at most gamma (|z| |p| + |h|) with gamma = (d + 2) u / (1 - (d + 2) u), u = 2^-24 (Higham,
    Accuracy and Stability of Numerical Algorithms, 3.5).
    """
    terms = (codes.shape[1] + 2) * 2.0**-24
    largest = codes.norm(dim=1) * targets.norm(dim=1).max() + heights.abs().max()
    return terms / (1 - terms) * largest


def bound_from_maxima(codes: Tensor, targets: Tensor, heights: Tensor, values: Tensor) -> float:
    """The bound that heights [n] prove whose highest scores are at most ``values`` [n]."""
    dual = values.mean() - heights.mean()
    return (codes.square().sum(1).mean() + targets.square().sum(1).mean() - 2 * dual).item()
