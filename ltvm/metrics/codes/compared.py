"""What is compared with the prior: which codes, and which draws of the prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ltvm.data.image_set import ImageSet
from ltvm.methods.base import Method
from ltvm.models.prior import Prior
from ltvm.runtime.randomness import GeneratorDraws


def stated_of(method: Method, codes: Tensor, images: ImageSet) -> dict[str, Any]:
    """Provenance of what is measured on codes [n, d] of images."""
    return {
        "n": len(codes),
        "split": images.split,
        "data": images.fingerprint,
        "inference_precision": method.inference_precision,
    }


def uninferred(provenance: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The same provenance for what has no inferred code in it, such as draws of the prior."""
    kept = {key: value for key, value in provenance.items() if key != "inference_precision"}
    return kept | {"split": split}


def chosen_rows(n: int, most: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """At most ``most`` of ``n`` rows in random order: int64 [min(n, most)] on the device."""
    return torch.randperm(n, generator=generator)[:most].to(device)


def posterior_codes(method: Method, most: int, generator: torch.Generator) -> Tensor:
    """At most ``most`` of the posterior draws of the training images, float32 [n, d]."""
    draws = method.posterior_draws().float()
    return draws[chosen_rows(len(draws), most, generator, draws.device)]


def prior_codes(prior: Prior, codes: Tensor, generator: torch.Generator) -> Tensor:
    """As many draws of the prior as there are ``codes`` [n, d], on their device."""
    return prior.sample(len(codes), GeneratorDraws(generator, codes.device))
