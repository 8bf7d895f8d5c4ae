"""The Inception extractor against torch-fidelity, and its weights."""

import pytest
import torch

from ltvm.errors import InputError
from ltvm.metrics.features.inception import FILE, InceptionFeatures


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (3, 64)])
def test_inception_features_equal_torch_fidelity(random_inception, channels, size):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    weights, checksum = random_inception
    images = torch.randint(0, 256, (4, channels, size, size), dtype=torch.uint8)
    ours = InceptionFeatures(dimension=64, weights=weights, checksum=checksum)(images)
    theirs = FeatureExtractorInceptionV3("x", ["64"], feature_extractor_weights_path=weights).eval()
    (expected,) = theirs(images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours.float(), expected, rtol=1e-5, atol=1e-6)


def test_inception_weights_are_verified(random_inception, tmp_path):
    weights, _ = random_inception
    with pytest.raises(InputError, match="SHA-256"):
        InceptionFeatures(weights=weights)
    with pytest.raises(InputError, match="no file"):
        InceptionFeatures(weights=str(tmp_path / "absent.pth"))
    with pytest.raises(InputError, match="dimension=100"):
        InceptionFeatures(dimension=100, weights=weights)


def test_absent_weights_are_told_with_every_way_out(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("offline")

    monkeypatch.setenv("LTVM_DATA_ROOT", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(InputError) as absent:
        InceptionFeatures()
    for way in (
        str(tmp_path), "evaluation.extractor.weights=PATH", "evaluation=none",
        "of `ltvm evaluate FOLDER AGAINST`: --weights PATH",
    ):  # fmt: skip
        assert way in str(absent.value)


def test_a_partly_copied_file_is_to_be_deleted(tmp_path, monkeypatch):
    monkeypatch.setenv("LTVM_DATA_ROOT", str(tmp_path))
    (tmp_path / "inception").mkdir()
    (tmp_path / "inception" / FILE).write_bytes(b"the first part")
    with pytest.raises(
        InputError, match=r"truncated or another file.\.\nDelete it to have it down"
    ):
        InceptionFeatures()
    with pytest.raises(InputError, match=r"another file.\.\nCopy it again"):
        InceptionFeatures(weights=str(tmp_path / "inception" / FILE))


def test_absent_inception_weights_offline_say_file_place_and_size(monkeypatch):
    import urllib.error

    def offline(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(InputError, match=r"weights-inception.*91 MB.*inception") as caught:
        InceptionFeatures()
    assert len(str(caught.value).splitlines()) <= 2
