"""Normalisation layers, and where batch norm takes its statistics from.

A batch that several processes share has its statistics over all of it (``SynchronisedBatchNorm``)
or over each share (``PerShardBatchNorm``). ``torch.nn.SyncBatchNorm`` would do the former on GPUs
alone, where it has the host wait for a count in every layer of every step of a chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from ltvm.errors import require, require_one_of
from ltvm.models.pixel_rows import RowGroupNorm
from ltvm.runtime.distributed import World

GROUPS = 8  # of group norm
Norm = Literal["batch", "group", "none"]
Statistics = Literal["learn", "batch", "running"]
Sharing = Literal["synchronised", "per_shard"]


def norm_layer(kind: Norm, channels: int, spatial: bool) -> nn.Module:
    """The normalisation after a layer; ``group`` is 8 groups, of channels or of units.

    Raises :class:`ltvm.errors.InputError` for another kind, or what makes no groups of equal size.
    """
    require_one_of("decoder.norm", kind, get_args(Norm))
    if kind == "none":
        return nn.Identity()
    if kind == "group":
        check_groups(channels)
        return nn.GroupNorm(GROUPS, channels)
    return nn.BatchNorm2d(channels) if spatial else nn.BatchNorm1d(channels)


def row_norm_layer(kind: Norm, channels: int, pixels: int) -> nn.Module:
    """The same after a layer of ``ltvm.models.pixel_rows``, on rows of pixels."""
    if kind == "group":
        check_groups(channels)
        return RowGroupNorm(GROUPS, channels, pixels)
    return norm_layer(kind, channels, spatial=False)


def check_groups(channels: int) -> None:
    """Raise :class:`ltvm.errors.InputError` for a layer that is not of ``GROUPS`` equal groups."""
    allowed = f"with widths that are multiples of {GROUPS} (a layer has {channels}), or batch, none"
    require(channels % GROUPS == 0, "decoder.norm", "group", allowed)


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


class SharedBatchNorm(_BatchNorm):
    """Batch norm of any dimension, of a batch that several processes share."""

    def __init__(self, like: _BatchNorm, world: World) -> None:
        super().__init__(
            like.num_features, like.eps, like.momentum, like.affine, like.track_running_stats
        )
        self.load_state_dict(like.state_dict())
        self.to(next(iter(like.state_dict().values()), torch.empty(0)).device)
        self.world = world

    def pace(self) -> float:
        """Count a batch; by how much of it the running statistics move."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        return 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum

    def _check_input_dim(self, input: Tensor) -> None:
        """Any dimension will do."""


class SynchronisedBatchNorm(SharedBatchNorm):
    """Batch statistics over the shares of all processes, in values as in gradients.

    Gradients of inputs are those of the sum of what all processes differentiate; those of weights
    are this process's part of it.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        n, mean, variance = self.moments(x)
        if self.track_running_stats and self.running_mean is not None:
            self.follow(n, mean, variance)
        return _Normalised.apply(
            x, self.weight, self.bias, mean.float(), variance.float(), n, self.eps, self.world
        )

    @torch.no_grad()
    def moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values per channel [], their mean and variance [c], over all processes, in float64."""
        variance, mean = torch.var_mean(x.float(), axes(x), correction=0)
        mean, variance = mean.double(), variance.double()
        n = mean.new_full((1,), x.numel() // x.shape[1])
        sums = torch.cat([n, n * mean, n * (variance + mean.square())])
        self.world.add(sums)
        n, first, second = sums.split([1, len(mean), len(mean)])
        mean = first / n
        return n, mean, (second / n - mean.square()).clamp(min=0)

    @torch.no_grad()
    def follow(self, n: Tensor, mean: Tensor, variance: Tensor) -> None:
        """The running statistics move as those of ``nn.BatchNorm2d``: variance unbiased."""
        assert self.running_mean is not None
        assert self.running_var is not None
        pace = self.pace()
        self.running_mean.lerp_(mean.float(), pace)
        self.running_var.lerp_((variance * n / (n - 1)).float(), pace)


class _Normalised(torch.autograd.Function):
    """x [n, c, ...] normalised by moments that depend on it: backward goes through them, too."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        n: Tensor,
        eps: float,
        world: World,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt(), n)
        ctx.world = world
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, n = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]
        along = (-1, *(1,) * (x.ndim - 2))  # [c] -> beside [n, c, ...]
        wide = gradient.float()
        normalised = (x.float() - mean.view(along)) * scale.view(along)
        own = torch.cat([wide.sum(axes(x)), (wide * normalised).sum(axes(x))])
        to_bias, to_weight = own.chunk(2)
        to_x = None
        if of_x:
            whole = own.clone()
            ctx.world.add(whole)
            shift, slope = (whole / n).float().chunk(2)
            scale = scale if weight is None else scale * weight
            to_x = wide - shift.view(along) - normalised * slope.view(along)
            to_x = (to_x * scale.view(along)).to(x.dtype)
        return to_x, to_weight if of_weight else None, to_bias if of_bias else None, *(None,) * 5


def axes(x: Tensor) -> list[int]:
    """All but the channels'."""
    return [0, *range(2, x.ndim)]


class PerShardBatchNorm(SharedBatchNorm):
    """Batch statistics of this process's share alone; the running ones are means over shares."""

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self.track_running_stats and self.running_mean is not None):
            return super().forward(x)
        assert self.running_var is not None
        own = [self.running_mean.clone(), self.running_var.clone()]  # autograd keeps them
        normalised = F.batch_norm(
            x, own[0], own[1], self.weight, self.bias,
            training=True, momentum=self.pace(), eps=self.eps,
        )  # fmt: skip
        n = x.numel() // x.shape[1]
        sums = [n * moved for moved in own]
        self.world.average(sums, n)
        self.running_mean.copy_(sums[0])
        self.running_var.copy_(sums[1])
        return normalised


def share_batchnorm(network: nn.Module, how: Sharing, world: World) -> nn.Module:
    """A network whose batch norms know that processes share a batch; itself in a world of one."""
    if world.size == 1:
        return network
    kind = SynchronisedBatchNorm if how == "synchronised" else PerShardBatchNorm
    if isinstance(network, _BatchNorm):
        return kind(network, world)
    for name, child in network.named_children():
        setattr(network, name, share_batchnorm(child, how, world))
    return network


def synchronises(network: nn.Module) -> bool:
    """Whether batch statistics of this network need the other processes."""
    return any(isinstance(layer, SynchronisedBatchNorm) for layer in network.modules())
