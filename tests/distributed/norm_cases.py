"""Batch norm of a batch that two processes share; cases of ``suite.py``."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ltvm.models.batchnorm import share_batchnorm, statistics
from ltvm.runtime.distributed import World


def normed(norm: nn.Module, x: torch.Tensor, slopes: torch.Tensor, source: str):
    """Values, gradients of input and weights of a loss that weights every value by a slope."""
    x = x.clone().requires_grad_(True)
    with statistics(norm, source):
        y = norm(x)
        (y.float() * slopes).sum().backward()
    return y.detach(), x.grad


def synchronised_statistics_are_those_of_the_whole_batch(world: World) -> None:
    draw = torch.Generator().manual_seed(0)
    for shape, of in (((8, 5), nn.BatchNorm1d), ((8, 5, 4, 3), nn.BatchNorm2d)):
        x = torch.randn(*shape, generator=draw) * 2 + 30  # a mean far from 0
        slopes = torch.randn(*shape, generator=draw)
        for momentum, affine, source in (
            (0.1, True, "learn"), (None, True, "learn"), (0.1, False, "learn"),
            (0.1, True, "batch"),
        ):  # fmt: skip
            one = of(5, momentum=momentum, affine=affine)
            if affine:
                nn.init.normal_(one.weight, generator=draw)
            two = share_batchnorm(copy.deepcopy(one), "synchronised", world)
            part = slice(0, 3) if world.is_first else slice(3, 8)
            y, of_x = normed(one, x, slopes, source)
            own, of_own = normed(two, x[part], slopes[part], source)
            torch.testing.assert_close(own, y[part], rtol=1e-4, atol=2e-5)
            torch.testing.assert_close(of_own, of_x[part], rtol=1e-4, atol=2e-5)
            for name, parameter in two.named_parameters():
                whole = parameter.grad.clone()
                world.add(whole)  # each has its part
                expected = one.get_parameter(name).grad
                torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(dict(two.named_buffers()), dict(one.named_buffers()))
            # Running statistics are nobody else's.
            with statistics(one, "running"), statistics(two, "running"):
                torch.testing.assert_close(two(x[:2]), one(x[:2]), rtol=1e-4, atol=2e-5)


def frozen_and_low_precision_norms_synchronise(world: World) -> None:
    draw = torch.Generator().manual_seed(0)
    x, slopes = torch.randn(8, 5, generator=draw), torch.randn(8, 5, generator=draw)
    one = nn.BatchNorm1d(5).requires_grad_(False)
    two = share_batchnorm(nn.Sequential(copy.deepcopy(one)), "synchronised", world)
    part = slice(0, 2) if world.is_first else slice(2, 8)
    for dtype, slack in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
        y, of_x = normed(one, x.to(dtype), slopes, "batch")
        own, of_own = normed(two, x[part].to(dtype), slopes[part], "batch")
        assert own.dtype == of_own.dtype == dtype
        torch.testing.assert_close(own, y[part], rtol=slack, atol=slack)
        torch.testing.assert_close(of_own, of_x[part], rtol=slack, atol=slack)
