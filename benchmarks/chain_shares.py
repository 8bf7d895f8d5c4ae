"""Where the time of a chain's step goes, by torch's profiler: products, batch norm, all else.

    python benchmarks/chain_shares.py [--out DIR]

On one thread, whose time is all of the process's. ``ratio to products`` is the time of a step
to that of its products alone: more than that no engine gains without fewer or faster products.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from chain import BATCH, SETTINGS, STEPS, build_decoder, flops
from common import product_rate, publish
from torch.profiler import ProfilerActivity, profile

from ltvm.chain.engine import Engine
from ltvm.chain.execution import Execution
from ltvm.chain.kernels.langevin import Langevin
from ltvm.models.prior import StandardNormal
from ltvm.runtime.devices import bfloat16_is_native, keep_freed_memory, use_full_float32
from ltvm.runtime.randomness import ImageNoise

KINDS = {  # kind -> what its operations' names have in them, looked at in this order
    "products and convolutions": ("mm", "linear", "convolution"),
    "batch norm": ("batch_norm",),
}
PRODUCTS = next(iter(KINDS))


def chain(architecture: str, execution: Execution) -> Callable[[], Any]:
    """A chain of the engine, as ``benchmarks/chain.py`` times it, on a CPU."""
    channels, size, d = SETTINGS[architecture]
    batch, kernel = BATCH[architecture], Langevin("langevin", 0.014)
    decoder = execution.prepare(build_decoder(architecture, d, channels))
    engine = Engine(decoder, execution, kernel=kernel, prior=StandardNormal(d), sigma=0.3)
    images = torch.rand(batch, channels, size, size) * 2 - 1
    state, noise = kernel.init(torch.randn(batch, d)), ImageNoise(0, torch.arange(batch))
    return lambda: engine.short_run(
        images, state, steps=STEPS["cpu"], constants=kernel.constants(0), noise=noise
    )


def spent(run: Callable[[], Any], repeats: int) -> dict[str, float]:
    """kind of operation -> the seconds of a chain that operations of it take by themselves."""
    run()  # warms up
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(repeats):
            run()
    found = dict.fromkeys((*KINDS, "all else"), 0.0)
    for event in profiled.key_averages():
        kinds = (k for k, parts in KINDS.items() if any(part in event.key for part in parts))
        found[next(kinds, "all else")] += event.self_cpu_time_total * 1e-6 / repeats
    return found


def row(architecture: str, way: Execution, repeats: int) -> dict[str, str]:
    """One decoder in one precision; its products' rate beside that of a large one."""
    found = spent(chain(architecture, way), repeats)
    whole = sum(found.values())
    work = flops(architecture) * BATCH[architecture] * STEPS["cpu"]
    rate = work / found[PRODUCTS] / product_rate(way.precision, torch.device("cpu"))
    return {
        "decoder": architecture, "batch": str(BATCH[architecture]), "computed in": str(way),
        **{kind: f"{time / whole:.0%}" for kind, time in found.items()},
        "ratio to products": f"{whole / found[PRODUCTS]:.2f}",
        "their rate, of a large product's": f"{rate:.0%}",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--architecture", choices=SETTINGS, nargs="*", default=["mnist", "svhn"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--out", type=Path, help="write chain_shares.md and chain_shares.json there"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    use_full_float32()
    keep_freed_memory()
    ways = [Execution()]
    if bfloat16_is_native(torch.device("cpu")):
        ways.append(Execution("bfloat16"))
    rows = [row(one, way, options.repeats) for one in options.architecture for way in ways]
    caption = f"Chains of {STEPS['cpu']} steps, one thread, {options.repeats} chains."
    publish("chain_shares", "Where a chain's time goes", {caption: rows}, options.out, "cpu")


if __name__ == "__main__":
    main()
