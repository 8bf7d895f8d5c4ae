"""How a decoder is computed on a device: what changes speed and rounding, never the method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn

from ltvm.chain.onednn import Products
from ltvm.errors import require
from ltvm.runtime.precision import Precision

Layout = Literal["contiguous", "channels_last"]


@dataclass(frozen=True)
class Execution:
    """``precision`` is the decoder's in chains and learning; codes and energies stay in float32.

    ``layout`` is the memory format of convolutions, ``products`` who multiplies float32
    matrices on a CPU, ``graph`` whether CUDA replays a chain, and a decoder update, as one graph.
    """

    precision: Precision = "float32"
    layout: Layout = "contiguous"
    products: Products = "torch"
    graph: bool = False

    @property
    def dtype(self) -> torch.dtype | None:
        """What the decoder computes in, or None for float32."""
        return torch.bfloat16 if self.precision == "bfloat16" else None

    def __str__(self) -> str:
        words: list[str] = [self.precision, self.layout]
        words += [f"{self.products} products"] if self.products != "torch" else []
        return ", ".join(words + (["CUDA graphs"] if self.graph else []))

    def prepare(self, network: nn.Module) -> nn.Module:
        """A decoder or encoder with its weights in this memory format."""
        if self.layout == "channels_last":
            return network.to(memory_format=torch.channels_last)
        return network


def check_wanted(wanted: Mapping[str, Any]) -> None:
    """Raise :class:`ltvm.errors.InputError` unless every field is a value it takes, or ``auto``.

    Precision decides numbers: ``ltvm.config.resolve`` has made a word of its ``auto``.
    """
    allowed = {
        "precision": get_args(Precision),
        "layout": get_args(Layout),
        "products": get_args(Products),
        "graph": (True, False),
    }
    for field, value in wanted.items():
        key = field if field == "precision" else f"execution.{field}"
        values = (*(() if field == "precision" else ("auto",)), *allowed[field])
        same = any(type(value) is type(one) and value == one for one in values)  # 1 is not true
        require(same, key, value, ", ".join(str(v).lower() for v in values))
