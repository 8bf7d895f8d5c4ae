"""Hours of training from passes and measured rates: an estimate before a run is begun.

Transport and evaluation are left out: they do not grow with the passes, and are minutes where a
budget is hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltvm.config import Config, choices, resolve
from ltvm.methods.budget import Budget, Price
from ltvm.runs.ablations.ablation import plan

PROTOCOLS = ("small", "medium", "full")
METHODS = ("short_run_ot", "short_run", "abp", "vae")
TRAINING_IMAGES = {
    "mnist": 60_000, "svhn": 73_257, "celeba": 60_000, "mnist5k": 4_000,
    "mnist_without": 54_000, "mnist5k_without": 3_600,
}  # fmt: skip
BUDGET = (
    "sweeps", "steps", "updates_per_batch", "learn_epochs", "batch", "learning_rate", "equal",
    "seconds",
)  # fmt: skip

Rates = Mapping[str, Mapping[str, Any]]  # decoder -> what ``ltvm.doctor.speed.rates`` found


def passes(config: Config, flops: Mapping[str, int]) -> dict[str, float]:
    """Passes per image and iteration of chain, of learning, and of a VAE's steps.

    ``flops`` are those per image of a ``chain`` step, a ``learning`` step and one of a ``vae``.
    """
    method, protocol = config["method"], config["protocol"]
    chain = Price(passes=1, flops=flops["chain"])
    update = Price(passes=1, flops=flops["learning"], updates=1)
    budget = Budget(**{key: protocol[key] for key in BUDGET})

    def times(price: Price) -> float:
        """How often a visit of this price is afforded."""
        return budget.allowance(chain, update, 1, 1) / price.of(budget.equal, 1)

    if "kernel" not in method:
        return {"vae": 2 * times(Price(passes=2, flops=flops["vae"], updates=1))}
    steps, updates = method["steps"], method.get("updates_per_batch", 1)
    sweeps, epochs = method.get("sweeps", 1), method.get("learn_epochs", 0)
    often = times((chain * steps + update * updates) * sweeps + update * epochs)
    return {"chain": often * sweeps * steps, "learning": often * (sweeps * updates + epochs)}


def hours(config: Config, rates: Rates) -> float | None:
    """Of one run of a configuration; None for a data set or decoder whose size is not known."""
    n = config["protocol"]["train_images"] or TRAINING_IMAGES.get(config["data"]["name"])
    rate = rates.get(config["decoder"].get("name"))
    if n is None or rate is None:
        return None
    if config["protocol"]["equal"] == "seconds":
        return float(config["protocol"]["seconds"] / 3600)
    per_image = sum(count / rate[kind] for kind, count in passes(config, rate["flops"]).items())
    return float(config["protocol"]["iterations"] * n * per_image / 3600)


def of_protocols(rates: Rates) -> list[dict[str, Any]]:
    """A row for each data set and protocol, with the hours of every method."""
    rows = []
    for data in rates:
        for protocol in PROTOCOLS:
            row: dict[str, Any] = {"data": data, "protocol": protocol}
            for method in METHODS:
                config = resolve([f"data={data}", f"protocol={protocol}", f"method={method}"])
                row[method] = hours(config, rates)
            rows.append(row)
    return rows


def of_ablations(rates: Rates) -> list[dict[str, Any]]:
    """A row for each ablation as it is defined: its runs, and the hours of all of them."""
    rows = []
    for name in choices("ablation"):
        runs = plan([f"ablation={name}", "ablation.tuned=null"]).runs  # tuned or not, they last
        each = [hours(run.config, rates) for run in runs]
        known = [value for value in each if value is not None]
        rows.append(
            {
                "ablation": name,
                "runs": len(runs),
                "hours": sum(known) if len(known) == len(each) else None,
            }
        )
    return rows
