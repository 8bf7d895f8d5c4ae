"""From resolved configurations to objects: data, problem, method, metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch

from ltvm.chain.choosing import choose_execution
from ltvm.chain.execution import Execution, check_wanted
from ltvm.config import Config
from ltvm.data.image_set import DataSet
from ltvm.errors import require
from ltvm.methods.base import Method
from ltvm.methods.budget import Budget
from ltvm.methods.problem import Problem
from ltvm.metrics.base import Metric
from ltvm.metrics.features.base import Extractor
from ltvm.models.networks import build_prior
from ltvm.runtime.construct import construct, takes
from ltvm.runtime.devices import resolve_device
from ltvm.runtime.distributed import ALONE, World

# Of a method: what it is called and drawn as, what of it is searched, and whether it was.
NOT_PARAMETERS = ("name", "label", "about", "style", "tuning", "tuned", "idle")
_extractors: dict[str, Extractor] = {}  # the one asked for last: networks are large


def build_problem(
    config: Config,
    data: DataSet,
    execution: Execution | None = None,
    trial: bool = True,
    world: World = ALONE,
) -> Problem:
    """The problem every method of this configuration is given; images on the device.

    How decoders are computed is ``execution``; None: decided by a short trial, or, without
    ``trial``, by nothing but defaults. Of several processes the first tries, alone.
    """
    device = resolve_device(config["device"])
    protocol = config["protocol"]
    budget = Budget(
        **{
            key: protocol[key]
            for key in (
                "sweeps", "steps", "updates_per_batch", "learn_epochs", "batch", "learning_rate",
                "equal",
            )
        },
        seconds=per_iteration(protocol["seconds"], protocol["iterations"]),
    )  # fmt: skip
    latent_dim, seed = config["model"]["latent_dim"], config["seed"]
    problem = Problem(
        images=data.to(device).train,
        decoder=config["decoder"],
        latent_dim=latent_dim,
        sigma=config["model"]["sigma"],
        budget=budget,
        seed=seed,
        betas=tuple(config["optimizer"]["betas"]),
        device=device,
        prior=build_prior(config["prior"], latent_dim, seed),
        world=world,
        statistics=config.get("distributed", {}).get("batchnorm", "synchronised"),
    )
    wanted = {"precision": config["precision"], **config["execution"]}
    check_wanted(wanted)
    if execution is not None:
        problem.execution = execution
    elif trial:
        alone = replace(problem, world=ALONE)
        problem.execution = world.first(
            lambda: choose_execution(
                wanted,
                alone.new_decoder,
                (math.ceil(budget.batch / world.size), *problem.images.shape),
                latent_dim,
                device,
                problem.describe_decoder(),
            )
        )
    return problem


def per_iteration(seconds: float | None, iterations: int) -> float | None:
    return None if seconds is None else seconds / iterations


def build_method(config: Config, problem: Problem) -> Method:
    """The method of ``config["method"]``: its ``_target_`` called with the problem."""
    parameters = {k: v for k, v in config["method"].items() if k not in NOT_PARAMETERS}
    method = construct("method", parameters, problem=problem)
    sound = isinstance(method, Method)
    require(sound, "method._target_", parameters["_target_"], "a subclass of Method")
    return cast(Method, method)


def build_extractor(config: Config, device: torch.device) -> Extractor | None:
    """The extractor of ``config["evaluation"]``, made once per process; None where it has none."""
    wanted = config["evaluation"].get("extractor")
    if wanted is None:
        return None
    key = json.dumps([wanted, str(device)], sort_keys=True)
    if key not in _extractors:
        parameters = {k: v for k, v in wanted.items() if k != "name"}
        _extractors.clear()
        _extractors[key] = make_extractor("evaluation.extractor", parameters, device)
    return _extractors[key]


def make_extractor(key: str, parameters: Mapping[str, Any], device: torch.device) -> Extractor:
    """The extractor of ``parameters``, which stand at ``key``.

    Raises :class:`InputError` for a part that is none.
    """
    extractor = construct(key, parameters, device=device)
    sound = isinstance(extractor, Extractor)
    require(sound, key, parameters["_target_"], "a subclass of Extractor")
    return cast(Extractor, extractor)


def build_metrics(config: Config, device: torch.device) -> dict[str, Metric]:
    """The metrics of ``config["evaluation"]``, by their name there.

    Those whose constructor takes an ``extractor`` are given the evaluation's.
    """
    metrics: dict[str, Metric] = {}
    for name, parameters in config["evaluation"]["metrics"].items():
        key, given = f"evaluation.metrics.{name}", {}
        if takes(key, parameters, "extractor") and "extractor" not in parameters:
            extractor = build_extractor(config, device)
            require(
                extractor is not None, "evaluation.extractor", None,
                f"an extractor, which {key} needs",
            )  # fmt: skip
            given["extractor"] = extractor
        metric = construct(key, parameters, **given)
        sound = isinstance(metric, Metric)
        require(sound, f"{key}._target_", parameters["_target_"], "a subclass of Metric")
        metrics[name] = metric
    return metrics
