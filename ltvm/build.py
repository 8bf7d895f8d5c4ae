"""From resolved configurations to objects: data, problem, method, metrics."""

from __future__ import annotations

import inspect
from typing import Any

from hydra.utils import get_object

from ltvm.config import Config
from ltvm.data.image_set import DataSet
from ltvm.devices import resolve_device
from ltvm.errors import InputError
from ltvm.execution import check_wanted, choose_execution
from ltvm.methods.base import Method
from ltvm.metrics.base import Metric
from ltvm.problem import Budget, Problem


def build_data(config: Config) -> DataSet:
    """Load the images of ``config["data"]``, limited as the protocol says, on the CPU."""
    data: DataSet = construct("data.load", config["data"]["load"])
    protocol = config["protocol"]
    return data.limited(protocol["train_images"], protocol["test_images"])


def build_problem(config: Config, data: DataSet, trial: bool = True) -> Problem:
    """The problem every method of this configuration is given; images on the device.

    Without ``trial`` nothing is measured to decide how decoders are computed.
    """
    device = resolve_device(config["device"])
    protocol = config["protocol"]
    budget = Budget(
        **{
            key: protocol[key]
            for key in (
                "sweeps", "steps", "updates_per_batch", "learn_epochs", "batch", "learning_rate",
            )
        }
    )  # fmt: skip
    problem = Problem(
        images=data.train.to(device),
        architecture=config["decoder"]["architecture"],
        latent_dim=config["model"]["latent_dim"],
        sigma=config["model"]["sigma"],
        budget=budget,
        seed=config["seed"],
        norm=config["decoder"]["norm"],
        stem_norm=config["decoder"]["stem_norm"],
        betas=tuple(config["optimizer"]["betas"]),
        device=device,
    )
    wanted = {"precision": config["precision"], **config["execution"]}
    check_wanted(wanted)
    if not trial:
        return problem
    problem.execution = choose_execution(
        wanted,
        problem.new_decoder,
        (budget.batch, *problem.images.images.shape[1:]),
        problem.latent_dim,
        device,
        problem.describe_decoder(),
    )
    return problem


def build_method(config: Config, problem: Problem) -> Method:
    """The method of ``config["method"]``: its ``_target_`` called with the problem."""
    parameters = {k: v for k, v in config["method"].items() if k not in ("name", "label")}
    method: Method = construct("method", parameters, problem=problem)
    return method


def build_metrics(config: Config) -> dict[str, Metric]:
    """The metrics of ``config["evaluation"]``, by their name there."""
    return {
        name: construct(f"evaluation.metrics.{name}", parameters)
        for name, parameters in config["evaluation"]["metrics"].items()
    }


def construct(key: str, parameters: Config, **given: Any) -> Any:
    """Call the ``_target_`` of ``parameters`` with the others and with ``given``.

    Raises :class:`InputError` for a target that cannot be imported or other parameters than
    it takes; what it raises itself passes through.
    """
    target = parameters.get("_target_")
    try:
        function = get_object(str(target))
    except Exception as error:
        raise InputError(
            f"{key}._target_={target}: {' '.join(str(error).split())[:160]}; allowed: a class or "
            "function that can be imported"
        ) from error
    arguments = {k: v for k, v in parameters.items() if k != "_target_"} | given
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise InputError(f"{key}: {target} takes other parameters: {error}") from error
    try:
        return function(**arguments)
    except TypeError as error:  # a word where a number belongs, and the like
        raise InputError(f"{key}: {target}: {error}") from error
