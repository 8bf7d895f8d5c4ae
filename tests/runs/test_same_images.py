"""Runs of a folder are those of its images, not of its name alone."""

import numpy as np
import pytest
from PIL import Image

import ltvm
from ltvm.config import resolve
from ltvm.data import cache
from ltvm.errors import InputError
from ltvm.runs.execution.same_images import check_images
from ltvm.runs.files.store import Store
from ltvm.runs.identity import evaluation_identity


def fill(folder, seed):
    folder.mkdir(exist_ok=True)
    draw = np.random.default_rng(seed)
    for number in range(20):
        pixels = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A done run of a folder, without the training; its overrides."""
    fill(tmp_path / "images", 0)
    monkeypatch.setattr(cache, "_loaded", {})
    given = [
        "data=folder", f"data.load.path={tmp_path / 'images'}", "data.load.size=8",
        "evaluation=none", "protocol.train_images=null", "protocol.test_images=null",
        f"paths.results={tmp_path / 'results'}", "method=vae",
    ]  # fmt: skip
    config = resolve(given)
    run, prints = Store(tmp_path / "results").run(config), cache.load_data(config).fingerprints
    run.write_config(config)
    run.write_record({"status": "done", "identity": "i", "fingerprints": prints})
    identity = evaluation_identity(config)
    run.write_evaluation({"status": "done", "identity": identity, "values": {}, "columns": {}})
    return given, run, config


def test_a_run_of_the_same_images_is_there(trained):
    given, run, config = trained
    check_images([(run, config)])
    assert ltvm.train(given)["status"] == "done"


def test_a_run_of_other_images_under_the_same_path_is_refused(trained, tmp_path, monkeypatch):
    given, _, _ = trained
    fill(tmp_path / "images", 1)
    monkeypatch.setattr(cache, "_loaded", {})  # as in another process
    with pytest.raises(InputError, match=r"data\.load\.path=.*holds other images than"):
        ltvm.train(given)
    swept = ["ablation=compare", "ablation.axes.method=[vae]", "ablation.seeds=[0]", *given[:-1]]
    swept += [f"paths.reports={tmp_path / 'reports'}"]
    with pytest.raises(InputError, match="holds other images than"):
        ltvm.ablate(swept)


@pytest.mark.parametrize("command", ["train", "ablate"])
def test_another_seed_on_other_images_is_refused_before_it_is_trained(
    trained, tmp_path, monkeypatch, command
):
    """It would stand in one row with the first."""
    given, run, _ = trained
    fill(tmp_path / "images", 1)
    monkeypatch.setattr(cache, "_loaded", {})
    overrides = [*given, "seed=1"]
    if command == "ablate":
        overrides = ["ablation=compare", "ablation.axes.method=[vae]", "ablation.seeds=[1]"]
        overrides += [*given[:-1], f"paths.reports={tmp_path / 'reports'}"]
    with pytest.raises(InputError, match=rf"holds other images than {run.directory} was"):
        getattr(ltvm, command)(overrides)
    assert not run.directory.with_name("seed=1").exists()


def test_a_folder_that_is_gone_contradicts_nothing(trained, tmp_path, monkeypatch):
    given, _, _ = trained
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    monkeypatch.setattr(cache, "_loaded", {})
    assert ltvm.train(given)["status"] == "done"
