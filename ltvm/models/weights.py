"""Weights of a network: drawn, held fixed, and copied in low precision."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ltvm.models.doubling import DoublingConv


def xavier_(module: nn.Module, generator: torch.Generator | None) -> None:
    """Xavier-normal weights and zero biases, in place, for every linear and conv layer."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_normal_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Stop gradients to the weights while the block runs: a chain needs only those to codes.

    They may not change within: what layers make of them is kept to the end of the block.
    """
    learning = [p for p in module.parameters() if p.requires_grad]
    keeping = [m for m in module.modules() if isinstance(m, DoublingConv) and not m.keeps]
    for layer in keeping:
        layer.keep(True)
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
        for layer in keeping:
            layer.keep(False)


def low_precision_copy(decoder: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A frozen copy with weights in ``dtype`` and batch norm kept in float32.

    Batch norm takes mixed precision everywhere; group norm does not on every device.
    """
    copied = copy.deepcopy(decoder).requires_grad_(False)
    for layer in copied.modules():
        if not (isinstance(layer, _BatchNorm) or list(layer.children())):
            layer.to(dtype)
    return copied
