"""Features of data on disk: the same bits, made once, bounded, and never a damaged file."""

import os
import subprocess
import sys
import time

import pytest
import torch

from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.metrics.features import cache
from ltvm.metrics.features.base import Extractor
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.generation.frechet import FrechetDistance

CPU = torch.device("cpu")


class Pixels(Extractor):
    """The first pixels of an image; counts what it is asked for."""

    name = feature_name = "pixels"
    title, resize, checksum, batch, dimension, device = "pixels", "none", "0" * 64, 10, 16, CPU
    asked, scale = 0, 1.0

    def __call__(self, images):
        self.asked += len(images)
        return images.flatten(1)[:, : self.dimension].double() * self.scale


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LTVM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("LTVM_CACHE_LIMIT_GB", raising=False)


def features(images, extractor):
    """As a new process has them: nothing is in memory."""
    return FrechetDistance(extractor).of_data(images, Context(0, CPU)).matrix()


def files():
    return sorted(cache.folder().glob("*.f32"))


def test_the_second_time_reads(tiny):
    extractor = Pixels()
    first, second = features(tiny.train, extractor), features(tiny.train, extractor)
    assert torch.equal(first, second)
    assert torch.equal(first, tiny.train.images.flatten(1)[:, :16].float())
    assert extractor.asked == 40
    assert len(files()) == 1
    assert cache.cache_size() == 40 * 16 * 4 + cache.DIGEST
    features(tiny.test, extractor)
    assert extractor.asked == 52
    assert len(files()) == 2


def test_values_are_the_same_with_and_without(tiny, monkeypatch):
    metric = FrechetDistance(DigitFeatures())
    kept = [metric.floor(tiny, Context(0, CPU)) for _ in range(2)]
    assert len(files()) == 2
    monkeypatch.setenv("LTVM_CACHE_LIMIT_GB", "0")
    assert cache.clear() > 0
    without = metric.floor(tiny, Context(0, CPU))
    assert cache.cache_size() == 0
    values = {found["fd_digits_floor"].value for found in (*kept, without)}
    assert len(values) == 1


@pytest.mark.parametrize("damage", ["truncated", "a flipped bit", "empty"])
def test_a_damaged_file_is_made_again(tiny, damage):
    extractor = Pixels()
    whole = features(tiny.train, extractor)
    (file,) = files()
    content = bytearray(file.read_bytes())
    if damage == "a flipped bit":
        content[1000] ^= 1
    file.write_bytes({"truncated": content[:-1], "empty": b""}.get(damage, content))
    assert torch.equal(features(tiny.train, extractor), whole)
    assert extractor.asked == 80
    features(tiny.train, extractor)
    assert extractor.asked == 80


def test_the_key_is_all_that_the_numbers_depend_on(tiny):
    usual = cache.provenance_of(tiny.train, Pixels())
    assert {"data", "split", "n", "extractor", "checksum", "dimension", "resize", "batch", "device",
            "dtype", "torch", "source"} <= set(usual)  # fmt: skip
    other = Pixels()
    other.checksum = "1" * 64
    features(tiny.train, Pixels())
    features(tiny.train, other)
    assert len(files()) == 2
    assert cache.provenance_of(tiny.train, DigitFeatures())["source"] != usual["source"]


def test_the_least_recently_used_go_first(tiny, monkeypatch):
    size = 40 * 16 * 4 + cache.DIGEST
    monkeypatch.setenv("LTVM_CACHE_LIMIT_GB", repr(2.5 * size / 2**30))
    made = []
    for checksum in "abc":
        extractor = Pixels()
        extractor.checksum = checksum
        before = set(files())
        features(tiny.train, extractor)
        made.append(extractor)
        (new,) = set(files()) - before
        if checksum in "ab":  # time passes
            os.utime(new, (time.time() - {"a": 100, "b": 50}[checksum],) * 2)
        if checksum == "b":
            features(tiny.train, made[0])  # a is used again, b is now the oldest
    assert cache.cache_size() == 2 * size
    for extractor in (made[0], made[2]):
        features(tiny.train, extractor)
        assert extractor.asked == 40
    features(tiny.train, made[1])
    assert made[1].asked == 80


def test_large_sets_are_not_kept(tiny, monkeypatch):
    monkeypatch.setattr(cache, "LARGEST", 100)
    features(tiny.train, Pixels())
    assert cache.cache_size() == 0


def test_what_float32_cannot_hold_is_not_kept(tiny):
    extractor = Pixels()
    extractor.scale = 1 / 3
    found = FrechetDistance(extractor).of_data(tiny.train, Context(0, CPU))
    expected = tiny.train.images.flatten(1)[:, :16].double() / 3
    torch.testing.assert_close(torch.cat(list(found)), expected, rtol=1e-15, atol=0)
    assert cache.cache_size() == 0


def test_a_folder_that_cannot_be_written_is_said(tiny, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LTVM_CACHE_DIR", str(tmp_path / "file"))
    assert features(tiny.train, Pixels()).shape == (40, 16)
    assert "features cannot be kept" in capsys.readouterr().err


def test_clear_empties(tiny):
    assert cache.clear() == 0
    features(tiny.train, Pixels())
    taken = cache.cache_size()
    assert cache.clear() == taken > 0
    assert cache.cache_size() == 0
    assert not list(cache.folder().iterdir())


def test_a_limit_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("LTVM_CACHE_LIMIT_GB", "much")
    with pytest.raises(InputError, match="LTVM_CACHE_LIMIT_GB=much: allowed: a number"):
        cache.cache_limit()


PROCESS = """
import time, torch
from ltvm.metrics.features.cache import kept_batches
def make():
    print("made")
    time.sleep(1)
    yield torch.arange(6.0).view(3, 2).double()
about = {"n": 3, "dimension": 2}
print(torch.cat(list(kept_batches(about, make))).sum().item())
"""


def test_of_several_processes_one_makes_them():
    command = [sys.executable, "-c", PROCESS]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].split() for process in running]
    assert sorted(said, key=len) == [["15.0"], ["made", "15.0"]]
