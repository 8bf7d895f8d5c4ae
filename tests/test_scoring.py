"""``ltvm evaluate`` and ``ltvm metric-parity`` on folders of images and on runs."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from small_networks import SMALL

import ltvm
from ltvm.cli.main import main
from ltvm.data import ImageSet, mnist5k
from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.generation.feature_metric import FeatureMetric
from ltvm.metrics.generation.frechet import FrechetDistance
from ltvm.runs.places import PLACES
from ltvm.runtime.files import read_json
from ltvm.scoring import Request, samples_of_run

CPU = torch.device("cpu")


def write(folder, images, mode="L"):
    folder.mkdir()
    for i, image in enumerate(images):
        pixels = image.permute(1, 2, 0).squeeze(2).numpy()
        Image.fromarray(pixels).convert(mode).save(folder / f"{i:05d}.png")
    return folder


@pytest.fixture(scope="module")
def digits():
    return mnist5k.load()


@pytest.fixture
def folder(tmp_path, digits):
    return write(tmp_path / "digits", digits.test.images[:120])


def test_a_folder_gets_the_values_of_its_images(folder, digits):
    values = ltvm.evaluate(folder, "mnist5k")
    assert list(values) == [
        "fd_digits", "fd_digits_infinity", "fd_digits_error", "kid_digits", "kid_digits_sd",
        "precision_digits", "recall_digits", "density_digits", "coverage_digits",
    ]  # fmt: skip
    metric, context = FrechetDistance(DigitFeatures()), Context(0, CPU)
    images = ImageSet("digits", "all", digits.test.images[:120])
    expected = metric.compare(metric.of_images(images, context), digits.train, context)
    assert values["fd_digits"]["value"] == expected["fd_digits"].value
    assert values["fd_digits"]["n"] == 120
    assert values["fd_digits"]["column"]["title"] == "FD, digit features"
    assert values["fd_digits"]["column"]["direction"] == "lower"
    assert values["fd_digits"]["reference"] == "mnist5k"
    assert values["fd_digits"]["data"] == digits.train.fingerprint
    assert values["fd_digits"]["images"] == images.fingerprint


def test_two_folders(tmp_path, folder, digits):
    other = write(tmp_path / "other", digits.train.images[:100])
    values = ltvm.evaluate(folder, other)
    assert (values["fd_digits"]["n"], values["fd_digits"]["n_real"]) == (120, 100)
    same = ltvm.evaluate(folder, folder)
    assert same["fd_digits"]["value"] == pytest.approx(0, abs=1e-6)
    assert same["coverage_digits"]["value"] == 1


OWN_METRIC = """
from ltvm.plugin import Column, FeatureMetric, Measurement


class Spread(FeatureMetric):
    key = "spread"

    def __init__(self, extractor, samples=None, times=1.0):
        super().__init__(extractor, samples)
        self.times = times

    def columns(self):
        return {"spread": Column("spread", "standard deviation", "generation")}

    def compare(self, generated, real, context):
        value = self.times * float(generated.matrix().std())
        return {"spread": Measurement(value, self.provenance(generated.n, len(real), real))}
"""


def test_a_folder_is_scored_by_the_metrics_of_an_evaluation_of_ones_own(
    capsys, folder, digits, tmp_path, monkeypatch
):
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "mine/evaluation").mkdir(parents=True)
    (tmp_path / "mine/own_spread.py").write_text(OWN_METRIC)
    (tmp_path / "mine/evaluation/spreads.yaml").write_text(
        "defaults: [digits]\nname: spreads\nmetrics:\n"
        "  spread: {_target_: own_spread.Spread, times: 2.0}\n"
    )
    given = ["--metrics", "spreads", "--config-dir", str(tmp_path / "mine")]
    assert main(["evaluate", str(folder), "mnist5k", *given, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert set(values) == {"fd_digits", "spread"}  # of digits: what is not on features is left out
    features = DigitFeatures()(digits.test.images[:120])
    assert values["spread"]["value"] == pytest.approx(2 * float(features.std()), rel=1e-6)
    assert values["spread"]["n"] == 120
    usual = ltvm.evaluate(folder, "mnist5k")["fd_digits"]["value"]
    assert values["fd_digits"]["value"] == pytest.approx(usual)


def test_a_folder_is_held_against_unseen_images_of_a_data_set(digits, tmp_path, monkeypatch):
    copied = write(tmp_path / "copies", digits.train.subset(100).images)
    folder = write(tmp_path / "fresh", digits.test.subset(100).images)
    share, distance = "farther_than_unseen_digits", "fd_digits_to_unseen"
    chosen = {"metrics": "digits_copying"}
    copies, fresh = (ltvm.evaluate(images, "mnist5k", **chosen) for images in (copied, folder))
    assert copies[share]["value"] == 0
    assert 0.4 < fresh[share]["value"] < 0.6
    assert fresh[distance]["value"] < copies[distance]["value"]
    assert fresh[share]["n_train"] == 4000
    monkeypatch.delattr(FeatureMetric, "of_images")  # it is refused before anything is measured
    with pytest.raises(InputError, match="no unseen images beside .*/copies"):
        ltvm.evaluate(folder, copied, **chosen)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digit", "--metrics=digit: allowed: .*did you mean digits"),
        ("none", "--metrics=none: allowed: an evaluation with metrics on features"),
    ],
)
def test_an_evaluation_without_metrics_on_features_scores_no_folder(folder, name, words):
    with pytest.raises(InputError, match=words):
        ltvm.evaluate(folder, "mnist5k", metrics=name)


def test_evaluate_prints(capsys, folder):
    assert main(["evaluate", str(folder), "mnist5k", "--json"]) == 0
    printed = capsys.readouterr()
    for word in ("fd_digits ", "kid_digits_sd", "coverage_digits", "checksum", "none (28x28 only)"):
        assert word in printed.err
    assert json.loads(printed.out)["fd_digits"]["n"] == 120


def test_fewer_images_than_features_warn(capsys, tmp_path, digits):
    few = write(tmp_path / "few", digits.test.images[:40])
    assert main(["evaluate", str(few)]) == 0
    assert "warning: fd_digits: 40 generated images for 64 features" in capsys.readouterr().err


def test_parity_of_a_folder_on_digit_features(capsys, folder):
    assert main(["metric-parity", str(folder), "mnist5k", "--json"]) == 0
    printed = capsys.readouterr()
    table = printed.err
    for word in ("ltvm", "torch-fidelity", "truncating cast", "ratio", "checksum", "reference"):
        assert word in table
    written = json.loads(printed.out)
    assert written["provenance"]["n"] == 120
    assert written["rows"][0]["convention"] == "ltvm"


def test_a_run_reproduces_the_number_of_its_record(capsys):
    record = ltvm.train([
        "protocol=smoke", "protocol.train_images=90", "protocol.test_images=12",
        "protocol.batch=30", "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40",
        "protocol.evaluation.samples=80", "method=vae", "device=cpu", "seed=2", *SMALL,
    ])  # fmt: skip
    (directory,) = Path(os.environ["LTVM_RESULTS"]).rglob("seed=2")
    values = ltvm.evaluate(directory, device="cpu")
    assert values["fd_digits"]["value"] == record["metrics"]["fd_digits"]["value"]
    assert values["fd_digits"]["n"] == 80
    parity = ltvm.metric_parity(directory, device="cpu").set_index("convention")
    assert parity.loc["torch-fidelity", "ratio"] == pytest.approx(1, rel=1e-3)
    assert parity.loc["truncating cast", "ratio"] != 1  # the floats of the model are at hand
    assert values["fd_digits"]["status"] == "done"
    assert "warning" not in values["kid_digits"]
    for text, words in (
        (None, "holds runs; allowed: one of them"),
        ("", "is not a configuration"),
        ("a: [", "config.yaml cannot be read"),
        ("device: cpu", "is not the configuration that its record was made with"),
    ):
        if text is not None:
            (directory / "config.yaml").write_text(text)
        with pytest.raises(InputError, match=words):
            ltvm.evaluate(directory if text is not None else directory.parent)
    with pytest.raises(InputError, match="--channels=1: allowed: nothing with a run"):
        ltvm.evaluate(directory, channels=1)


def test_a_run_is_scored_beside_the_images_that_are_here(tmp_path, monkeypatch):
    """A committed record names the usual place of images, and no other machine's."""
    asked = []

    def load(config):
        asked.append(config["data"]["load"]["root"])
        raise InputError("enough")

    usual = {"paths": {"data": PLACES["data"]}, "data": {"load": {"root": PLACES["data"]}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(usual))
    monkeypatch.setenv("LTVM_DATA_ROOT", "/here")
    monkeypatch.setattr("ltvm.runs.execution.load.load_method", lambda *_: None)
    monkeypatch.setattr("ltvm.scoring.load_data", load)
    with pytest.raises(InputError, match="enough"):
        samples_of_run(tmp_path, Request(str(tmp_path)))
    assert asked == ["/here"]


def test_a_run_that_is_not_done_says_so(capsys):
    ltvm.train([
        "protocol=smoke", "protocol.train_images=90", "protocol.test_images=12",
        "protocol.batch=30", "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40",
        "protocol.evaluation.samples=80", "method=vae", "device=cpu", "seed=3", *SMALL,
    ])  # fmt: skip
    (directory,) = Path(os.environ["LTVM_RESULTS"]).rglob("seed=3")
    record = read_json(directory / "record.json")
    (directory / "record.json").write_text(json.dumps(record | {"status": "interrupted"}))
    assert main(["evaluate", str(directory)]) == 0
    assert "the run is interrupted, at iteration 2" in capsys.readouterr().err


@pytest.fixture
def run_of(tmp_path):
    """Trains a VAE for a moment; returns its directory."""

    def train(*overrides):
        record = ltvm.train([
            "protocol=smoke", "protocol.train_images=90", "protocol.test_images=12",
            "protocol.batch=30", "protocol.evaluation.unseen_images=4", "method=vae", "device=cpu",
            "protocol.evaluation.codes=40", "protocol.evaluation.samples=50", *SMALL, *overrides,
        ])  # fmt: skip
        return record["directory"]

    return train


def test_a_run_is_held_against_its_own_unseen_images(run_of):
    values = ltvm.evaluate(run_of(), metrics="digits_copying")
    assert values["farther_than_unseen_digits"]["n_real"] == 12
    assert values["farther_than_unseen_digits"]["n_train"] == 90


def test_a_trial_has_no_unseen_images_left(run_of):
    trial = run_of("validation_images=20")
    with pytest.raises(InputError, match="allowed: a data set by its name, runs with a test split"):
        ltvm.evaluate(trial, metrics="digits_copying")


def test_a_name_is_the_data_set_and_a_path_the_directory(folder, tmp_path, monkeypatch, digits):
    write(tmp_path / "mnist5k", digits.test.images[:50])
    monkeypatch.chdir(tmp_path)
    assert ltvm.evaluate(folder, "mnist5k")["kid_digits"]["n_real"] == 4000
    assert ltvm.evaluate(folder, "./mnist5k")["kid_digits"]["n_real"] == 50


def test_both_sets_the_same_is_remarked(folder):
    values = ltvm.evaluate(folder, folder)
    assert all("both sets are the same images" in v["warning"] for v in values.values())
    assert "same images" in ltvm.metric_parity(folder, folder).attrs["provenance"]["warning"]


def test_an_extractor_of_ones_own_by_its_import_path(tmp_path, folder, monkeypatch, capsys):
    (tmp_path / "outside_features.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(tmp_path)
    values = ltvm.evaluate(folder, "mnist5k", extractor="outside_features.Corners", dimension=5)
    assert values["fd_corners"]["column"]["title"] == "FD, corner pixels"
    assert values["fd_corners"]["dimension"] == 5
    command = ["metric-parity", str(folder), "mnist5k", "--extractor", "outside_features.Corners"]
    assert main(command) == 0
    assert "truncating cast" in capsys.readouterr().out
    assert main([*command, "--weights", "x.pt"]) == 2
    assert "takes other parameters" in capsys.readouterr().err


OUTSIDE = """
from ltvm.metrics.features.base import Extractor

class Corners(Extractor):
    name = feature_name = "corners"
    title, checksum, resize, batch = "corner pixels", "0" * 64, "none", 100

    def __init__(self, device, dimension=4):
        self.device, self.dimension = device, dimension

    def __call__(self, images):
        start = 28 * 14 + 10
        return images.flatten(1)[:, start : start + self.dimension].double()
"""


def test_inception_of_a_folder(tmp_path, real_data, digits, capsys):
    weights = real_data / "features" / "inception_v3_2015_to_mixed8_fp32.npz"
    splits = {"a": digits.test.images, "b": digits.train.images}
    sets = [write(tmp_path / name, images[:9], "RGB") for name, images in splits.items()]
    folded = {"extractor": "inception_folded", "dimension": 64, "weights": str(weights)}
    options = [word for key, value in folded.items() for word in (f"--{key}", str(value))]
    command = ["metric-parity", *map(str, sets), *options]
    assert main(command) == 0
    table = capsys.readouterr().out
    for word in ("torchmetrics, default", "pytorch-fid style", "clean-fid style", "torch-fidelity"):
        assert word in table
    values = ltvm.evaluate(*sets, **folded)
    assert "fid_inception64" in values
    assert values["fid_inception64"]["n"] == 9


@pytest.mark.parametrize("command", ["evaluate", "metric-parity"])
def test_refused(capsys, tmp_path, folder, digits, command, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    colour = write(tmp_path / "colour", digits.test.images[:10], "RGB")
    large = write(tmp_path / "large", torch.zeros(10, 1, 32, 32, dtype=torch.uint8))
    blank = write(tmp_path / "blank", torch.zeros(10, 1, 28, 28, dtype=torch.uint8))
    mixed = write(tmp_path / "mixed", digits.test.images[:10])
    Image.new("L", (30, 30)).save(mixed / "x.png")
    three = write(tmp_path / "three", digits.test.images[:5])
    both, flat, deep, glass, moving, tiff, cut = (
        write(tmp_path / name, digits.test.images[:10])
        for name in ("both", "flat", "deep", "glass", "moving", "tiff", "cut")
    )
    Image.new("RGB", (28, 28), (255, 0, 0)).save(both / "x.png")
    for file in flat.iterdir():
        Image.new("L", (30, 28)).save(file)
    Image.new("I;16", (28, 28)).save(deep / "00000.png")
    sixteen_bits = Image.open(deep / "00000.png").mode  # I;16, or I before Pillow 10.3
    Image.new("LA", (28, 28), (9, 7)).save(glass / "00000.png")
    frames = [Image.new("RGB", (28, 28), (shade, 0, 0)) for shade in (0, 255)]
    frames[0].save(moving / "x.webp", save_all=True, append_images=frames[1:], lossless=True)
    Image.new("L", (28, 28)).save(tiff / "x.tif")
    (cut / "00000.png").write_bytes((cut / "00001.png").read_bytes()[:60])
    for arguments, words in (
        (["/nonexistent"], "no such directory"),
        ([folder, "lsun"], "lsun: allowed: a directory of images, or one of celeba"),
        ([colour], "3x28x28: allowed: 1x28x28, as in mnist5k"),
        ([large], "1x32x32: allowed: 1x28x28"),
        ([blank], "all 10 are the same image"),
        ([mixed], "28x28 (10 files), 30x30 (1 files: x.png); allowed: one size"),
        ([three], "5 images found; allowed: 8 or more files"),
        (
            [folder, "--extractor", "vgg"],
            "--extractor=vgg: allowed: digits, inception, inception_folded, or an import",
        ),
        ([folder, "--extractor", "inception"], "weights absent"),
        ([folder, "--channels", "2"], "--channels=2: allowed: 1 or 3"),
        ([folder, "--samples", "20"], "--samples=20: allowed: nothing with a folder"),
        ([folder, "--samples", "0"], "--samples=0: allowed: 8 to 100,000"),
        ([folder, "--seed", "-1"], "--seed=-1: allowed: integers from 0"),
        ([folder, "--dimension", "64"], "--dimension=64: allowed: nothing with extractor digits"),
        ([folder, ""], "against='': allowed: a path"),
        ([folder, "folder"], "against=folder: allowed: a directory of images, or"),
        ([""], "images='': allowed: a path"),
        ([both], "grey (00000.png, ...) and colour images (x.png, ...)"),
        ([flat], "images of 30x28; allowed: square ones"),
        ([deep], f"00000.png: pixels of mode {sixteen_bits}; allowed: 8 bits"),
        ([glass], "00000.png: transparent pixels; allowed: opaque ones"),
        ([moving], "x.webp: several frames; allowed: one"),
        ([tiff], "1 files like x.tif; allowed: 8 or more files"),
        ([cut], "00000.png: no image that can be read"),
        ([folder, "--device", "tpu"], "device=tpu"),
    ):
        assert main([command, *map(str, arguments)]) == 2, arguments
        message = capsys.readouterr().err
        assert words in message
        assert len(message.strip().splitlines()) <= 2


def test_channels_make_colour_grey(tmp_path, digits):
    colour = write(tmp_path / "colour", digits.test.images[:90], "RGB")
    grey = write(tmp_path / "grey", digits.test.images[:90])
    values = [ltvm.evaluate(f, channels=1)["fd_digits"]["value"] for f in (colour, grey)]
    assert values[0] == values[1]
    with pytest.raises(InputError, match="3x28x28"):
        ltvm.evaluate(colour)
