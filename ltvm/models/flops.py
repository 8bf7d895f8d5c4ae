"""Floating-point operations of networks, counted from their layers: the currency of equal terms.

The formulas of ``torch.utils.flop_counter`` count products of matrices and convolutions, two
operations per multiplication and addition, forward and backward, as they run in one small pass on
a copy. Batch norm, activations, noise and the optimiser are not counted; nor does it matter how a
device or a precision does the same products.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ltvm.models.batchnorm import statistics
from ltvm.models.doubling import DoublingConv
from ltvm.models.prior import Prior
from ltvm.models.weights import frozen
from ltvm.runtime.randomness import GeneratorDraws, stream

IMAGES = 2  # of the counted pass


class Counter(TorchDispatchMode):
    """Adds up the operations of what runs within.

    ``FlopCounterMode`` does the same by module, whose hooks forbid ``torch.autograd.grad``: chains
    need that, such as those of a prior that samples itself.
    """

    total = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        formula = flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:
                decomposed = func.decompose(*args, **(kwargs or {}))
            if decomposed is not NotImplemented:
                return decomposed
        out = func(*args, **(kwargs or {}))
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def operations(run: Callable[[], object]) -> int:
    """Floating-point operations of what ``run`` does; it should do nothing that lasts."""
    with Counter() as counter, torch.enable_grad():
        run()
    return int(counter.total)


def on_cpu(network: nn.Module) -> nn.Module:
    """A copy on the CPU in float32, to be passed through without touching the original."""
    copied = copy.deepcopy(network).float().to("cpu")
    for layer in copied.modules():
        if isinstance(layer, DoublingConv):
            layer.by_products = False  # its operations are a convolution's, however they are done
    return copied


@dataclass(frozen=True)
class ModelFlops:
    """Operations per image.

    ``chain``: the gradient of U(z; x) with respect to the code, weights frozen (forward, and
    backward to the code), of which ``prior_gradient`` is the prior's part. ``update``: the gradient
    of the loss with respect to the decoder's weights (forward, backward to the weights and, but
    for the first layer, to its inputs). ``prior_sample``: a draw of the prior. ``prior_update``:
    an Adam step on a prior with parameters, else 0.
    """

    chain: int
    update: int
    prior_gradient: int = 0
    prior_sample: int = 0
    prior_update: int = 0


def model_flops(decoder: nn.Module, prior: Prior, latent_dim: int) -> ModelFlops:
    """Count one pass of each kind."""
    decoder, own = on_cpu(decoder), on_cpu(prior)
    assert isinstance(own, Prior)
    codes = torch.randn(IMAGES, latent_dim, generator=stream(0, "flops"))

    def chain() -> None:
        moved = codes.clone().requires_grad_(True)
        with frozen(decoder), frozen(own):
            energy = decoder(moved).square().sum() + own.energy(moved).sum()
            torch.autograd.grad(energy, moved)

    def update() -> None:
        decoder(codes).square().sum().backward()

    def prior_gradient() -> None:
        moved = codes.clone().requires_grad_(True)
        with frozen(own):
            torch.autograd.grad(own.energy(moved).sum(), moved)

    def prior_sample() -> None:
        own.sample(IMAGES, GeneratorDraws(stream(0, "flops")))

    def prior_update() -> None:
        own.loss(codes, GeneratorDraws(stream(0, "flops"))).backward()

    with statistics(decoder, "running"):
        counts = [operations(run) for run in (chain, update, prior_gradient, prior_sample)]
    learns = bool(list(own.parameters()))
    counts.append(operations(prior_update) if learns else 0)
    return ModelFlops(*(count // IMAGES for count in counts))


def encoder_flops(encoder: nn.Module, shape: tuple[int, ...]) -> int:
    """Operations per image of a forward pass through an encoder, images [n, *shape]."""
    encoder, images = on_cpu(encoder), torch.zeros(IMAGES, *shape)
    with statistics(encoder, "running"):
        return operations(lambda: encoder(images)) // IMAGES


def autoencoder_flops(
    encoder: nn.Module,
    decoder: nn.Module,
    shape: tuple[int, ...],
    penalty: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> int:
    """Operations per image of a learning step: forward and backward through both networks.

    ``penalty`` is a further term of the loss, of codes [n, d] and decoded images [n, *shape].
    """
    encoder, decoder = on_cpu(encoder), on_cpu(decoder)
    images = torch.zeros(IMAGES, *shape)

    def learn() -> None:
        mean, log_variance = encoder(images).chunk(2, dim=1)
        codes = mean + log_variance
        made = decoder(codes)
        loss = made.square().sum() + mean.sum()
        if penalty is not None:
            loss = loss + penalty(codes, made)
        loss.backward()

    with statistics(encoder, "running"), statistics(decoder, "running"):
        return operations(learn) // IMAGES
