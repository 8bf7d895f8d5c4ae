"""Hours of training from passes and measured rates: an estimate before a run is begun.

Transport and evaluation are left out: they do not grow with the passes, and are minutes where a
budget is hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltvm.config import Config, choices, resolve
from ltvm.methods.budget import Budget
from ltvm.runs.ablation import plan

PROTOCOLS = ("small", "medium", "full")
METHODS = ("short_run_ot", "short_run", "abp", "vae")
TRAINING_IMAGES = {
    "mnist": 60_000, "svhn": 73_257, "celeba": 60_000, "mnist5k": 4_000,
    "mnist_without": 54_000, "mnist5k_without": 3_600,
}  # fmt: skip
BUDGET = ("sweeps", "steps", "updates_per_batch", "learn_epochs", "batch", "learning_rate")

Rates = Mapping[str, Mapping[str, Any]]  # decoder -> what ``ltvm.doctor.speed.rates`` found


def passes(config: Config) -> dict[str, float]:
    """Passes per image and iteration of chain, of learning, and of a VAE's epochs."""
    method, protocol = config["method"], config["protocol"]
    total = Budget(**{key: protocol[key] for key in BUDGET}).passes
    if "kernel" not in method:
        return {"vae": total}
    steps, updates = method["steps"], method.get("updates_per_batch", 1)
    if "learn_epochs" in method:
        sweeps, epochs = method["sweeps"], method["learn_epochs"]
        return {"chain": sweeps * steps, "learning": sweeps * updates + epochs}
    return {
        "chain": total * steps / (steps + updates),
        "learning": total * updates / (steps + updates),
    }


def hours(config: Config, rates: Rates) -> float | None:
    """Of one run of a configuration; None for a data set or decoder whose size is not known."""
    n = config["protocol"]["train_images"] or TRAINING_IMAGES.get(config["data"]["name"])
    rate = rates.get(config["decoder"].get("name"))
    if n is None or rate is None:
        return None
    per_image = sum(count / rate[kind] for kind, count in passes(config).items())
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
        runs = plan([f"ablation={name}"]).runs
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
