"""A trained method whose images are not here: it samples and infers as it does beside them."""

import json
from pathlib import Path

import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file
from small_networks import small

import ltvm
from ltvm.cli.main import main
from ltvm.config import choices
from ltvm.data import cache
from ltvm.data.folder import write_images
from ltvm.errors import InputError
from ltvm.runs.execution.trained import HEADER, trained_on


@pytest.fixture
def train(tmp_path, monkeypatch, tiny):
    """Trains a method on a folder; returns the run's directory."""
    monkeypatch.setattr(cache, "_loaded", {})
    write_images(tiny.train, tmp_path / "images")

    def do(method):
        record = ltvm.train([
            "data=folder", f"data.load.path={tmp_path / 'images'}", "data.load.size=28",
            "data.load.channels=1", "data.latent_dim=5", "decoder=mnist", "evaluation=none",
            "protocol=smoke", "protocol.train_images=null", "protocol.test_images=null",
            "protocol.batch=18", "protocol.evaluation.unseen_images=2", "precision=float32",
            "protocol.evaluation.codes=20", "device=cpu", *small(method),
        ])  # fmt: skip
        assert record["status"] == "done", record["reason"]
        return Path(record["directory"])

    return do


@pytest.fixture
def hide(tmp_path):
    """Takes the images away, as on another machine."""

    def do():
        (tmp_path / "images").rename(tmp_path / "away")
        cache._loaded.clear()

    return do


def draws():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", choices("method"))
def test_it_samples_and_infers_as_beside_its_images(name, train, hide, tiny):
    directory = train(name)
    before = ltvm.load(directory)
    hide()
    method = ltvm.load(directory)
    assert torch.equal(method.sample(3, draws()), before.sample(3, draws()))
    unseen = tiny.test.scaled()[:3]
    assert torch.equal(method.infer(unseen, draws()), before.infer(unseen, draws()))
    assert torch.equal(method.codes, before.codes)
    assert method.passes == before.passes


def test_what_needs_the_images_says_that_they_are_not_here(train, hide, capsys):
    directory = train("short_run_ot")
    hide()
    method = ltvm.load(directory)
    assert (len(method.problem.images), method.problem.images.shape) == (36, (1, 28, 28))
    with pytest.raises(InputError, match=r"data\.load\.path=.*no such directory"):
        method.problem.images.scaled()
    with pytest.raises(InputError, match="no such directory"):
        method.fit_iteration()
    assert main(["evaluate", str(directory), "evaluation=latents"]) == 2
    assert "no such directory" in capsys.readouterr().err


def rewritten(file, change):
    """The file with another header; its checksum in the record is then another one, too."""
    with safetensors.safe_open(file, framework="pt") as opened:
        about = json.loads(opened.metadata()[HEADER])
    change(about)
    save_file(load_file(file), file, {HEADER: json.dumps(about)})


def test_weights_of_before_shapes_were_kept_need_their_images(train, hide):
    directory = train("vae")
    hide()
    file = directory / "final.safetensors"
    assert trained_on(file) == (36, 1, 28, 28)
    rewritten(file, lambda about: about.pop("shape"))
    assert trained_on(file) is None
    with pytest.raises(InputError, match="no such directory"):
        ltvm.load(directory)


@pytest.mark.parametrize(
    "shape", [[10**12, 1, 28, 28], [], "x", [36, 1, 28], [36, 1, 10**9, 5], [36, 1, 10**6, 10**6]]
)
def test_a_made_up_shape_is_refused(train, hide, shape):
    directory = train("vae")
    hide()
    rewritten(directory / "final.safetensors", lambda about: about.update(shape=shape))
    with pytest.raises(InputError, match="cannot be read|allowed: "):
        ltvm.load(directory)
