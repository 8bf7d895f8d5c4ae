"""Floating-point operations of a decoder, counted from its layers: the currency of equal terms.

``torch.utils.flop_counter`` counts the products of matrices and convolutions, two operations per
multiplication and addition, forward and backward, as they run in one small pass on a copy. Batch
norm, activations, noise and the optimiser are not counted; nor does it matter how a device or a
precision does the same products.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ltvm.models.batchnorm import statistics
from ltvm.models.prior import Prior
from ltvm.models.weights import frozen
from ltvm.runtime.randomness import GeneratorDraws, stream

IMAGES = 2  # of the counted pass


def operations(run: Callable[[], object]) -> int:
    """Floating-point operations of what ``run`` does; it should do nothing that lasts."""
    with FlopCounterMode(display=False) as counter, torch.enable_grad():
        run()
    return int(counter.get_total_flops())


def on_cpu(network: nn.Module) -> nn.Module:
    """A copy on the CPU in float32, to be passed through without touching the original."""
    return copy.deepcopy(network).float().to("cpu")


@dataclass(frozen=True)
class ModelFlops:
    """Operations per image.

    ``chain``: the gradient of U(z; x) with respect to the code, weights frozen (forward, and
    backward to the code). ``update``: the gradient of the loss with respect to the decoder's
    weights (forward, backward to the weights and, but for the first layer, to its inputs).
    ``prior_update``: of a prior with parameters, else 0.
    """

    chain: int
    update: int
    prior_update: int = 0


def model_flops(decoder: nn.Module, prior: Prior, latent_dim: int) -> ModelFlops:
    """Count one pass of each kind."""
    decoder, own = on_cpu(decoder), on_cpu(prior)
    assert isinstance(own, Prior)
    codes = torch.randn(IMAGES, latent_dim, generator=stream(0, "flops"))

    def chain() -> None:
        moved = codes.clone().requires_grad_(True)
        with frozen(decoder), frozen(own):
            (decoder(moved).square().sum() + own.energy(moved).sum()).backward()

    def update() -> None:
        decoder(codes).square().sum().backward()

    def prior_update() -> None:
        draws = own.sample(IMAGES, GeneratorDraws(stream(0, "flops")))
        (own.energy(codes).mean() - own.energy(draws).mean()).backward()

    learns = bool(list(own.parameters()))
    with statistics(decoder, "running"):
        counts = [operations(run) for run in (chain, update)]
    counts.append(operations(prior_update) if learns else 0)
    return ModelFlops(*(count // IMAGES for count in counts))
