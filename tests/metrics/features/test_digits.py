"""The digit extractor: what it reads, and what it refuses."""

import numpy as np
import pytest
import torch

from ltvm.config import resolve
from ltvm.data import mnist5k
from ltvm.errors import InputError
from ltvm.metrics.features.digits import CHECKSUM, TEST_ACCURACY, DigitFeatures


def test_the_digit_extractor_reads_digits():
    """Above 99 % on MNIST's test split is checked below where that split is at hand."""
    data = mnist5k.load()
    extractor = DigitFeatures()
    found = extractor(data.test.images)
    assert found.shape == (1000, extractor.dimension)
    assert found.dtype == torch.float64
    logits = extractor.network(data.test.images.float() / 255)
    assert (logits.argmax(1) == data.test.labels).float().mean() > 0.99
    torch.testing.assert_close(extractor(data.test.images[:7]), found[:7], rtol=1e-4, atol=1e-4)


def test_the_digit_extractor_has_its_stated_test_accuracy(real_data):
    import gzip

    raw = real_data / "mnist" / "MNIST" / "raw"
    packed = [
        (raw / f"t10k-{kind}-ubyte.gz").read_bytes() for kind in ("images-idx3", "labels-idx1")
    ]
    images = np.frombuffer(gzip.decompress(packed[0])[16:], np.uint8)
    labels = np.frombuffer(gzip.decompress(packed[1])[8:], np.uint8)
    images = torch.from_numpy(images.copy()).view(-1, 1, 28, 28)
    extractor = DigitFeatures()
    hits = [
        extractor.network(part.float() / 255).argmax(1) == torch.from_numpy(label.copy())
        for part, label in zip(images.split(2000), np.split(labels, 5), strict=True)
    ]
    accuracy = torch.cat(hits).float().mean().item()
    assert accuracy == pytest.approx(TEST_ACCURACY, abs=1e-4)
    assert accuracy >= 0.99


def test_the_digit_extractor_refuses_other_shapes_and_other_weights(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="1x28x28"):
        DigitFeatures()(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    from ltvm.metrics.features import digits

    cut = tmp_path / "digits.npz"
    cut.write_bytes(digits.WEIGHTS.read_bytes()[:1000])
    monkeypatch.setattr(digits, "WEIGHTS", cut)
    with pytest.raises(InputError, match="truncated"):
        DigitFeatures()
    assert cut.exists()


def test_strides_of_one_channel_change_nothing():
    images = mnist5k.load().test.images[:100]
    strided = images.as_strided(images.shape, (784, 1, 28, 1))
    assert strided.stride() != images.stride()
    assert torch.equal(DigitFeatures()(strided), DigitFeatures()(images))


def test_the_checksum_of_the_configuration_is_that_of_the_package():
    assert resolve(["evaluation=digits"])["evaluation"]["extractor"]["checksum"] == CHECKSUM
