"""Speed of learning: a decoder update and an epoch of a VAE, against what people use today.

    python benchmarks/learning.py [--out DIR]

An update is forward, backward to the weights, and Adam's step, on mean_i |x_i - g(z_i)|^2. The
plain loop has torch's own layers in float32 and ``torch.optim.Adam`` as it comes. Ratios are
medians over turns of one run; the contenders take turns, each in its own process.

The epoch is that of pythae's trainer (Chadebec, Vincent and Allassonniere, NeurIPS 2022), which is
given the suite's own networks, so that only what is around them differs: how images reach them,
loss, optimiser, what is computed in which precision. It is left out where pythae is not installed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from chain import SETTINGS, plain_decoder
from common import Worker, contender_rows, product_rate, publish, seconds, take_turns

from ltvm.doctor.agreement import method_on, random_images
from ltvm.methods.budget import Visit
from ltvm.methods.vae import VariationalAutoEncoder
from ltvm.runtime.devices import (
    bfloat16_is_native,
    keep_freed_memory,
    resolve_device,
    use_full_float32,
)

BATCHES = {"mnist": 200, "svhn": 64, "celeba": 8}  # on a CPU; 2,000 on a GPU
NOT_THERE = "left out: not installed (`pip install 'ltvm[bench]'`)"
EPOCH = {"cpu": 2_000, "cuda": 60_000}  # images


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
    what = {"decoder": architecture, "batch": str(batch)}
    return contender_rows(what, answers, "updates/s", 1, work)


def vae_on(
    device: str, images: int, batch: int, precision: str, *more: str
) -> VariationalAutoEncoder:
    data = random_images((1, 28, 28), images)
    chosen = [f"precision={precision}", f"protocol.batch={batch}", *more]
    method: VariationalAutoEncoder = method_on(device, "vae", "mnist", data, *chosen)
    return method


def epoch_contender(kind: str, images: int, batch: int, device_name: str) -> Callable[[], Any]:
    """Seconds of one epoch of a VAE and the matrix-product rate, whenever called."""
    device = resolve_device(device_name)
    use_full_float32()
    if kind.startswith("pythae"):
        precision, words = "float32", "float32"
        run = pythae_epoch(vae_on(device_name, images, batch, precision), batch)
    else:
        keep_freed_memory()
        precision = kind.split()[-1]
        method = vae_on(device_name, images, batch, precision)
        words = str(method.problem.execution)

        def run() -> None:
            method.mean_loss([method.learn(Visit(b, 0, False, b)) for b in method.batches(0)])

    return lambda: {
        "seconds": seconds(run, device),
        "words": words,
        "products": product_rate(precision, device),
    }


def pythae_epoch(method: VariationalAutoEncoder, batch: int) -> Callable[[], None]:
    """An epoch of pythae's trainer, on the images and networks of ``method``."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.network = method.encoder

        def forward(self, x: torch.Tensor) -> ModelOutput:
            mean, log_variance = self.network(x).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.network = method.decoder

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.network(z))

    images, d = method.problem.images, method.problem.latent_dim
    shape = tuple(images.shape)
    model = VAE(VAEConfig(input_dim=shape, latent_dim=d), encoder=Encoder(), decoder=Decoder())
    training = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, num_epochs=1,
        optimizer_cls="Adam", optimizer_params={"betas": (0.5, 0.99)},
        no_cuda=method.problem.device.type == "cpu",
    )  # fmt: skip
    given = BaseDataset(images.scaled().cpu(), torch.zeros(len(images)))
    trainer = BaseTrainer(model, train_dataset=given, training_config=training)
    trainer.prepare_training()

    def run() -> None:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):  # its bar
            trainer.train_step(epoch=1)

    return run


def epoch_rows(images: int, batch: int, repeats: int, device: str) -> list[dict[str, Any]]:
    kinds = ["the suite, float32"]
    if bfloat16_is_native(resolve_device(device)):
        kinds.append("the suite, bfloat16")
    there = importlib.util.find_spec("pythae") is not None
    if there:
        kinds.insert(0, f"pythae {importlib.metadata.version('pythae')}")
    answers = take_turns(
        {kind: Worker(epoch_contender, kind, images, batch, device) for kind in kinds}, repeats
    )
    what = {"images": f"{images:,}", "batch": str(batch)}
    counted = vae_on("cpu", 2, 2, "float32", "execution.products=torch")  # without a trial
    work = images * counted.price.flops
    rows = contender_rows(what, answers, "epochs/s", 1, work)
    if not there:
        rows.append({**what, "contender": "pythae", "computed in": NOT_THERE})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--architecture", choices=SETTINGS, nargs="*", default=["mnist", "svhn"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--epoch-images", type=int, help="default: 2,000 on a CPU, 60,000 on a GPU")
    parser.add_argument("--epoch-batch", type=int, default=100)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="write learning.md and learning.json there")
    options = parser.parse_args()
    on_cuda = resolve_device(options.device).type == "cuda"
    images = options.epoch_images or EPOCH["cuda" if on_cuda else "cpu"]
    rows = []
    for architecture in options.architecture:
        batch = 2000 if on_cuda else BATCHES[architecture]
        rows += update_rows(architecture, batch, options.repeats, options.device)
    tables = {
        "Decoder updates; ratios to the first row of each decoder, "
        f"medians of {options.repeats} turns.": rows,
        "An epoch of a VAE with the networks of MNIST; ratios to the first row, medians of "
        f"{options.repeats} turns.": epoch_rows(
            images, min(options.epoch_batch, images), options.repeats, options.device
        ),
    }
    if not on_cuda:
        tables["The same on a GPU."] = [{"contender": "not measured", "why": "no GPU here"}]
    publish("learning", "Learning", tables, options.out, options.device)


if __name__ == "__main__":
    main()
