"""Seconds of every metric on features, by the digit extractor, on samples of an untrained decoder.

    python benchmarks/metrics.py                            # 4,000 samples against mnist5k
    python benchmarks/metrics.py --data mnist --samples 10000

Metrics run in their order in one evaluation: the first makes the samples and their features, which
the others share. What depends on the data alone (features of the training images) is kept on disk
and for the runs of a process: the columns are the first run with an empty cache, the first of
another process, and the next run of one. What the time depends on is the number of images and
features, not the weights of the decoder.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from pathlib import Path

import torch
from common import publish

from ltvm.config import resolve
from ltvm.data.cache import load_data
from ltvm.metrics.base import Context
from ltvm.metrics.generation.feature_metric import FeatureMetric
from ltvm.runs.execution.build import build_method, build_metrics, build_problem
from ltvm.runtime.devices import resolve_device

WHEN = ("first run", "first run, features on disk", "next run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist5k", help="mnist5k or mnist (%(default)s)")
    parser.add_argument("--samples", type=int, default=4000, help="%(default)s")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="write metrics.md and metrics.json there")
    options = parser.parse_args()

    config = resolve([
        f"data={options.data}", "protocol=full", "method=abp", "evaluation=digits_thorough",
        f"protocol.evaluation.samples={options.samples}", f"device={options.device}",
        "protocol.evaluation.unseen_for_distance=2",  # inference is none of the metric's time
    ])  # fmt: skip
    device = resolve_device(config["device"])
    os.environ["LTVM_CACHE_DIR"] = tempfile.mkdtemp()  # empty, and not the user's
    data = load_data(config).to(device)
    method = build_method(config, build_problem(config, data))
    built = build_metrics(config, device)
    metrics = {name: m for name, m in built.items() if isinstance(m, FeatureMetric)}
    seconds: dict[str, list[float]] = {name: [] for name in metrics}
    first, other = Context(0, device), Context(0, device)
    for context in (first, other, other):
        evaluation = dataclasses.replace(context, scratch={})  # the cache stays
        for name, metric in metrics.items():
            start = time.perf_counter()
            metric(method, data, evaluation)
            seconds[name].append(time.perf_counter() - start)
    rows = [
        {"metric": name, **dict(zip(WHEN, [f"{second:.2f}" for second in times], strict=True))}
        for name, times in {
            **seconds, "all": [sum(times) for times in zip(*seconds.values(), strict=True)],
        }.items()
    ]  # fmt: skip
    threads = torch.get_num_threads()
    publish(
        "metrics",
        "Seconds of the metrics on features",
        {
            f"{options.samples:,} samples against {len(data.train):,} training images, digit "
            f"features, {threads} threads, seconds:": rows
        },
        options.out,
        options.device,
        seconds=seconds,
    )


if __name__ == "__main__":
    main()
