"""Transport solvers against POT's and scipy's: time, cost, certified gap, peak memory.

    python benchmarks/transport.py                # a subset, minutes
    python benchmarks/transport.py --full         # every size and dimension that is feasible

Every row runs in a process of its own. Codes are ``gaussian`` (shifted, correlated, spectrum
i^-0.7, second moment 1.4) or ``digits`` (inferred by short-run OT in training on the embedded
digits, iteration 2); targets are standard normal draws. ``second call`` is warm-started from
the first on codes that moved: of digits those of iteration 3; gaussian codes go 0.3 of the way
to their targets and get noise of 0.4. Timings on shared machines are noisy: read ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from common import publish
from torch import Tensor

from ltvm.runtime.devices import describe, peak_memory_mb, resolve_device
from ltvm.runtime.randomness import stream
from ltvm.transport import SOLVERS, build_solver, lower_bound
from ltvm.transport.completion import complete
from ltvm.transport.coupling import Coupling, permutation_coupling

Cell = dict[str, Any]
Row = dict[str, Any]

OURS = ("random", "gaussian", "bsp", "blocks", "semidual", "shortlist", "exact")
WARM = ("blocks", "semidual", "shortlist")
PEERS = ("POT emd", "POT semidiscrete", "POT semidiscrete, scaled", "POT sinkhorn, rounded")
NOTES = {"exact": "scipy linear_sum_assignment", "bsp": "POT ot.bsp", "gaussian": "map, no pairing"}
LARGEST = 5_000  # for solvers with n x n matrices or hundreds of passes over all pairs
DENSE = ("exact", "POT emd", "POT sinkhorn, rounded")
MANY_PASSES = ("semidual", "POT semidiscrete", "POT semidiscrete, scaled")


def cells(full: bool) -> list[Cell]:
    """The grid, as (solver, n, d, codes) and a reason where a cell is not run."""
    grid: list[tuple[int, int, str, tuple[str, ...]]] = []
    core = ("random", "blocks", "semidual", "shortlist", "exact")
    if full:
        for n in (1_000, 5_000, 20_000, 60_000):
            for d in (30, 64, 100):
                # The stochastic and entropic peers once per size, all else everywhere.
                peers = PEERS if d == 30 else ("POT emd",)
                grid.append((n, d, "gaussian", OURS + peers))
        grid.append((4_000, 30, "digits", (*OURS, "POT emd")))
    else:
        quick = tuple(peer for peer in PEERS if peer != "POT semidiscrete")
        grid.append((1_000, 30, "gaussian", OURS + quick))
        grid.append((5_000, 30, "gaussian", (*core, "bsp", "POT emd")))
        grid.append((4_000, 30, "digits", (*core, "bsp")))
        grid.append((60_000, 64, "gaussian", ("random", "blocks", "shortlist", "exact", "POT emd")))
    found = []
    for n, d, codes, solvers in grid:
        for solver in solvers:
            reason = None
            if solver in DENSE and n > LARGEST:
                reason = f"n x n float64 matrices of {8 * n * n / 1e9:.1f} GB and about n^3 time"
            elif solver in MANY_PASSES and n > LARGEST:
                reason = "hundreds of passes over all pairs"
            found.append({"solver": solver, "n": n, "d": d, "codes": codes, "not_run": reason})
    return found


def gaussian_codes(n: int, d: int) -> tuple[Tensor, Tensor]:
    """Shifted correlated Gaussian codes and standard normal targets: two of [n, d]."""
    draw = stream(0, "transport benchmark", n, d)
    axes, _ = torch.linalg.qr(torch.randn(d, d, generator=draw))
    spectrum = torch.arange(1, d + 1) ** -0.7
    mixing = (1.2 * spectrum / spectrum.mean()).sqrt()[:, None] * axes.T
    shift = torch.randn(d, generator=draw)
    codes = (
        torch.randn(n, d, generator=draw) @ mixing + shift * (0.2 / shift.square().mean()) ** 0.5
    )
    return codes, torch.randn(n, d, generator=draw)


def digit_codes(file: Path) -> None:
    """Train on the embedded digits; save codes of iterations 2 and 3 and the targets."""
    from ltvm.config import resolve
    from ltvm.data.cache import load_data
    from ltvm.methods.short_run_ot import ShortRunOT
    from ltvm.runs.execution.build import build_method, build_problem

    config = resolve(["data=mnist5k", "method=short_run_ot", "protocol=small", "seed=0"])
    method = build_method(config, build_problem(config, load_data(config)))
    assert isinstance(method, ShortRunOT)
    inferred = []
    for _ in range(3):
        method.fit_iteration()
        inferred.append(method.posterior_draws().cpu().clone())
    torch.save({"codes": inferred[1:], "targets": method.targets.cpu()}, file)


def peer(name: str, codes: Tensor, targets: Tensor) -> Coupling:
    """A solver of POT or scipy, on a CPU in float64, from codes to a permutation."""
    import numpy as np
    import ot

    warnings.simplefilter("error")  # POT warns where it has not converged
    n = len(codes)
    z, p = codes.double().numpy(), targets.double().numpy()
    scale = codes.square().sum(1).mean().item() + targets.square().sum(1).mean().item()
    if name.startswith("POT semidiscrete"):
        from ot.semidiscrete import solve_semidiscrete

        draw = np.random.default_rng(0)
        # Its defaults suit costs near 1; scaled: steps, smoothing and batches for these costs.
        options = (
            {
                "batch_size": 500,
                "max_iter": 100 * n // 500,
                "lr0": scale * n**0.5 / 10,
                "decreasing_reg_initial_eps": 0.1 * scale,
            }
            if name.endswith("scaled")
            else {}
        )
        potential = solve_semidiscrete(p, lambda size: z[draw.integers(n, size=size)], **options)
        heights = (torch.from_numpy(potential) - targets.double().square().sum(1)) / 2
        chosen = (codes.double() @ targets.double().T + heights).argmax(1)
        assignment = complete(codes, targets, chosen)
        bound = lower_bound(codes, targets, heights)
        return permutation_coupling(codes, targets, assignment, lower_bound=bound)
    costs, weights = ot.dist(z, p), np.full(n, 1 / n)
    if name == "POT emd":
        plan = ot.emd(weights, weights, costs, numItermax=10_000_000)
    else:
        plan = ot.sinkhorn(
            weights, weights, costs, reg=0.02 * scale, method="sinkhorn_log", stopThr=1e-4
        )
    return permutation_coupling(
        codes, targets, complete(codes, targets, torch.from_numpy(plan.argmax(1)))
    )


def run_cell(cell: Cell, digits: Path, device: torch.device) -> list[Row]:
    """Solve a cell, in this process: a row for the first call and perhaps one for the second."""
    name, n, d = cell["solver"], cell["n"], cell["d"]
    moved = None
    if cell["codes"] == "digits":
        saved = torch.load(digits, weights_only=True)
        (codes, moved), targets = saved["codes"], saved["targets"]
    else:
        codes, targets = gaussian_codes(n, d)
    if name in SOLVERS:
        codes, targets = codes.to(device), targets.to(device)
        solver = build_solver(name)
        small = torch.randn(64, d, generator=stream(0, "warm up")).to(device)
        solver(small, small.flip(0), {}, stream(0, "warm up"))  # imports, threads, kernels
    else:
        import ot  # noqa: F401  # not part of the time

    def timed(number: int, points: Tensor, state: dict[str, Tensor]) -> tuple[Row, Coupling]:
        synchronize(device)
        started = time.perf_counter()
        coupling = (
            solver(points, targets, state, stream(0, "solve", number))
            if name in SOLVERS
            else peer(name, points, targets)
        )
        synchronize(device)
        seconds = time.perf_counter() - started
        both = points.double().square().sum(1).mean() + targets.double().square().sum(1).mean()
        random = both - 2 * points.double().mean(0) @ targets.double().mean(0)
        return {
            **cell,
            "call": "second, warm" if state else "first",
            "seconds": seconds,
            "cost": coupling.cost,
            "lower_bound": coupling.lower_bound,
            "gap": coupling.gap,
            "pairing": coupling.assignment is not None,
            "random_cost": random.item(),  # expected, over all pairings
            "device": describe(device if name in SOLVERS else torch.device("cpu")),
            "memory_mb": max(peak_memory_mb(device).values()),
        }, coupling

    row, coupling = timed(0, codes, {})
    rows = [row]
    if name in WARM:
        if moved is None:
            noise = torch.randn(n, d, generator=stream(0, "move")).to(device)
            moved = codes + 0.3 * (coupling.mapped - codes) + 0.4 * noise
        moved = moved.to(device)
        second, _ = timed(1, moved, coupling.state)
        if cell["codes"] == "digits":  # the same codes without a warm start say what it saves
            cold, _ = timed(2, moved, {})
            rows.append({**cold, "call": "second, cold"})
        rows.append(second)
    return rows


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def run_in_process(cell: Cell, digits: Path, device: str, limit: float) -> list[Row]:
    command = [sys.executable, __file__, "--cell", json.dumps(cell), "--digits", str(digits)]
    try:
        done = subprocess.run(
            [*command, "--device", device], capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return [{**cell, "not_run": f"stopped after {limit:.0f} s"}]
    if done.returncode:
        return [{**cell, "not_run": (done.stderr.strip().splitlines() or ["killed"])[-1][:90]}]
    rows: list[Row] = json.loads(done.stdout.splitlines()[-1])
    return rows


def compare(rows: list[Row]) -> None:
    """Add the share of the way, and the time relative to POT emd's on the same problem."""
    for row in rows:
        if row["not_run"]:
            continue
        moved = row["call"].startswith("second")
        same = [
            other
            for other in rows
            if not other["not_run"]
            and all(other[key] == row[key] for key in ("n", "d", "codes"))
            and other["call"].startswith("second") == moved
            # Codes that moved towards each solver's own targets are not the same codes.
            and (not moved or row["codes"] == "digits" or other["solver"] == row["solver"])
        ]
        optimal = [o["cost"] for o in same if o["solver"] in ("exact", "POT emd")]
        bounds = [o["lower_bound"] for o in same if o["lower_bound"] is not None]
        reference = min(optimal) if optimal else max(bounds, default=None)
        if reference is not None and row["pairing"]:
            way = row["random_cost"] - reference
            row["share"] = (row["random_cost"] - row["cost"]) / way
            row["share_of"] = "optimum" if optimal else "bound"
        emd = [o["seconds"] for o in same if o["solver"] == "POT emd"]
        row["to_emd"] = row["seconds"] / emd[0] if emd and not moved else None


def shown(row: Row) -> dict[str, str]:
    """A row of the table."""
    note = f" ({NOTES[row['solver']]})" if row["solver"] in NOTES else ""
    cells = {
        "solver": row["solver"] + note,
        "n": f"{row['n']:,}",
        "d": str(row["d"]),
        "codes": row["codes"],
    }
    if row["not_run"]:
        return cells | {"call": "not run: " + row["not_run"]}
    share, gap, ratio = row.get("share"), row["gap"], row["to_emd"]
    return cells | {
        "call": row["call"],
        "seconds": f"{row['seconds']:.2f}",
        "mean cost": f"{row['cost']:.3f}",
        "share of the way": "" if share is None else f"{share:.2%} of {row['share_of']}",
        "certified gap": "" if gap is None else f"{round(100 * gap, 3) + 0.0:.3f}%",
        "peak memory, MB": f"{row['memory_mb']:,.0f}",
        "time / POT emd": "" if ratio is None else f"{ratio:.3f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--out", type=Path, help="write transport.md and transport.json there")
    parser.add_argument("--limit", type=float, default=100, help="seconds per cell")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cell", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--digits", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = resolve_device(options.device)
    if options.cell:
        print(json.dumps(run_cell(options.cell, options.digits, device)))
        return
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        digits = Path(folder) / "digits.pt"
        planned = cells(options.full)
        digit_codes(digits)
        for cell in planned:
            new = (
                [cell]
                if cell["not_run"]
                else run_in_process(cell, digits, str(device), options.limit)
            )
            rows += new
            said = [r["not_run"] or f"{r['call']}: {r['seconds']:.2f} s" for r in new]
            print(cell["solver"], cell["n"], cell["d"], cell["codes"], *said, sep=" | ", flush=True)
    compare(rows)
    explained = (
        "Share of the way: from the expected cost of a random pairing (0%) to the optimum where an "
        "exact solver ran, else to the best certified lower bound. Peak memory is of the whole "
        "process. POT's Sinkhorn and semidiscrete results are rounded to a permutation (the "
        "nearest code keeps a shared target, the rest by exact assignment)."
    )
    tables = {explained: [shown(row) for row in rows]}
    if device.type != "cuda":
        tables["On a GPU."] = [{"solver": "not measured: no GPU here"}]
    publish("transport", "Transport", tables, options.out, options.device, rows=rows)


if __name__ == "__main__":
    main()
