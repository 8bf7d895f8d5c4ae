"""Image-steps per second of the short-run chain: what the CPU layers and bfloat16 bring.

    python benchmarks/chain.py

Prints one table; every ratio is to the first row, measured in the same run (medians of
several repeats). Timings on shared machines are noisy: read ratios, not seconds.
"""

from __future__ import annotations

import argparse
import statistics as stats
import time

import torch
from torch import nn

from ltvm.decoders import ARCHITECTURES, PatchTransposedConv, build_decoder
from ltvm.devices import describe, resolve_device
from ltvm.langevin import short_run
from ltvm.randomness import stream


def with_plain_layers(decoder: nn.Module) -> nn.Module:
    """Replace our patch layers by torch's transposed convolutions, weights kept."""
    for index, layer in enumerate(decoder):
        if isinstance(layer, PatchTransposedConv):
            plain = nn.ConvTranspose2d(
                layer.in_channels, layer.out_channels, layer.kernel_size, stride=layer.stride
            )
            plain.load_state_dict(layer.state_dict())
            decoder[index] = plain
    return decoder


def seconds(decoder: nn.Module, batch: int, steps: int, dtype: torch.dtype | None, device) -> float:
    channels = 1 if decoder[-2].out_channels == 1 else 3
    codes = torch.randn(batch, decoder[0].in_features, device=device)
    size = decoder(codes[:2]).shape[-1]
    images = torch.rand(batch, channels, size, size, device=device) * 2 - 1
    noise = stream(0, "benchmark", device=device)
    started = time.perf_counter()
    short_run(
        decoder, images, codes, steps=steps, eta=1e-3, tau=0.03, sigma=0.3, generator=noise,
        dtype=dtype,
    )  # fmt: skip
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", choices=ARCHITECTURES, default="mnist")
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = resolve_device(options.device)
    channels, d = (1, 30) if options.architecture == "mnist" else (3, 64)

    def decoder() -> nn.Module:
        return build_decoder(options.architecture, d, channels).to(device)

    rows = [
        ("torch layers, float32", with_plain_layers(decoder()).to(device), None),
        ("our layers, float32", decoder(), None),
        ("our layers, bfloat16", decoder(), torch.bfloat16),
    ]
    print(f"{options.architecture}, batch {options.batch}, {describe(device)}")
    times: dict[str, list[float]] = {name: [] for name, _, _ in rows}
    for repeat in range(options.repeats + 1):  # the first warms up
        for name, network, dtype in rows:
            spent = seconds(network, options.batch, options.steps, dtype, device)
            if repeat:
                times[name].append(spent)
    first = stats.median(times[rows[0][0]])
    for name, spent in times.items():
        median = stats.median(spent)
        rate = options.batch * options.steps / median
        print(f"{name:<24} {rate:>10,.0f} image-steps/s {first / median:>6.2f}x")


if __name__ == "__main__":
    main()
