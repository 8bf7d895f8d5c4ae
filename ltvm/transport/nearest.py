"""The targets of highest score of every code, and what no other target's score exceeds.

All scores <z, p> + h are computed once, tile by tile, each small enough to stay in a core's
cache; only the best of every group of targets is kept of a tile. The ``length`` targets of
highest score lie in the ``length`` groups of highest winners, and only these are scored again.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

MEMBERS = 32  # targets per group, neighbours in memory
ROWS = {"cpu": 256, "cuda": 2_048}  # codes per tile
GROUPS = {"cpu": 32, "cuda": 2**12}  # per tile: 1 MB and 1 GB of scores in float32
AGAIN = {"cpu": 2**8, "cuda": 2**16}  # groups scored again at a time: 2 MB and 500 MB at d = 64


class Nearest(NamedTuple):
    """Scores [m, k], best first, int64 targets [m, k], and a ceiling [m] of all other scores."""

    scores: Tensor
    targets: Tensor
    ceiling: Tensor


class Tiles:
    """These targets [n, d], to be scored against any codes; memory grows with n."""

    def __init__(self, targets: Tensor) -> None:
        self.n, d = targets.shape
        self.groups = -(-self.n // MEMBERS)
        # One product makes <z, p> + h: the heights are one more coordinate of the targets.
        self.points = targets.new_zeros(self.groups * MEMBERS, d + 1)
        self.points[: self.n, :d] = targets
        self.points[self.n :, d] = torch.finfo(targets.dtype).min  # no padding is ever chosen
        kind = targets.device.type if targets.device.type in ROWS else "cpu"
        self.rows, self.tile, self.again = ROWS[kind], GROUPS[kind] * MEMBERS, AGAIN[kind]
        self.threads = torch.get_num_threads() if kind == "cpu" else 1

    def nearest(self, codes: Tensor, heights: Tensor, length: int) -> Nearest:
        """The ``length`` targets (or all) of highest score of every code: [m, length].

        On a CPU every thread takes blocks of its own: tiles are too small to be shared, and where
        other processes want the cores too, threads that wait for each other lose most of them.
        """
        self.points[: self.n, -1] = heights
        found = Nearest(
            codes.new_empty(len(codes), min(length, self.n)),
            codes.new_empty(len(codes), min(length, self.n), dtype=torch.int64),
            codes.new_empty(len(codes)),
        )
        rows = min(self.rows, -(-len(codes) // self.threads))
        blocks = [
            tuple(x[i : i + rows] for x in (codes, *found)) for i in range(0, len(codes), rows)
        ]
        if self.threads == 1:
            for block in blocks:
                self._fill(*block)
        else:
            try:
                with ThreadPoolExecutor(self.threads, "tiles", torch.set_num_threads, (1,)) as pool:
                    list(pool.map(self._fill, *zip(*blocks, strict=True)))
            finally:
                torch.set_num_threads(self.threads)  # those of threads to come were set as well
        return found

    def best(self, codes: Tensor, heights: Tensor) -> tuple[Tensor, Tensor]:
        """max_p and argmax_p of <z, p> + h_p for every code: [m] and [m]."""
        scores, targets, _ = self.nearest(codes, heights, 1)
        return scores[:, 0], targets[:, 0]

    def _fill(self, codes: Tensor, scores: Tensor, targets: Tensor, ceiling: Tensor) -> None:
        """:meth:`nearest` of a block of codes: where it goes, for what threads allocate and keep
        would hold apart all that they allocate and free.
        """
        block = torch.cat([codes, codes.new_ones(len(codes), 1)], dim=1)
        length = scores.shape[1]
        top = self._winners(block).topk(min(length, self.groups), dim=1)
        kept = top.indices.shape[1]
        step, of_group = max(1, self.again // kept), self.points.view(self.groups, -1)
        buffer = block.new_empty(step * kept, of_group.shape[1])
        for i in range(0, len(block), step):
            rows, groups = block[i : i + step], top.indices[i : i + step]
            members = torch.index_select(
                of_group, 0, groups.flatten(), out=buffer[: groups.numel()]
            )
            members = members.view(len(rows), -1, block.shape[1])  # [rows, kept * MEMBERS, d + 1]
            # In this order the product is several times faster than a matrix times a column.
            again = torch.bmm(rows[:, None], members.transpose(1, 2))[:, 0]
            best = again.topk(length, dim=1)
            scores[i : i + step], place = best
            targets[i : i + step] = groups.gather(1, place // MEMBERS) * MEMBERS + place % MEMBERS
        # A target that is not listed lost to the last listed one, or its group to the last group.
        torch.maximum(scores[:, -1], top.values[:, -1], out=ceiling)
        if kept == self.groups:
            ceiling.copy_(scores[:, -1])
        if length == self.n:
            ceiling.fill_(float("-inf"))

    def _winners(self, block: Tensor) -> Tensor:
        """The highest score in every group: [m, groups]."""
        columns, m = block.T.contiguous(), len(block)
        buffer = block.new_empty(min(self.tile, len(self.points)), m)
        winners = block.new_empty(self.groups, m)
        for number, tile in enumerate(self.points.split(self.tile)):
            scores = torch.mm(tile, columns, out=buffer[: len(tile)])
            begin = number * self.tile // MEMBERS
            torch.amax(
                scores.view(-1, MEMBERS, m),
                dim=1,
                out=winners[begin : begin + len(tile) // MEMBERS],
            )
        return winners.T.contiguous()
