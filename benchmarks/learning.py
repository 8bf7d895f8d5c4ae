"""Speed of a decoder update, against the loop that people write today.

    python benchmarks/learning.py [--out DIR]

An update is forward, backward to the weights, and Adam's step, on mean_i |x_i - g(z_i)|^2. The
plain loop has torch's own layers in float32 and ``torch.optim.Adam`` as it comes. Ratios are
medians over turns of one run; the contenders take turns, each in its own process.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from chain import SETTINGS, plain_decoder, product_rate, ratio_range, seconds
from common import Worker, publish, ratio, take_turns

from ltvm.doctor.agreement import method_on, random_images
from ltvm.runtime.devices import (
    bfloat16_is_native,
    keep_freed_memory,
    resolve_device,
    use_full_float32,
)

BATCHES = {"mnist": 200, "svhn": 64, "celeba": 8}  # on a CPU; 2,000 on a GPU


def contender(kind: str, architecture: str, batch: int, device_name: str) -> Callable[[], Any]:
    """Seconds of one update and the matrix-product rate, whenever called."""
    device = resolve_device(device_name)
    channels, size, d = SETTINGS[architecture]
    use_full_float32()  # of all contenders: TF32 is not float32
    images = torch.rand(batch, channels, size, size, device=device) * 2 - 1
    codes = torch.randn(batch, d, device=device)
    if kind == "plain loop":
        decoder, precision, words = plain_decoder(architecture).to(device), "float32", "float32"
        optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-4, betas=(0.5, 0.99))

        def run() -> None:
            loss = (images - decoder(codes)).square().flatten(1).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    else:
        keep_freed_memory()
        precision = kind.split()[-1]
        data = random_images((channels, size, size), batch)
        chosen = f"precision={precision}"
        method = method_on(device_name, "abp", architecture, data, chosen)
        words = str(method.problem.execution)

        def run() -> None:
            method.update_decoder(images, codes)

    def timed() -> dict[str, Any]:
        spent = statistics.median(seconds(run, device) for _ in range(3))
        return {"seconds": spent, "words": words, "products": product_rate(precision, device)}

    return timed


def update_rows(architecture: str, batch: int, repeats: int, device: str) -> list[dict[str, Any]]:
    kinds = ["plain loop", "the suite, float32"]
    if bfloat16_is_native(resolve_device(device)):
        kinds.append("the suite, bfloat16")
    answers = take_turns(
        {kind: Worker(contender, kind, architecture, batch, device) for kind in kinds}, repeats
    )
    channels, size, _ = SETTINGS[architecture]
    data = random_images((channels, size, size), 2)
    work = batch * method_on("cpu", "abp", architecture, data).problem.flops.update
    first = [answer["seconds"] for answer in answers[kinds[0]]]
    rows = []
    for kind, given in answers.items():
        spent = [answer["seconds"] for answer in given]
        rate = work / statistics.median(spent)
        share = rate / statistics.median(answer["products"] for answer in given)
        rows.append(
            {
                "decoder": architecture,
                "batch": str(batch),
                "contender": kind,
                "computed in": given[-1]["words"],
                "updates/s": f"{1 / statistics.median(spent):.2f}",
                "ratio": f"{ratio(first, spent):.2f}",
                "range of ratios": "{:.2f} to {:.2f}".format(*ratio_range(first, spent)),
                "share of matrix-product rate": f"{share:.0%}",
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--architecture", choices=SETTINGS, nargs="*", default=["mnist", "svhn"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="write learning.md and learning.json there")
    options = parser.parse_args()
    on_cuda = resolve_device(options.device).type == "cuda"
    rows = []
    for architecture in options.architecture:
        batch = 2000 if on_cuda else BATCHES[architecture]
        rows += update_rows(architecture, batch, options.repeats, options.device)
    tables = {
        "Decoder updates; ratios to the first row of each decoder, "
        f"medians of {options.repeats} turns.": rows
    }
    if not on_cuda:
        tables["The same on a GPU."] = [{"contender": "not measured", "why": "no GPU here"}]
    publish("learning", "A decoder update", tables, options.out, options.device)


if __name__ == "__main__":
    main()
