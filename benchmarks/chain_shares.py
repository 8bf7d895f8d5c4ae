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
from chain import SETTINGS, STEPS, build_decoder
from common import publish
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
BATCH = {"mnist": 200, "svhn": 64, "celeba": 8}


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


def shares(run: Callable[[], Any], repeats: int) -> dict[str, float]:
    """kind of operation -> its share of the time that operations take by themselves."""
    run()  # warms up
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(repeats):
            run()
    spent = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    found = dict.fromkeys((*KINDS, "all else"), 0.0)
    for name, time in spent.items():
        kinds = (kind for kind, parts in KINDS.items() if any(part in name for part in parts))
        found[next(kinds, "all else")] += time
    return {kind: time / sum(spent.values()) for kind, time in found.items()}


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
    rows = []
    for architecture in options.architecture:
        for way in ways:
            found = shares(chain(architecture, way), options.repeats)
            what = {"decoder": architecture, "batch": str(BATCH[architecture])}
            texts = {kind: f"{share:.0%}" for kind, share in found.items()}
            bound = f"{1 / found['products and convolutions']:.2f}"
            rows.append(what | {"computed in": str(way)} | texts | {"ratio to products": bound})
    caption = f"Chains of {STEPS['cpu']} steps, one thread, {options.repeats} chains."
    publish("chain_shares", "Where a chain's time goes", {caption: rows}, options.out, "cpu")


if __name__ == "__main__":
    main()
