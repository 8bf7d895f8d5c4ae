"""Float32 matrix products by oneDNN in place of MKL, where a processor is faster with it.

torch multiplies float32 matrices on a CPU by MKL and bfloat16 ones by oneDNN. Which of the two
is faster in float32 depends on the processor, so ``ltvm.chain.choosing`` measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Products = Literal["torch", "onednn"]


def onednn_available() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


class _Linear(torch.autograd.Function):
    """x [n, in], weight [out, in], bias [out] or None -> [n, out]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _Linear.apply(gradient, weight.t(), None) if of_x else None,  # may be differentiated
            # By torch: oneDNN would first copy both of these into another order.
            gradient.t() @ x if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


class OneDnn(TorchFunctionMode):
    """While active, linear layers and ``addmm`` on float32 CPU matrices go to oneDNN."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is F.linear and not kwargs:
            x, weight, bias = (*args, None)[:3]
            if _suits(x, weight):
                return _Linear.apply(x, weight, bias)
        elif func is torch.addmm and not kwargs and _suits(*args[1:3]):
            bias, x, blocks = args
            if bias.ndim == 1 and len(bias) == blocks.shape[1]:  # others are no bias of a layer
                return _Linear.apply(x, blocks.t(), bias)
        return func(*args, **(kwargs or {}))


def _suits(x: Tensor, weight: Tensor) -> bool:
    return (
        x.ndim == weight.ndim == 2
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


def products(kind: Products) -> AbstractContextManager[Any]:
    """A context in which matrix products are made as ``kind`` says."""
    return OneDnn() if kind == "onednn" else nullcontext()
