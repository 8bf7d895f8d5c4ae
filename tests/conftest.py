"""Fixtures: a results directory of its own for every test, and real data where there is some."""

import gc
import os
from pathlib import Path

import pytest
import torch

from ltvm.data import DataSet, ImageSet
from ltvm.runtime.files import sha256_of

torch.set_num_threads(min(2, torch.get_num_threads()))


def pytest_collection_finish(session):
    """What is imported stays: collections, such as every run begins with, need not look at it."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config):
    gc.unfreeze()  # for extensions that look for leaks at the end


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory):
    """Where plans are kept, so that each is measured once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_directories(tmp_path, monkeypatch, session_cache):
    """Records, reports and data of a test stay below its temporary directory."""
    monkeypatch.setenv("LTVM_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("LTVM_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("LTVM_DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("LTVM_CACHE_DIR", str(session_cache))
    monkeypatch.setenv("LTVM_CONFIG_DIRS", "")  # and what a test adds is gone after it
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))


@pytest.fixture
def unrendered(monkeypatch):
    """Figures are made, but neither laid out nor drawn: for tests of what stands beside them."""
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
    monkeypatch.setattr(Figure, "tight_layout", lambda *_, **__: None)
    monkeypatch.setattr(Figure, "get_tightbbox", lambda *_, **__: Bbox.unit())


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without figures, which take half of their time: for tests of runs."""
    monkeypatch.setattr("ltvm.report.page.write.draw", lambda *_: [])


@pytest.fixture
def tiny():
    """Random images, 40 to train and 12 to test, 28x28x1."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (52, 1, 28, 28), generator=draw, dtype=torch.uint8)
    return DataSet(ImageSet("tiny", "train", images[:40]), ImageSet("tiny", "test", images[40:]))


@pytest.fixture(scope="session")
def real_data():
    """A folder with real images: ``LTVM_TEST_DATA``, or ``../shared/data`` beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LTVM_TEST_DATA", beside))
    if not (folder / "mnist").is_dir():
        pytest.skip(f"no real data at {folder} (set LTVM_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def random_inception(tmp_path_factory):
    """An Inception weights file with random weights, and its checksum."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.manual_seed(0)
    network = FeatureExtractorInceptionV3.__new__(FeatureExtractorInceptionV3)
    original = FeatureExtractorInceptionV3.load_state_dict
    FeatureExtractorInceptionV3.load_state_dict = lambda self, state, **_: None
    try:
        torch.save({}, path)
        network.__init__("random", ["64"], feature_extractor_weights_path=str(path))
    finally:
        FeatureExtractorInceptionV3.load_state_dict = original
    torch.save(network.state_dict(), path)
    return str(path), sha256_of(path)
