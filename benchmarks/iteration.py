"""One outer iteration by phase and by operator, what starting and finishing cost, and a busy core.

    python benchmarks/iteration.py [--images N ...] [--architecture mnist|svhn] [--out DIR]

Random uint8 images of the data set's shape do: nothing here depends on what they show. On a
GPU the SVHN row is the paper's iteration (73,257 images, K = 30, L = 50, batch 2,000), whose
published cost is 124 minutes of inference, 10 of transport and 5 of learning on two TitanX
(An, Xie and Li, CVPR 2021, supplementary).

A whole small run is timed alone and beside a process that keeps one thread busy, in turns: what a
shared machine makes of it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import Worker, publish, ratios
from torch.profiler import ProfilerActivity, profile

from ltvm.config import resolve
from ltvm.data.image_set import DataSet, ImageSet
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.runtime.devices import keep_freed_memory, peak_memory_mb, resolve_device, use_full_float32
from ltvm.runtime.phases import PHASES

SHAPES = {"mnist": (1, 28), "svhn": (3, 32)}


def random_data(architecture: str, n: int) -> DataSet:
    channels, size = SHAPES[architecture]
    draw = torch.Generator().manual_seed(0)
    shape = (n, channels, size, size)
    images = torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)
    return DataSet(ImageSet("random", "train", images), ImageSet("random", "test", images[:2]))


def iteration(overrides: list[str], architecture: str, n: int, operators: int) -> Callable[[], Any]:
    """Seconds by phase of one iteration, peak memory, and the costliest operators."""

    def run() -> dict[str, Any]:
        keep_freed_memory()
        use_full_float32()
        config = resolve(overrides)
        problem = build_problem(config, random_data(architecture, n))
        method = build_method(config, problem)
        if operators:
            method.fit_iteration()  # warms up
            peaks = peak_memory_mb(problem.device)  # the profiler keeps gigabytes of its own
            problem.clock.seconds.clear()
            kinds = [ProfilerActivity.CPU]
            kinds += [ProfilerActivity.CUDA] if problem.device.type == "cuda" else []
            with profile(activities=kinds) as profiler:
                method.fit_iteration()
            rows = operator_rows(profiler, operators)
        else:
            method.fit_iteration()
            peaks, rows = peak_memory_mb(problem.device), []
        return {"seconds": dict(problem.clock.seconds), "peaks": peaks, "operators": rows}

    return run


def operator_rows(profiler: Any, most: int) -> list[dict[str, Any]]:
    """The operators with the largest own time, on the GPU where there is one."""
    averages = profiler.key_averages()

    def own(event: Any) -> float:
        return float(event.self_device_time_total or event.self_cpu_time_total)

    on_device = any(event.self_device_time_total for event in averages)
    spent = [
        (event.key, event.self_device_time_total if on_device else event.self_cpu_time_total)
        for event in averages
    ]
    total = sum(time for _, time in spent)
    spent.sort(key=lambda row: -row[1])
    return [{"operator": key, "share of own time": f"{t / total:.0%}"} for key, t in spent[:most]]


def phase_row(name: str, seconds: dict[str, float], peaks: dict[str, float]) -> dict[str, Any]:
    row = {"iteration of": name}
    row |= {f"{phase}, s": f"{seconds.get(phase, 0.0):.2f}" for phase in PHASES[:3]}
    row |= {f"peak memory of the {key}, MB": f"{value:,.0f}" for key, value in peaks.items()}
    return row


def run_once(overrides: list[str], architecture: str, n: int, operators: int) -> dict[str, Any]:
    worker = Worker(iteration, overrides, architecture, n, operators)
    answer: dict[str, Any] = worker()
    worker.stop()
    return answer


START = """
import time; started = time.perf_counter()
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.config import resolve
from ltvm.data.cache import load_data
config = resolve(["method=short_run_ot", "protocol=small"])
method = build_method(config, build_problem(config, load_data(config)))
batch = method.batches(0)[0]
state = method.kernel.init(method.codes[batch])
images = method.problem.images.scaled(batch)
constants = method.kernel.constants(0)
method.run_chain(images, state, batch, 1, steps=1, constants=constants, batchnorm="batch")
print(time.perf_counter() - started)
"""


def start_rows(repeats: int) -> list[dict[str, Any]]:
    """Import to first step, and a run that is done; whole processes, medians."""
    with tempfile.TemporaryDirectory() as results:
        environment = {**os.environ, "LTVM_RESULTS": results}
        done = [sys.executable, "-m", "ltvm.cli.main", "train", "method=vae", "protocol=smoke"]
        subprocess.run(done, env=environment, check=True, capture_output=True)
        starts, finished = [], []
        for _ in range(repeats):
            out = subprocess.run(
                [sys.executable, "-c", START],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            )
            starts.append(float(out.stdout.split()[-1]))
            started = time.perf_counter()
            subprocess.run(done, env=environment, check=True, capture_output=True)
            finished.append(time.perf_counter() - started)
    return [
        {"what": "import to the end of the first chain step", **_spread(starts)},
        {"what": "`ltvm train` of a run that is done, whole process", **_spread(finished)},
    ]


RUN = ["method=short_run_ot", "protocol=small", "protocol.train_images=1000"]
SPINNER = "while True: pass"


def busy_rows(overrides: list[str], turns: int) -> list[dict[str, Any]]:
    """A run from the command to its record, alone and beside a spinning process, in turns."""
    spent: dict[str, list[float]] = {"alone": [], "beside a one-thread spinner": []}
    for turn in range(turns):
        for beside, found in spent.items():
            with tempfile.TemporaryDirectory() as results, contextlib.ExitStack() as stack:
                if beside != "alone":
                    spinner = subprocess.Popen([sys.executable, "-c", SPINNER])
                    stack.callback(spinner.wait)
                    stack.callback(spinner.kill)
                command = [sys.executable, "-m", "ltvm.cli.main", "train", *overrides]
                command += [f"seed={turn}", f"paths.results={results}"]
                started = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                found.append(time.perf_counter() - started)
    alone = spent["alone"]
    return [
        {"a run": how, **_spread(found), **ratios(found, alone)} for how, found in spent.items()
    ]


def _spread(values: list[float]) -> dict[str, str]:
    shown = {"median, s": statistics.median(values), "least": min(values), "most": max(values)}
    return {key: f"{value:.2f}" for key, value in shown.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--architecture", choices=SHAPES, default="mnist")
    parser.add_argument("--images", type=int, nargs="+", default=[4_000, 60_000])
    parser.add_argument("--operators", type=int, default=12, help="rows of the profile; 0: none")
    parser.add_argument("--repeats", type=int, default=3, help="of starting; 0: not measured")
    parser.add_argument("--run", nargs="+", default=RUN, help="overrides of the run that is timed")
    parser.add_argument("--turns", type=int, default=3, help="of that run; 0: not measured")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="write iteration.md and iteration.json there")
    parser.add_argument(
        "overrides", nargs="*", default=[], help="of the configuration (default: protocol=small)"
    )
    options = parser.parse_args()
    base = ["method=short_run_ot", f"device={options.device}", "protocol=small"]
    base += [f"decoder={options.architecture}"]
    base += ["model.latent_dim=64"] if options.architecture == "svhn" else []
    overrides = base + options.overrides
    rows: list[dict[str, Any]] = []
    operators: list[dict[str, Any]] = []
    for n in options.images:
        profiled = 0 if rows else options.operators
        answer = run_once(overrides, options.architecture, n, profiled)
        name = f"{options.architecture}, {n:,} random images"
        rows.append(phase_row(name, answer["seconds"], answer["peaks"]))
        operators = operators or answer["operators"]
    tables = {f"Phases of one iteration, with `{' '.join(overrides)}`.": rows}
    if operators:
        tables["Operators of the first by own time, after an iteration to warm up."] = operators
    if options.repeats:
        tables["Starting and finishing."] = start_rows(options.repeats)
    if options.turns:
        run = [*options.run, f"device={options.device}"]
        caption = f"The whole of `ltvm train {' '.join(run)}`; ratios to the run alone, by turns."
        tables[caption] = busy_rows(run, options.turns)
    tables["The paper's SVHN iteration (73,257 images, K = 30, L = 50)."] = [svhn_row(options)]
    publish("iteration", "One iteration", tables, options.out, options.device)


def svhn_row(options: argparse.Namespace) -> dict[str, Any]:
    name = "svhn, 73,257 random images"
    if resolve_device(options.device).type != "cuda":
        return {"iteration of": name, "seconds": "not measured: no GPU on this machine"}
    overrides = ["data=svhn", "method=short_run_ot", "protocol=cost", f"device={options.device}"]
    answer = run_once(overrides, "svhn", 73_257, 0)
    return phase_row(name, answer["seconds"], answer["peaks"])


if __name__ == "__main__":
    main()
