"""From choices or shortlists of targets to a permutation."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from torch import Tensor

from ltvm.transport.blocks import Blocks
from ltvm.transport.exact import optimal_assignment


def complete(codes: Tensor, targets: Tensor, chosen: Tensor) -> Tensor:
    """Turn choices [n], which may share targets, into a permutation [n].

    The code nearest to a shared target keeps it; the codes left over are assigned to the
    targets left over, exactly where they are at most 2,000, otherwise by random blocks.
    """
    n = len(codes)
    distances = (codes - targets[chosen]).square().sum(1)
    # Sort by target, nearest code first within each: the first code of a group is the owner.
    order = distances.argsort()
    order = order[chosen[order].argsort(stable=True)]
    groups = chosen[order]
    first = torch.ones(n, dtype=torch.bool, device=codes.device)
    first[1:] = groups[1:] != groups[:-1]
    owner = torch.full((n,), -1, dtype=torch.int64, device=codes.device)
    owner[groups[first]] = order[first]
    assignment = torch.full((n,), -1, dtype=torch.int64, device=codes.device)
    taken = owner >= 0
    assignment[owner[taken]] = taken.nonzero().flatten()
    codes_left = (assignment < 0).nonzero().flatten()
    targets_left = (~taken).nonzero().flatten()
    if len(codes_left) == 0:
        return assignment
    if len(codes_left) <= 2_000:
        matched = optimal_assignment(codes[codes_left], targets[targets_left])
    else:
        seeded = torch.Generator().manual_seed(0)
        rest = Blocks()(codes[codes_left], targets[targets_left], {}, seeded)
        assert rest.assignment is not None
        matched = rest.assignment
    assignment[codes_left] = targets_left[matched]
    return assignment


def assign_within(
    codes: Tensor, targets: Tensor, heights: Tensor, scores: Tensor, listed: Tensor
) -> Tensor:
    """The best permutation [n] that sends every code to a target on its shortlist.

    ``listed`` [n, k] are distinct targets per code, best first, and ``scores`` [n, k] their
    <z, p> + h_p. Where the shortlists admit no permutation, a code may also go where
    :func:`complete` sends it. Solved exactly by scipy's sparse Jonker-Volgenant algorithm, on
    a CPU; good heights leave it little to do.
    """
    fallback = complete(codes, targets, listed[:, 0])
    fallback_scores = (codes * targets[fallback]).sum(1) + heights[fallback]
    slacks = scores[:, :1] - torch.cat([scores, fallback_scores[:, None]], dim=1)
    columns = torch.cat([listed, fallback[:, None]], dim=1)
    kept = torch.ones_like(columns, dtype=torch.bool)
    kept[:, -1] = (listed != fallback[:, None]).all(dim=1)  # every edge once
    ends = torch.cat([kept.new_zeros(1, dtype=torch.int64), kept.sum(1).cumsum(0)])
    # Slacks differ from costs by a constant per code and per target, which moves no optimum;
    # the solver takes zeros for absent edges, so all are raised by one.
    edges = csr_array(
        (
            (slacks[kept].double() + 1).cpu().numpy(),
            columns[kept].cpu().numpy().astype(np.int32),
            ends.cpu().numpy().astype(np.int32),
        ),
        shape=(len(codes), len(codes)),
    )
    _, assignment = min_weight_full_bipartite_matching(edges)
    return torch.from_numpy(assignment.astype(np.int64)).to(codes.device)
