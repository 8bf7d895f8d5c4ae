"""MNIST with one digit left out of training: the anomalous class is known.

Training never sees it; the test split keeps all ten digits.
"""

from __future__ import annotations

from dataclasses import replace

from ltvm.data import mnist, mnist5k
from ltvm.data.image_set import DataSet
from ltvm.errors import require


def load_mnist(root: str, digit: int) -> DataSet:
    """MNIST in full (see ``ltvm.data.mnist``) without ``digit`` in its training split."""
    return without(mnist.load(root), digit)


def load_mnist5k(digit: int) -> DataSet:
    """The bundled digits (see ``ltvm.data.mnist5k``) without ``digit`` in their training split."""
    return without(mnist5k.load(), digit)


def without(data: DataSet, digit: int) -> DataSet:
    """Leave a class out of the training split; raises ``InputError`` if there is none such."""
    labels = data.train.labels
    present = [] if labels is None else labels.unique().tolist()
    require(digit in present, "data.load.digit", digit, ", ".join(map(str, present)))
    assert labels is not None
    kept = labels != digit
    name = f"{data.train.name} without {digit}"
    train = replace(data.train, name=name, images=data.train.images[kept], labels=labels[kept])
    return DataSet(train, replace(data.test, name=name))
