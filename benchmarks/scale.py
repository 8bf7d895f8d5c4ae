"""How the cost of a coupling and the memory of a run grow, and what a launcher adds to a run.

    python benchmarks/scale.py coupling --n 60000 250000 1000000
    python benchmarks/scale.py memory --n 4000 32000
    python benchmarks/scale.py launchers
    python benchmarks/scale.py candidates --n 10000    # needs faiss-cpu, which ltvm does not

Codes and targets of couplings are the Gaussian ones of benchmarks/transport.py, d = 64. Memory is
the peak of a process that trains one iteration on random images of MNIST's shape, by images.
Launchers run the same runs of a second or two each: what is beyond their own time is what the
launcher adds. Candidates asks which share of the partners of a coupling that is nearly optimal the
pass of ``onepass`` and approximate indices find. On a shared machine seconds are too many and
processor seconds about right: rows have both, the load and, of the first two, their own process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import Worker, publish
from iteration import random_data
from torch import Tensor
from transport import gaussian_codes

from ltvm.config import resolve
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.runtime.devices import keep_freed_memory, resolve_device, use_full_float32
from ltvm.runtime.randomness import stream
from ltvm.transport import build_solver
from ltvm.transport.nearest import Tiles
from ltvm.transport.onepass import OnePass
from ltvm.transport.shortlist import match_moments

Row = dict[str, Any]

TRAINING = ["method=short_run_ot", "protocol=smoke", "decoder=mnist", "protocol.train_images=null"]
SMOKE = ["protocol=smoke", "device=cpu"]
LAUNCHERS = {  # and how many runs they have at once
    "basic": (1, []),
    "joblib": (2, ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
    "ray": (2, ["hydra/launcher=ray", f"hydra.launcher.num_cpus={(os.cpu_count() or 2) / 2}"]),
    "submitit_local": (2, ["hydra/launcher=submitit_local", "hydra.launcher.array_parallelism=2"]),
}


def measured(run: Callable[[], Row]) -> Row:
    """What ``run`` returns, with its seconds, processor seconds, peak memory and the load."""
    before, cpu, started = os.getloadavg()[0], time.process_time(), time.perf_counter()
    row = run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20)
    return {
        **row,
        "seconds": f"{time.perf_counter() - started:,.1f}",
        "processor seconds": f"{time.process_time() - cpu:,.1f}",
        "peak memory of the process, GB": f"{peak:.2f}",
        "load before, after": f"{before:.1f}, {os.getloadavg()[0]:.1f}",
    }


def coupling(solver: str, n: int, d: int, device: str) -> Callable[[], Row]:
    """Solves once, from no warm start."""

    def run() -> Row:
        where = resolve_device(device)
        codes, targets = (points.to(where) for points in gaussian_codes(n, d))
        small = torch.randn(64, d, generator=stream(0, "warm up")).to(where)
        build_solver(solver)(small, small.flip(0), {}, stream(0, "warm up"))

        def solve() -> Row:
            found = build_solver(solver)(codes, targets, {}, stream(0, "solve"))
            return {
                "n": f"{n:,}",
                "solver": solver,
                "mean cost": f"{found.cost:.3f}",
                "certified gap": f"{found.gap:.3%}",
            }

        return measured(solve)

    return run


def training(n: int, device: str) -> Callable[[], Row]:
    """One iteration of a run on ``n`` random images of MNIST's shape, a sweep and a correction."""

    def run() -> Row:
        use_full_float32()
        keep_freed_memory()
        config = resolve([*TRAINING, f"device={device}"])
        problem = build_problem(config, random_data("mnist", n))

        def iterate() -> Row:
            build_method(config, problem).fit_iteration()
            return {"images": f"{n:,}"}

        return measured(iterate)

    return run


class Ablation(NamedTuple):
    """What an ablation of smoke runs took: whole, by its runs' own account, and of processors."""

    runs: int
    seconds: float
    own: float
    processor: float


def launched(name: str, methods: str) -> Ablation:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ltvm.cli.main", "ablate", "ablation=ot", *SMOKE]
        command += [f"ablation.axes.method=[{methods}]", "ablation.seeds=[0]"]
        command += [f"paths.results={folder}/results", f"paths.reports={folder}/reports"]
        started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, *LAUNCHERS[name][1]], check=True, capture_output=True)
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        runs = list(Path(folder).glob("results/runs/*/*/*/seed=*"))
        own = 0.0
        for run in runs:
            own += sum(json.loads((run / "record.json").read_text())["seconds"].values())
            for file in run.glob("evaluations/*.json"):
                own += json.loads(file.read_text())["seconds"]
    processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return Ablation(len(runs), seconds, own, processor)


def launcher_row(name: str) -> Row:
    """What a launcher adds to one run, and to each further one of five."""
    at_once, load = LAUNCHERS[name][0], os.getloadavg()[0]
    one = launched(name, "abp")
    five = launched(name, "short_run_ot,short_run_uncorrected,short_run,abp,vae")
    added = (five.seconds - one.seconds) * at_once - (five.own - one.own)
    return {
        "launcher": name,
        "runs at once": at_once,
        "one run, s": f"{one.seconds:.1f}",
        "of which its own": f"{one.own:.1f}",
        "five runs, s": f"{five.seconds:.1f}",
        "sum of their own": f"{five.own:.1f}",
        "added per further run, s": f"{added / (five.runs - one.runs):.1f}",
        "processor seconds, one and five": f"{one.processor:.1f}, {five.processor:.1f}",
        "load before": f"{load:.1f}",
    }


def _best_of_pass(tiles: Tiles, codes: Tensor, heights: Tensor, length: int) -> Tensor:
    return tiles.nearest(codes, heights, length).targets


def candidates(n: int, d: int) -> list[Row]:
    """Which share of a near-optimal coupling's partners a source of candidates holds, and its cost.

    Scores are <z, p> + h under the fit of moments, which the pass of ``onepass`` sees as well.
    """
    import faiss  # type: ignore[import-not-found]

    faiss.omp_set_num_threads(torch.get_num_threads())
    codes, targets = gaussian_codes(n, d)
    codes = codes - codes.mean(0)
    tiles = Tiles(targets)
    heights = match_moments(tiles, codes, targets, stream(0, "solve"))
    solver = OnePass(gap=1e-4, passes=2)
    best = solver(codes, targets, {"heights": heights}, stream(0, "solve")).assignment
    assert best is not None
    rows: list[Row] = []

    def add(source: str, asked: int, find: Callable[[], Tensor]) -> None:
        cpu = time.process_time()
        found = find()
        cpu = (time.process_time() - cpu) / asked * 1e6
        held = (found == best[:asked, None]).any(1).double().mean().item()
        row = {
            "source": source,
            "partners held": f"{held:.1%}",
            "processor us per code": f"{cpu:.0f}",
        }
        rows.append(row)

    for length in (8, 16, 32):
        name = f"one pass, {length} best"
        add(name, n, partial(_best_of_pass, tiles, codes, heights, length))
    points = torch.cat([targets, heights[:, None]], dim=1).numpy()
    asked = torch.cat([codes, torch.ones(n, 1)], dim=1)[:2_000].numpy()
    cells = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(d + 1), d + 1, round(n**0.5), faiss.METRIC_INNER_PRODUCT
    )
    cells.train(points)
    cells.add(points)
    for share in (0.05, 0.1, 0.2, 0.4):
        cells.nprobe = round(share * n**0.5)
        name = f"32 best of {share:.0%} of the cells (IVF)"
        add(name, len(asked), lambda: torch.from_numpy(cells.search(asked, 32)[1]))
    graph = faiss.IndexHNSWFlat(d + 1, 32, faiss.METRIC_INNER_PRODUCT)
    graph.add(points)
    for width in (32, 128, 512):
        graph.hnsw.efSearch = width
        name = f"32 best by a graph (HNSW, ef = {width})"
        add(name, len(asked), lambda: torch.from_numpy(graph.search(asked, 32)[1]))
    return rows


def in_own_process(make: Callable[..., Callable[[], Row]], *arguments: Any) -> Row:
    worker = Worker(make, *arguments)
    row: Row = worker()
    worker.stop()
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("coupling", "memory", "launchers", "candidates"))
    parser.add_argument("--n", type=int, nargs="+", help="codes or images")
    parser.add_argument("--dimension", type=int, default=64, help="of codes")
    parser.add_argument("--solvers", nargs="+", default=["auto"])
    parser.add_argument("--launchers", nargs="+", default=list(LAUNCHERS), choices=LAUNCHERS)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="write scale-WHAT.md and .json there")
    options = parser.parse_args()
    if options.what == "coupling":
        caption = f"Couplings of Gaussian codes, d = {options.dimension}, without a warm start."
        rows = [
            in_own_process(coupling, solver, n, options.dimension, options.device)
            for n in options.n or [60_000, 250_000]
            for solver in options.solvers
        ]
    elif options.what == "memory":
        caption = f"One iteration with `{' '.join(TRAINING)}` on random images."
        rows = [in_own_process(training, n, options.device) for n in options.n or [4_000, 32_000]]
    elif options.what == "candidates":
        n = (options.n or [10_000])[0]
        caption = f"Partners of {n:,} Gaussian codes, d = {options.dimension}."
        rows = candidates(n, options.dimension)
    else:
        caption = f"`ltvm ablate ablation=ot {' '.join(SMOKE)}`: one run (`abp`), and five."
        rows = []
        for name in options.launchers:
            rows.append(launcher_row(name))
            print(rows[-1], flush=True)
    name = f"scale-{options.what}"
    publish(name, f"Scale: {options.what}", {caption: rows}, options.out, options.device)


if __name__ == "__main__":
    main()
