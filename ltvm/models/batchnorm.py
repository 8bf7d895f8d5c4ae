"""Normalisation layers, and where batch norm takes its statistics from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ltvm.errors import require
from ltvm.models.pixel_rows import RowGroupNorm

Norm = Literal["batch", "group", "none"]
Statistics = Literal["learn", "batch", "running"]


def norm_layer(kind: Norm, channels: int, spatial: bool) -> nn.Module:
    """The normalisation after a layer; ``group`` is 8 groups, of channels or of units.

    Raises :class:`ltvm.errors.InputError` for another kind.
    """
    require(kind in get_args(Norm), "decoder.norm", kind, ", ".join(get_args(Norm)))
    if kind == "none":
        return nn.Identity()
    if kind == "group":
        return nn.GroupNorm(8, channels)
    return nn.BatchNorm2d(channels) if spatial else nn.BatchNorm1d(channels)


def row_norm_layer(kind: Norm, channels: int, pixels: int) -> nn.Module:
    """The same after a layer of ``ltvm.models.pixel_rows``, on rows of pixels."""
    if kind == "group":
        return RowGroupNorm(8, channels, pixels)
    return norm_layer(kind, channels, spatial=False)


@contextmanager
def statistics(module: nn.Module, source: Statistics) -> Iterator[None]:
    """Set where batch norm takes its statistics from, and restore the mode afterwards.

    - ``learn``: from the batch, and the running statistics follow (learning steps only).
    - ``batch``: from the batch, the running statistics stay (the chain as source B runs it).
    - ``running``: the running statistics; no image depends on its neighbours (evaluation).
    """
    was_training = module.training
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    tracked = [norm.track_running_stats for norm in norms]
    module.train(source != "running")
    for norm in norms:
        norm.track_running_stats = source != "batch"
    try:
        yield
    finally:
        module.train(was_training)
        for norm, track in zip(norms, tracked, strict=True):
            norm.track_running_stats = track
