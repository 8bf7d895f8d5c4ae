"""What a run cost: read from its record and its evaluations, declared here like any value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ltvm.metrics.columns import Column
from ltvm.runtime.phases import PHASES


def cost(title: str, definition: str, unit: str = "") -> Column:
    return Column(title, definition, family="cost", unit=unit, role="cost")


PEAK = "since the run began; where the system cannot count anew, since the process did"
# What a run spends; ``protocol.equal`` names the one that all methods are made to spend equally.
CURRENCIES = {  # word of ``protocol.equal`` -> cost
    "passes": "passes",
    "updates": "decoder_updates",
    "flops": "flops",
    "seconds": "training_seconds",
}
COSTS = {  # in the order of the table
    "passes": cost(
        "passes per image", "forward and backward through the decoder, or a VAE's encoder"
    ),
    "decoder_updates": cost("decoder updates", "optimiser steps on the decoder's weights"),
    "flops": cost(
        "training, FLOP",
        "floating-point operations of the layers of decoder and encoder, counted, in training",
        "FLOP",
    ),
    "training_seconds": cost("training, s", "inference, transport and learning together", "s"),
    "inference_seconds": cost("inference, s", "wall-clock time of inferring codes", "s"),
    "transport_seconds": cost("transport, s", "wall-clock time of coupling and correction", "s"),
    "learning_seconds": cost("learning, s", "wall-clock time of updating weights", "s"),
    "tuning_flops": cost(
        "tuning, FLOP",
        "training of all trials that found a row's settings, once for all seeds",
        "FLOP",
    ),
    "tuning_seconds": cost(
        "tuning, s", "training of all trials that found a row's settings, once for all seeds", "s"
    ),
    "curve_seconds": cost("learning curves, s", "measuring between iterations of training", "s"),
    "evaluation_seconds": cost("evaluation, s", "wall-clock time of measuring what was made", "s"),
    "sampler_seconds": cost(
        "sampler's fit, s", "wall-clock time of fitting another sampler, after training", "s"
    ),
    "peak_memory_mb": cost("peak memory, MB", f"resident memory {PEAK}", "MB"),
    "peak_gpu_memory_mb": cost("peak GPU memory, MB", f"allocated GPU memory {PEAK}", "MB"),
}


def costs_of_training(record: dict[str, Any]) -> dict[str, float]:
    """name of ``COSTS`` -> value, of a record; what it does not state is left out."""
    stated, memory = record.get("seconds", {}), record.get("peak_memory_mb", {})
    seconds = {phase: stated.get(phase) for phase in PHASES if phase != "evaluation"}
    taken = [value for value in seconds.values() if value is not None]
    costs = {
        **{name: record.get(name) for name in ("passes", "decoder_updates", "flops")},
        **{f"{phase}_seconds": value for phase, value in seconds.items()},
        "training_seconds": sum(taken) if taken else None,
        "curve_seconds": stated.get("evaluation") or None,
        "peak_memory_mb": memory.get("process"),
        "peak_gpu_memory_mb": memory.get("gpu"),
    }
    return {name: value for name, value in costs.items() if value is not None}


def cost_of_tuning(tuned: dict[str, Any] | None) -> dict[str, float]:
    """name of ``COSTS`` -> value, of what a manifest says of a row's trials, if it has any."""
    stated = {name: (tuned or {}).get(name) for name in ("flops", "seconds")}
    return {f"tuning_{name}": value for name, value in stated.items() if value is not None}


def cost_of_evaluations(evaluations: Iterable[dict[str, Any]]) -> dict[str, float]:
    """``evaluation_seconds`` of all of them, the fit of a sampler included, and that alone.

    What no evaluation says is left out.
    """
    evaluations = list(evaluations)
    seconds = [e["seconds"] for e in evaluations if e.get("seconds") is not None]
    samplers = [e["sampler"] for e in evaluations if e.get("sampler")]
    fits = [s["fit_seconds"] for s in samplers if s["fit_seconds"] is not None]
    return ({"evaluation_seconds": sum(seconds)} if seconds else {}) | (
        {"sampler_seconds": sum(fits)} if fits else {}
    )
