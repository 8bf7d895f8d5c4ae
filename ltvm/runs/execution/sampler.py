"""The sampler of an evaluation: a density fitted to a trained method's codes, or its own prior.

    codes of training images -> density.fit -> the method, sampling from the density -> metrics

Which codes (``sampler.codes``): ``draws`` are one draw of the posterior for each training image, as
inference gave it. They are draws of the aggregate posterior, which is what a prior ought to be, and
those whose images the prior gap compares with: so the gap is what the density lacks. ``final`` are
the codes that the method ends with: of a VAE the means (as Ghosh et al., ICLR 2020, have it), which
are narrower than what its decoder was trained on; of a method that corrects those after the blend.
No test image, and no image kept for validation, has a part in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ltvm.config import Config
from ltvm.densities.base import Density
from ltvm.errors import InputError, require, require_one_of
from ltvm.methods.base import Method
from ltvm.methods.sampled import sampled_from
from ltvm.metrics.base import Metric
from ltvm.runtime.construct import construct

NOT_PARAMETERS = ("name", "label", "codes")
CODES = {"draws": "posterior draws of training images", "final": "final codes of training images"}


def build_density(config: Config) -> Density | None:
    """The density of ``config["sampler"]``, not fitted; None: the method's own prior.

    Raises :class:`ltvm.errors.InputError` for one that is none, or for other codes than there are.
    """
    parameters = config.get("sampler") or {}
    if "_target_" not in parameters:
        return None
    codes = parameters.get("codes", "draws")
    require_one_of("sampler.codes", codes, CODES)
    own = {key: value for key, value in parameters.items() if key not in NOT_PARAMETERS}
    density = construct("sampler", own)
    if not isinstance(density, Density):
        name, kind = parameters.get("name"), type(density).__name__
        raise InputError(f"sampler={name}: a {kind}; allowed: a subclass of Density")
    return density


def stated(config: Config) -> dict[str, Any] | None:
    """What numbers say of their sampler before it is fitted; None: the method's own prior."""
    parameters = config.get("sampler") or {}
    if "_target_" not in parameters:
        return None
    own = {k: v for k, v in parameters.items() if k not in ("_target_", "label", "codes")}
    return {**own, "codes": CODES[parameters.get("codes", "draws")]}


def check_sampler(config: Config, method: Method, metrics: Iterable[Metric]) -> None:
    """Raise :class:`ltvm.errors.InputError` for a sampler that an evaluation would stumble over."""
    density = build_density(config)
    if density is None:
        return
    name, evaluation = config["sampler"]["name"], config["evaluation"]["name"]
    require(
        any(metric.of_samples for metric in metrics), f"sampler={name}: evaluation", evaluation,
        "one that measures samples, such as digits_samples",
    )  # fmt: skip
    density.check(*method.codes.shape)


def with_sampler(
    config: Config, method: Method, generator: torch.Generator
) -> tuple[Method, dict[str, Any] | None]:
    """The method as the evaluation samples from it, and what is to be said of its sampler.

    The latter, None for the method's own prior: ``stated`` on every number, and ``fit_seconds``.
    Raises :class:`ltvm.errors.DivergedError` for codes that have no such density.
    """
    density, about = build_density(config), stated(config)
    if density is None or about is None:
        return method, None
    codes = codes_of(method, config["sampler"].get("codes", "draws"))
    started = time.perf_counter()
    density.fit(codes, generator)
    seconds = time.perf_counter() - started
    about |= {"n": len(codes), "found": density.found}
    return sampled_from(method, density), {"stated": about, "fit_seconds": seconds}


def codes_of(method: Method, which: str) -> Tensor:
    """The codes of training images that a density is fitted to, [n, d] on the method's device."""
    return (method.posterior_draws() if which == "draws" else method.codes).detach()
