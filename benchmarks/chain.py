"""Speed of the short-run chain, against the loop that people write today.

    python benchmarks/chain.py [--out DIR]

The plain loop is as in neighbouring papers' scripts: float32, weights requiring gradients,
NCHW and ``conv_transpose2d``, ``autograd.grad`` for the codes at every step. Every ratio is a
median over turns of one run; the contenders take turns, each in its own process. Timings on
shared machines are noisy: read ratios, not rates.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import Worker, contender_rows, product_rate, publish, seconds, take_turns
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import ltvm
from ltvm.chain.choosing import choose_execution
from ltvm.chain.engine import Engine
from ltvm.chain.execution import Execution
from ltvm.chain.kernels.langevin import Langevin
from ltvm.chain.short_run import energy
from ltvm.config import resolve
from ltvm.data.cache import load_data
from ltvm.methods import Method
from ltvm.models.doubling import DoublingConv
from ltvm.models.networks import build_decoder as build_from
from ltvm.models.prior import StandardNormal
from ltvm.runtime.devices import (
    bfloat16_is_native,
    keep_freed_memory,
    peak_memory_mb,
    resolve_device,
    use_full_float32,
)
from ltvm.runtime.randomness import ImageNoise, image_normals

SETTINGS = {"mnist": (1, 28, 30), "svhn": (3, 32, 64), "celeba": (3, 64, 64)}
STEPS = {"cpu": 12, "cuda": 30}
BATCH = {"mnist": 200, "svhn": 64, "celeba": 8}  # on a CPU


def build_decoder(architecture: str, d: int, channels: int) -> nn.Module:
    """A decoder of the suite by name."""
    parameters = resolve([f"decoder={architecture}"])["decoder"]
    size = SETTINGS[architecture][1]
    return build_from(parameters, d, (channels, size, size), seed=0)


def plain_decoder(architecture: str) -> nn.Module:
    """The decoder in torch's own layers."""
    channels, _, d = SETTINGS[architecture]
    if architecture != "mnist":
        decoder = build_decoder(architecture, d, channels)
        for layer in decoder.modules():
            if isinstance(layer, DoublingConv):
                layer.by_products = False
        return decoder
    return nn.Sequential(
        nn.Linear(d, 1024), nn.BatchNorm1d(1024), nn.ReLU(),
        nn.Linear(1024, 6272), nn.BatchNorm1d(6272), nn.ReLU(), nn.Unflatten(1, (128, 7, 7)),
        nn.ConvTranspose2d(128, 64, 2, stride=2), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, channels, 2, stride=2), nn.Tanh(),
    )  # fmt: skip


def plain_loop(decoder: nn.Module, images: Tensor, codes: Tensor, steps: int, how: str) -> Tensor:
    """K Langevin steps as scripts write them; ``how`` is autograd.grad or backward."""
    z = codes.clone().requires_grad_(True)
    for _ in range(steps):
        error = (images - decoder(z)).square().sum() / (2 * 0.3**2)
        total = error + z.square().sum() / 2
        if how == "backward":
            z.grad = None
            total.backward()
            gradient = z.grad
        else:
            (gradient,) = torch.autograd.grad(total, z)
        z.data = z.data - 1e-4 * gradient + 0.01 * torch.randn_like(z)
    return z.detach()


def contender(kind: str, architecture: str, batch: int, device_name: str) -> Callable[[], Any]:
    """Seconds of one chain, peak memory and the matrix-product rate, whenever called."""
    device = resolve_device(device_name)
    channels, size, d = SETTINGS[architecture]
    steps = STEPS[device.type]
    images = torch.rand(batch, channels, size, size, device=device) * 2 - 1
    codes = torch.randn(batch, d, device=device)
    use_full_float32()  # of all contenders: TF32 is not float32
    if kind.startswith("plain"):
        decoder = plain_decoder(architecture).to(device)
        how = kind.split()[-1]
        precision, words = "float32", "float32, contiguous"

        def run() -> None:
            plain_loop(decoder, images, codes, steps, how)
    else:
        keep_freed_memory()
        precision = kind.split()[-1]

        def build() -> nn.Module:
            return build_decoder(architecture, d, channels)

        wanted = {"precision": precision, "layout": "auto", "products": "auto", "graph": "auto"}
        chosen = choose_execution(wanted, build, tuple(images.shape), d, device, architecture)
        kernel = Langevin("langevin", 0.014)
        engine = Engine(
            chosen.prepare(build().to(device)), chosen, kernel=kernel, prior=StandardNormal(d),
            sigma=0.3,
        )  # fmt: skip
        state, constants = kernel.init(codes), kernel.constants(0)
        words = str(chosen)
        noise = ImageNoise(0, torch.arange(batch, device=device))

        def run() -> None:
            engine.short_run(images, state, steps=steps, constants=constants, noise=noise)

    def timed() -> dict[str, Any]:
        return {
            "seconds": seconds(run, device),
            "words": words,
            "products": product_rate(precision, device),
            "peak": peak_memory_mb(device)["gpu" if device.type == "cuda" else "process"],
        }

    return timed


def flops(architecture: str) -> float:
    """FLOP of one step for one image: forward, and backward to the codes."""
    channels, size, d = SETTINGS[architecture]
    decoder = build_decoder(architecture, d, channels).requires_grad_(False)
    images, codes = torch.zeros(2, channels, size, size), torch.zeros(2, d, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        energy(decoder, images, codes, sigma=0.3, prior=StandardNormal(d)).sum().backward()
    return counter.get_total_flops() / 2


def chain_rows(architecture: str, batch: int, repeats: int, device: str) -> list[dict[str, Any]]:
    where = resolve_device(device)
    kinds = ["plain loop, autograd.grad", "plain loop, loss.backward", "engine, float32"]
    if bfloat16_is_native(where):
        kinds.append("engine, bfloat16")
    workers = {
        kind: Worker(contender, kind.replace("loss.", ""), architecture, batch, device)
        for kind in kinds
    }
    answers = take_turns(workers, repeats)
    work = batch * STEPS[where.type]
    what = {"decoder": architecture, "batch": str(batch)}
    return contender_rows(what, answers, "image-steps/s", work, work * flops(architecture))


def agreement(seeds: int, device: str) -> dict[str, list[dict[str, Any]]]:
    """What bfloat16 changes, beside what another noise and another seed change."""
    if not bfloat16_is_native(resolve_device(device)):
        reason = "no native bfloat16 on this machine"
        return {"bfloat16 against float32.": [{"metric": "not measured", "why": reason}]}
    with tempfile.TemporaryDirectory() as results:
        metrics = metric_rows(seeds, device, results)
        trained = min(Path(results).glob("runs/*/*/*/seed=0"))
        return {
            f"Smoke protocol, `short_run_ot`, {seeds} seeds, by precision.": metrics,
            "Final energies of 1,000 chains of 40 steps on real test digits, with the decoder of "
            "the first of these runs.": energy_rows(ltvm.load(trained)),
        }


def energy_rows(method: Method) -> list[dict[str, Any]]:
    """Quantiles of U(z; x) where chains end, from the same starts."""
    images = load_data(resolve(["protocol=small"])).test.scaled().to(method.problem.device)
    index = torch.arange(len(images), device=images.device)
    starts = image_normals(0, index, 1, method.problem.latent_dim)[0]
    kernel = Langevin("langevin", 0.1)
    cases = {
        "float32": (Execution(), 1),
        "bfloat16, same noise": (Execution("bfloat16"), 1),
        "float32, other noise": (Execution(), 2),
    }
    rows = []
    for name, (way, key) in cases.items():
        engine = Engine(
            method.decoder, way, kernel=kernel, prior=StandardNormal(starts.shape[1]), sigma=0.3
        )
        codes = engine.short_run(
            images, kernel.init(starts), steps=40, constants=kernel.constants(0),
            noise=ImageNoise(key, index), batchnorm="running",
        )["codes"]  # fmt: skip
        energies = method.energy(images, codes).double()
        levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
        shown = zip(levels, energies.quantile(levels.to(energies.device)), strict=True)
        rows.append({"chains": name} | {f"{level:.0%} quantile": f"{q:.2f}" for level, q in shown})
    return rows


def metric_rows(seeds: int, device: str, results: str) -> list[dict[str, Any]]:
    """Metrics of the smoke protocol by precision: the difference beside the spread of seeds."""
    values: dict[str, dict[str, list[float]]] = {}
    for precision, seed in itertools.product(("float32", "bfloat16"), range(seeds)):
        record = ltvm.train(
            ["protocol=smoke", f"precision={precision}", f"seed={seed}", f"device={device}",
             f"paths.results={results}"]
        )  # fmt: skip
        for metric in ("fd_digits", "mse_train", "mse_test", "latent_energy"):
            kept = values.setdefault(metric, {"float32": [], "bfloat16": []})
            kept[precision].append(record["metrics"][metric]["value"])
    rows = []
    for metric, by in values.items():
        paired = [b - a for a, b in zip(by["float32"], by["bfloat16"], strict=True)]
        rows.append(
            {
                "metric": metric,
                "float32, mean": f"{statistics.mean(by['float32']):.4g}",
                "bfloat16, mean": f"{statistics.mean(by['bfloat16']):.4g}",
                "mean difference, same seed": f"{statistics.mean(paired):+.2g}",
                "sd over seeds, float32": f"{statistics.stdev(by['float32']):.2g}",
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--architecture", choices=SETTINGS, nargs="*", default=["mnist", "svhn"])
    parser.add_argument("--batch", type=int, help="default: 200 and 64 on a CPU, 2000 on a GPU")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=3, help="of the comparison of precisions")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="write chain.md and chain.json there")
    options = parser.parse_args()
    on_cuda = resolve_device(options.device).type == "cuda"
    rows = []
    for architecture in options.architecture:
        usual = 2000 if on_cuda else BATCH[architecture]
        rows += chain_rows(architecture, options.batch or usual, options.repeats, options.device)
    tables = {
        "Chains of "
        f"{STEPS['cuda' if on_cuda else 'cpu']} steps; ratios to the first row of each decoder, "
        f"medians of {options.repeats} turns.": rows,
        **agreement(options.seeds, options.device),
    }
    if not on_cuda:
        tables["The same on a GPU."] = [{"contender": "not measured", "why": "no GPU here"}]
    publish("chain", "The short-run chain", tables, options.out, options.device)


if __name__ == "__main__":
    main()
