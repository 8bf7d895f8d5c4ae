"""Rows from other frameworks: folders of images with a card, beside rows that are trained here."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from small_networks import SMALL

import ltvm
from ltvm.cli.main import main
from ltvm.config import resolve
from ltvm.data import DataSet, ImageSet
from ltvm.data.cache import load_data
from ltvm.errors import InputError
from ltvm.metrics.base import Context, Made
from ltvm.metrics.generation.copying import Copying
from ltvm.metrics.generation.frechet import FrechetDistance
from ltvm.metrics.images.reconstruction import Reconstruction
from ltvm.runs.ablations.external import read_cards
from ltvm.runs.afterwards.external_scores import read_images, read_made
from ltvm.runs.execution.build import build_metrics

TINY = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", *SMALL,
]  # fmt: skip
CARD = {"name": "my_gan", "label": "My GAN", "source": "https://example.org/gan", "data": "mnist5k",
        "split": "train", "n": 44, "cost": {"flops": 1e12, "device": "one A100"}}  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config():
    return resolve(["data=mnist5k", "method=vae", *TINY])


def write(folder, images, mode="L"):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):  # not padded: 10.png comes before 2.png by name
        Image.fromarray(image[0].numpy()).convert(mode).save(folder / f"{number}.png")


def write_card(folder, **changes):
    card = {key: value for key, value in (CARD | changes).items() if value is not None}
    (folder / "card.yaml").write_text(yaml.safe_dump(card))


@pytest.fixture
def gan(tmp_path, config):
    """44 samples, for 40 training images, and reconstructions of the 12 test images."""
    data, folder = load_data(config), tmp_path / "gan"
    write(folder / "samples", ImageSet.chosen(data.train, torch.arange(40)).images)
    for number in range(40, 44):
        shutil.copy(folder / "samples" / "0.png", folder / "samples" / f"{number}.png")
    write(folder / "reconstructions", data.test.images, "RGB")  # grey all the same
    write_card(folder)
    return folder


def test_its_values_are_those_of_the_metrics_of_the_other_rows(config, gan):
    data, context = load_data(config), Context(0, CPU)
    metrics = build_metrics(config, CPU)
    samples = read_images(gan / "samples", data.train, 44, "44")
    rebuilt = read_images(gan / "reconstructions", data.test, 12, "12")
    assert torch.equal(rebuilt.images, data.test.images)  # 2.png before 10.png, grey as stored
    values = metrics["frechet"].of_made(Made(samples), data, context)
    chosen = ImageSet("", "", samples.images[torch.linspace(0, 43, 40).round().long()])
    metric = FrechetDistance(metrics["frechet"].extractor)
    expected = metric.compare(metric.of_images(chosen, context), data.train, context)
    assert values["fd_digits"].value == expected["fd_digits"].value
    assert values["fd_digits"].provenance["n"] == 40
    with pytest.raises(InputError, match=r"samples=12: allowed: 40 or more"):
        metrics["frechet"].of_made(Made(rebuilt), data, context)


def test_copies_from_elsewhere_are_seen_to(config, gan):
    data, context = load_data(config), Context(0, CPU)
    metric = Copying(build_metrics(config, CPU)["frechet"].extractor)
    samples = read_images(gan / "samples", data.train, 44, "44")  # training images
    values = metric.of_made(Made(samples), data, context)
    assert values["farther_than_unseen_digits"].value == 0
    assert values["farther_than_unseen_digits"].provenance["n_real"] == 12


def as_array(folder, kind, suffix, change=lambda images: images):
    """The images of a folder as one array in its place."""
    with Image.open(folder / kind / "0.png") as first:
        channels = len(first.getbands())
    n = len(list((folder / kind).iterdir()))
    files = [folder / kind / f"{number}.png" for number in range(n)]
    pixels = np.stack([np.asarray(Image.open(file)).reshape(28, 28, channels) for file in files])
    values = change(pixels)
    if suffix == ".pt":
        torch.save(torch.from_numpy(np.ascontiguousarray(values)), folder / f"{kind}{suffix}")
    else:
        {".npy": np.save, ".npz": np.savez}[suffix](folder / f"{kind}{suffix}", values)
    shutil.rmtree(folder / kind)


def to_zero_one(pixels):
    return (pixels / 255).astype(np.float32)


def to_channels_first(pixels):
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float64) / 127.5 - 1


FORMS = [
    (".npy", lambda pixels: pixels, None), (".npz", lambda pixels: pixels[..., 0], None),
    (".npy", to_zero_one, [0, 1]), (".pt", to_channels_first, [-1, 1]),
    (".pt", lambda pixels: pixels.transpose(0, 3, 1, 2), None),
]  # fmt: skip


def test_an_array_has_the_very_values_of_the_same_images_as_files(config, gan):
    data, context = load_data(config), Context(0, CPU)
    metrics = build_metrics(config, CPU).values()

    def scored(folder):
        (card,) = read_cards([str(folder)], [config])
        made = read_made(card, card.seeds[0], data)
        own = [metric.of_made(made, data, context) for metric in metrics]
        values = {name: one.value for found in own for name, one in found.items()}
        return made.samples.fingerprint, made.reconstructions.fingerprint, values

    expected = scored(gan)
    assert {"fd_digits", "mse_test"} <= expected[2].keys()
    for number, (suffix, change, span) in enumerate(FORMS):
        folder = shutil.copytree(gan, gan.parent / f"gan{number}")
        write_card(folder, range=span)
        as_array(folder, "samples", suffix, change)
        as_array(folder, "reconstructions", ".npy")  # grey, stored as colour
        assert scored(folder) == expected, suffix


def test_a_reconstruction_error_is_of_the_images_that_other_rows_have(tiny):
    metric = Reconstruction(test_images=5, quality=True)
    noisy = tiny.test.images.clone()
    noisy[::2] = 255 - noisy[::2]
    made = Made(tiny.train, ImageSet("mine", "external", noisy))
    chosen = tiny.test.subset(5)
    index = [int((tiny.test.images == one).flatten(1).all(1).nonzero()) for one in chosen.images]
    error = (noisy[index].double() - chosen.images.double()).square().mean() / 127.5**2
    values = metric.of_made(made, DataSet(tiny.train, tiny.test), Context(0, CPU))
    assert set(values) == {"mse_test", "psnr_test", "ssim_test"}
    assert values["mse_test"].value == pytest.approx(float(error), rel=1e-6)
    assert metric.of_made(Made(tiny.train), tiny, Context(0, CPU)) == {}


@pytest.fixture
def compared(gan, monkeypatch):
    """A table, without figures, of a VAE and two trainings from elsewhere."""
    for seed in (0, 1):
        write(gan / f"seed={seed}" / "samples",
              torch.randint(0, 255, (44, 1, 28, 28), dtype=torch.uint8))  # fmt: skip
        shutil.copytree(gan / "reconstructions", gan / f"seed={seed}" / "reconstructions")
    shutil.rmtree(gan / "samples")
    as_array(gan / "seed=1", "samples", ".npy")  # each as it comes
    monkeypatch.setattr("ltvm.report.page.write.draw", lambda *_: [])
    command = ["compare", "methods=[vae]", f"external=[{gan}]", "seeds=[0]", *TINY]
    assert main(command) == 0
    (folder,) = Path(os.environ["LTVM_REPORTS"]).iterdir()
    return command, folder


def test_it_joins_tables_pages_and_pictures_marked_as_external(compared, gan, capsys, tmp_path):
    command, folder = compared
    results = Path(os.environ["LTVM_RESULTS"])
    table = pd.read_csv(folder / "headline.csv").set_index("cell")
    assert list(table.index) == ["VAE", "My GAN (external)"]
    assert float(table.loc["My GAN (external)", "MSE, unseen images ↓"].split()[0]) == 0
    page = (folder / "README.md").read_text()
    assert "My GAN (external): https://example.org/gan; 44 images; cost as its card says" in page
    assert "nothing of it is tested" in page
    assert "My GAN (external)" in (folder / "index.html").read_text()
    long = pd.read_csv(folder / "long.csv")
    marked = long[long["external"].notna()]
    assert set(marked["method"]) == {"my_gan"}
    assert set(marked["seed"]) == {0, 1}
    assert len(list((results / "runs/mnist5k/my_gan").rglob("samples.png"))) == 2
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*.json")}
    assert main(command) == 0  # nothing to train, nothing to score
    assert before == {path: path.stat().st_mtime_ns for path in results.rglob("*.json")}

    shutil.rmtree(gan)
    name = folder.name
    assert main(["export", name, "--to", str(tmp_path / "all.tar.gz")]) == 0
    other = tmp_path / "elsewhere"
    assert main(["import", str(tmp_path / "all.tar.gz"), "--results", str(other)]) == 0
    again = ltvm.make_report(name, other, tmp_path / "again")
    assert (again / "headline.csv").read_text() == (folder / "headline.csv").read_text()
    every = ltvm.long_table(results)
    assert "method.label" not in every  # a row without a configuration makes no key vary
    (run,) = results.glob("runs/mnist5k/my_gan/*/seed=0")
    capsys.readouterr()
    assert main(["evaluate", str(run), "evaluation=digits"]) == 2
    assert "an external row is images" in capsys.readouterr().err


def test_the_card_of_the_tutorial_is_one(gan, config):
    text = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
    card = re.search(r"```yaml\n(name: my_gan.*?)```", text, re.DOTALL)[1]
    (gan / "card.yaml").write_text(card)
    (read,) = read_cards([str(gan)], [config])
    assert read.cost == {"flops": 3.1e12, "seconds": 95, "device": "one A100"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n": None}, "missing=n: allowed: all of name, source"),
        ({"colour": "red"}, "key=colour: allowed: name, source"),
        ({"name": "vae"}, "name=vae: allowed: one that no method"),
        ({"name": "../out"}, "allowed: 1 to 200 bytes without slashes"),
        ({"name": "a b"}, "name=a b: allowed: 1 to 60 letters"),
        ({"data": "svhn"}, "data=svhn: allowed: mnist5k"),
        ({"split": "test"}, "split=test: allowed: train"),
        ({"n": 1}, "n=1: allowed: 2 to"),
        ({"n": True}, "n=True: allowed: 2 to"),
        ({"range": [0, 255]}, "range=[0, 255]: allowed: [0, 1] or [-1, 1]"),
        ({"range": "0 to 1"}, "range=0 to 1: allowed: [0, 1] or [-1, 1]"),
        ({"source": "a\nb"}, "source='a"),
        ({"label": "a|b"}, "label=a|b: allowed"),
        ({"cost": {"euros": 3}}, "cost=euros: allowed: flops"),
        ({"cost": {"flops": -1}}, "cost.flops=-1: allowed"),
        ({"cost": {"flops": "many"}}, "cost.flops=many: allowed"),
    ],
)
def test_bad_cards(gan, config, changes, words):
    write_card(gan, **changes)
    with pytest.raises(InputError) as error:
        read_cards([str(gan)], [config])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def no_folder(gan):
    shutil.rmtree(gan)


def no_card(gan):
    (gan / "card.yaml").unlink()


def pipe_for_a_card(gan):
    (gan / "card.yaml").unlink()
    os.mkfifo(gan / "card.yaml")


def card_from_outside(gan):
    (gan / "card.yaml").rename(gan.parent / "secret.yaml")
    (gan / "card.yaml").symlink_to(gan.parent / "secret.yaml")


def card_that_executes(gan):
    (gan / "card.yaml").write_text("!!python/object/apply:os.system ['touch here']")


def samples_and_seeds(gan):
    (gan / "seed=0").mkdir()


def seed_twice(gan):
    shutil.rmtree(gan / "samples")
    for name in ("seed=1", "seed=01"):
        (gan / name).mkdir()


def fewer(gan):
    (gan / "samples" / "3.png").unlink()


def fewer_reconstructions(gan):
    (gan / "reconstructions" / "3.png").unlink()


def another_size(gan):
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(gan / "samples" / "3.png")


def colour(gan):
    pixels = np.zeros((28, 28, 3), np.uint8)
    pixels[:, :, 0] = 200
    Image.fromarray(pixels).save(gan / "samples" / "3.png")


def no_picture(gan):
    (gan / "samples" / "3.png").write_bytes(b"no picture")


def bomb(gan):
    Image.new("1", (5_000, 5_000)).save(gan / "samples" / "3.png")


def pipe(gan):
    (gan / "samples" / "3.png").unlink()
    os.mkfifo(gan / "samples" / "3.png")


def link_out(gan):
    shutil.move(gan / "samples", gan.parent / "others")
    (gan / "samples").symlink_to(gan.parent / "others")


def constant(gan):
    for file in (gan / "samples").iterdir():
        shutil.copy(gan / "samples" / "0.png", file.with_suffix(".copy"))
    for file in (gan / "samples").glob("*.copy"):
        file.replace(file.with_suffix(".png"))


def no_samples(gan):
    shutil.rmtree(gan / "samples")


def a_folder_and_an_array(gan):
    (gan / "samples.npy").touch()


def two_arrays(gan):
    (gan / "reconstructions").rename(gan / "others")
    for name in ("reconstructions.pt", "reconstructions.npz"):
        (gan / name).touch()


def an_array_and_seeds(gan):
    as_array(gan, "samples", ".npy")
    (gan / "seed=0").mkdir()


def floats_alone(gan):
    as_array(gan, "samples", ".npy", to_zero_one)


def fewer_in_an_array(gan):
    as_array(gan, "samples", ".npy", lambda pixels: pixels[:-1])


def fewer_rebuilt_in_an_array(gan):
    as_array(gan, "reconstructions", ".pt", lambda pixels: pixels[:-1])


def smaller_in_an_array(gan):
    as_array(gan, "samples", ".npy", lambda pixels: pixels[:, ::2, ::2])


def constant_in_an_array(gan):
    as_array(gan, "samples", ".npy", np.zeros_like)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_folder, "a folder with card.yaml and samples/"),
        (no_card, "a folder with a file card.yaml"),
        (pipe_for_a_card, "a folder with a file card.yaml"),
        (card_from_outside, "a link that leads out of the folder"),
        (card_that_executes, "cannot be read"),
        (samples_and_seeds, "samples/, or seed=N/samples/"),
        (seed_twice, "every seed once"),
        (fewer, "images=43: allowed: 44, the card's n"),
        (fewer_reconstructions, "images=11: allowed: 12, of every test image"),
        (another_size, "3.png=32x32: allowed: 28x28, as in mnist5k"),
        (colour, "3.png=colour: allowed: grey, as in mnist5k"),
        (no_picture, "3.png: no image that can be read"),
        (bomb, "3.png: 5000x5000 pixels"),
        (pipe, "3.png: no regular file"),
        (link_out, "a folder, no link"),
        (constant, "all 44 are the same image"),
        (no_samples, "no samples; allowed: one of samples/, samples.npy, samples.npz, samples.pt"),
        (a_folder_and_an_array, "images=samples and samples.npy: allowed: one of these"),
        (two_arrays, "images=reconstructions.npz and reconstructions.pt: allowed: one"),
        (an_array_and_seeds, "samples/, or seed=N/samples/"),
        (floats_alone, "values=float32: allowed: uint8, or floats with a line in card.yaml"),
        (fewer_in_an_array, "images=43: allowed: 44, the card's n"),
        (fewer_rebuilt_in_an_array, "images=11: allowed: 12, of every test image"),
        (smaller_in_an_array, "shape=(44, 14, 14, 1): allowed: (n, 28, 28), (n, 1, 28, 28)"),
        (constant_in_an_array, "all 44 are the same image"),
    ],
)
def test_a_bad_folder_is_named(gan, config, damage, words):
    def read():
        (card,) = read_cards([str(gan)], [config])
        return [read_made(card, folder, load_data(config)) for folder in card.seeds.values()]

    assert len(read()) == 1
    damage(gan)
    with pytest.raises(InputError) as error:
        read()
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_it_is_named_before_anything_is_written(gan, capsys):
    fewer(gan)
    assert main(["compare", "methods=[vae]", f"external=[{gan}]", "seeds=[0]", *TINY]) == 2
    told = capsys.readouterr().err
    assert "images=43: allowed: 44, the card's n" in told
    assert len(told.strip().splitlines()) == 1
    assert not list(Path(os.environ["LTVM_RESULTS"]).rglob("*.json"))


def test_two_of_one_name_and_an_ablation_of_several_evaluations(gan, config):
    with pytest.raises(InputError, match="one that no method and no other card has"):
        read_cards([str(gan), str(gan)], [config])
    fewer = resolve(["data=mnist5k", "method=vae", *TINY, "protocol.train_images=44"])
    with pytest.raises(InputError, match="2 sets of real images or evaluations on mnist5k"):
        read_cards([str(gan)], [config, fewer])
