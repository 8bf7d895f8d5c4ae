"""How fast a device runs chains, learning steps and a VAE's epoch, in passes per second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from ltvm.doctor.agreement import method_on, random_images
from ltvm.methods.budget import Visit
from ltvm.runtime.devices import begin_measuring_memory, peak_memory_mb

SHAPES = {"mnist": (1, 28, 28), "svhn": (3, 32, 32), "celeba": (3, 64, 64)}
# On a CPU enough images for its rate; on a GPU the paper's batch, which fills one.
BATCHES = {"cpu": {"mnist": 200, "svhn": 64, "celeba": 8}, "cuda": dict.fromkeys(SHAPES, 2000)}
STEPS = {"cpu": 4, "cuda": 30}  # of a chain that is timed
REPEATS = 3


def rates(data: str, device: str) -> dict[str, Any]:
    """Passes per second of ``chain``, ``learning`` and ``vae``, medians, and what they ran in.

    The batch is halved as long as the GPU's memory does not hold it.
    """
    n = BATCHES["cuda" if device.startswith("cuda") else "cpu"][data]
    while True:
        try:
            return rates_at(data, device, n)
        except torch.cuda.OutOfMemoryError:
            if n < 16:
                raise
            n //= 2


def rates_at(data: str, device: str, n: int) -> dict[str, Any]:
    """``rates`` for batches of ``n`` images."""
    images = random_images(SHAPES[data], n)
    method = method_on(device, "abp", data, images)
    where = method.problem.device
    begin_measuring_memory(where)
    x, codes = method.problem.images.scaled(), method.codes
    state = method.kernel.init(codes)
    numbers = torch.arange(n, device=where)
    steps, constants = STEPS[where.type], method.kernel.constants(0)

    def chain() -> None:
        method.run_chain(x, state, numbers, 1, steps=steps, constants=constants, batchnorm="batch")

    encoder, visit = method_on(device, "vae", data, images), Visit(numbers, 0, True, numbers)
    return {
        "batch": n,
        "execution": str(method.problem.execution),
        "chain": n * steps / seconds(chain, where),
        "learning": n / seconds(lambda: method.update_decoder(x, codes), where),
        "vae": 2 * n / seconds(lambda: encoder.learn(visit), where),
        "flops": {
            "chain": method.problem.flops.chain,
            "learning": method.problem.flops.update,
            "vae": encoder.price.flops,
        },
        "peak_memory_mb": peak_memory_mb(where),
    }


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Of one call, the median after two that warm up or record a graph; a GPU is waited for."""
    spent = []
    for _ in range(REPEATS + 2):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent.append(time.perf_counter() - started)
    return statistics.median(spent[2:])
