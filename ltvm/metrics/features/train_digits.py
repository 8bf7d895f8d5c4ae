"""Train the digit classifier whose features the Frechet distance on MNIST uses.

    python -m ltvm.metrics.features.train_digits --data-root ~/.cache/ltvm

Takes about five minutes on two CPU cores. Prints the test accuracy and the checksum;
both are written into ``digits.py`` by hand, so that a change of weights is a reviewed
change of code. Training again on another machine gives an equivalent but not a
bit-identical network: the shipped file is the reference.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torchvision.datasets import MNIST

from ltvm.metrics.features.digits import WEIGHTS, DigitClassifier, save_weights

EPOCHS, BATCH, PEAK_RATE, SHIFT = 12, 200, 3e-3, 2


def shifted(images: torch.Tensor) -> torch.Tensor:
    """Shift each batch by up to SHIFT pixels each way (the only augmentation)."""
    rows, columns = torch.randint(-SHIFT, SHIFT + 1, (2,)).tolist()
    return torch.roll(images, (rows, columns), (2, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()

    torch.manual_seed(0)
    train = MNIST(arguments.data_root / "mnist", train=True, download=True)
    test = MNIST(arguments.data_root / "mnist", train=False, download=True)
    images, labels = train.data[:, None].float() / 255, train.targets
    network = DigitClassifier()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        network.train()
        for index in torch.randperm(len(images)).split(BATCH):
            loss = F.cross_entropy(network(shifted(images[index])), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            hits = network(test.data[:, None].float() / 255).argmax(1) == test.targets
        print(f"epoch {epoch + 1}/{EPOCHS}: test accuracy {hits.float().mean():.4f}", flush=True)
    checksum = save_weights(network, arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes, SHA-256 {checksum}")


if __name__ == "__main__":
    main()
