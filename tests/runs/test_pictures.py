"""Pictures of a trained run: what they show, what they say of it, and that they touch nothing."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import geometric_slerp
from sklearn.neighbors import NearestNeighbors
from small_networks import SMALL

import ltvm
from ltvm.cli.main import main
from ltvm.data import DataSet, ImageSet
from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.runs.execution import pictures
from ltvm.runs.execution.pictures import grid, nearest, save_nearest, spherical
from ltvm.runs.files.store import PICTURES, SAMPLED, Store
from ltvm.runtime.files import read_json, sha256_of
from ltvm.runtime.images import FACTS

pytestmark = pytest.mark.usefixtures("unrendered")

FEW = [
    "protocol=smoke", "protocol.iterations=1", "protocol.train_images=40", "method=vae",
    "protocol.test_images=12", "protocol.batch=20", "protocol.evaluation.unseen_images=4",
    "protocol.evaluation.codes=40", "precision=float32", "evaluation=none",
    "execution.products=torch", "execution.layout=contiguous", *SMALL,  # as no trial decides
]  # fmt: skip


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_nearest_images_are_those_of_another_library(tiny, monkeypatch):
    monkeypatch.setattr(pictures, "BLOCK", 7 * 28 * 28)  # seven training images at once
    index, distances = nearest(tiny.test.images, tiny.train.images)
    flat = [s.scaled().flatten(1).double().numpy() for s in (tiny.train, tiny.test)]
    expected, found = NearestNeighbors(n_neighbors=1).fit(flat[0]).kneighbors(flat[1])
    assert index.tolist() == found[:, 0].tolist()
    assert distances.numpy() == pytest.approx(expected[:, 0] ** 2 / 28**2, rel=1e-6)
    index, distances = nearest(tiny.train.images[[3, 31]], tiny.train.images)
    assert (index.tolist(), distances.tolist()) == ([3, 31], [0, 0])


def test_a_generator_that_copies_is_seen_to(tiny, tmp_path):
    class Copier:
        def sample(self, n, _):
            return tiny.train.scaled(torch.arange(n) % len(tiny.train))

    context = Context(0, torch.device("cpu"))
    save_nearest(tmp_path / "nearest.png", Copier(), tiny, context)
    picture = Image.open(tmp_path / "nearest.png")
    facts = json.loads(picture.info[FACTS])
    assert facts["train"] == 40
    assert facts["samples"] == [0] * 60
    assert len(facts["unseen"]) == 12
    assert min(facts["unseen"]) > 0.5  # independent uniform pixels: 2/3
    assert np.mean(facts["unseen"]) == pytest.approx(2 / 3, abs=0.1)
    pixels = np.asarray(picture)
    for band in (0, 1):  # a sample, and below it the image that it copies
        top = 2 + band * (2 * 30 + 4)
        assert (pixels[top : top + 28] == pixels[top + 30 : top + 58]).all()
    top = 2 + 2 * (2 * 30 + 4)
    assert (pixels[top : top + 28, 2:30] == tiny.test.images[0, 0].numpy()).all()
    assert (pixels[top + 28 : top + 30] == 255).all()


def test_paths_between_codes_are_arcs():
    first, last = (
        torch.nn.functional.normalize(draw(3, 5, seed=s).double(), dim=1) for s in (1, 2)
    )
    found = spherical(first, last, 7)
    for a, b, path in zip(first, last, found, strict=True):
        expected = geometric_slerp(a.numpy(), b.numpy(), np.linspace(0, 1, 7))
        assert path.numpy() == pytest.approx(expected, abs=1e-6)
    first, last = draw(2, 64, seed=3), 2 * draw(2, 64, seed=4)  # of other lengths
    found = spherical(first, last, 5)
    torch.testing.assert_close(found[:, 0], first)
    torch.testing.assert_close(found[:, -1], last)
    norms = found.norm(dim=2)
    assert (norms[:, 2] > 0.9 * norms[:, 0]).all()  # a straight line's middle would be within
    line = spherical(first, -3 * first, 3)[:, 1]
    torch.testing.assert_close(line, -first)


def test_bands_are_set_apart():
    rows = torch.zeros(4, 3, 1, 5, 5, dtype=torch.uint8)
    assert grid(rows).shape == (1, 4 * 7 + 2, 3 * 7 + 2)
    parted = grid(rows, band=2)
    assert parted.shape == (1, 4 * 7 + 2 + 4, 3 * 7 + 2)
    assert (parted[0, 14:20] == 255).all()
    assert (parted == 0).sum() == rows.numel()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The directory of a run, with an evaluation of another sampler."""
    results = tmp_path_factory.mktemp("pictures")
    ltvm.train([*FEW, f"paths.results={results}"])
    (run,) = Store(results).runs()
    ltvm.evaluate_runs([run.directory], ["evaluation=digits_samples", "sampler=gaussian"])
    return run


def test_pictures_that_are_absent_are_made_again_and_nothing_else(trained, capsys):
    files = {kind: trained.picture(kind) for kind in PICTURES}
    kept = {f: sha256_of(f) for f in trained.directory.rglob("*") if f.is_file()}
    assert set(files.values()) <= set(kept)
    for kind in ("samples", "nearest", "interpolations"):
        files[kind].unlink()
    files["reconstructions"].write_bytes(b"damaged")
    assert main(["pictures", str(trained.directory)]) == 0
    assert (
        "samples.png, reconstructions.png, nearest.png, interpolations.png"
        in capsys.readouterr().out
    )
    assert {f: sha256_of(f) for f in kept} == kept
    assert ltvm.make_pictures([trained.directory]) == {str(trained.directory): []}


def test_each_run_that_can_gets_its_pictures_and_the_answer_has_what_was_made(
    trained, tmp_path, capsys, monkeypatch
):
    run = trained
    (run.directory / "samples.png").unlink()
    words = ["pictures", str(tmp_path / "none"), str(run.directory), str(run.directory), "--json"]
    assert main(words) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {str(run.directory): ["samples.png"]}
    assert "none" in printed.err
    assert main(["pictures", str(tmp_path / "none"), "--json"]) == 2
    assert capsys.readouterr().out == ""  # nothing was done

    def interrupted(directories, *_):
        if directories == ["b"]:
            raise KeyboardInterrupt
        return {directories[0]: []}

    monkeypatch.setattr("ltvm.api.make_pictures", interrupted)
    assert main(["pictures", "a", "b", "c", "--json"]) == 130
    assert json.loads(capsys.readouterr().out) == {"a": []}


def test_the_numbers_of_a_run_do_not_depend_on_its_pictures(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("ltvm.runs.execution.execute.save_pictures", lambda *_: None)
    ltvm.train([*FEW, f"paths.results={tmp_path}"])
    (other,) = Store(tmp_path).runs()
    assert not other.picture("nearest").exists()
    assert other.record()["final_sha256"] == trained.record()["final_sha256"]
    chosen = ["evaluation=digits_samples", "sampler=gaussian"]
    monkeypatch.setattr("ltvm.runs.execution.evaluate.save_sampled", lambda *_: None)
    ltvm.evaluate_runs([other.directory], chosen)
    first, second = (
        [read_json(run.evaluation_file(name))["values"] for name in run.evaluation_names()]
        for run in (trained, other)
    )
    assert first == second


def test_a_sampler_has_its_own(trained):
    chosen = ["evaluation=digits_samples", "sampler=gaussian"]
    identity = next(n for n, e in trained.evaluations().items() if e["sampler"])
    own = [trained.evaluation_picture(identity, kind) for kind in SAMPLED]
    sums = [sha256_of(file) for file in own]
    for file in own:
        file.unlink()
    (made,) = ltvm.make_pictures([trained.directory], chosen).values()
    assert made == [f"evaluations/{identity}.png", f"evaluations/{identity}-nearest.png"]
    assert [sha256_of(file) for file in own] == sums
    assert sums[1] != sha256_of(trained.picture("nearest"))


def test_what_has_no_pictures_is_refused(trained, tmp_path, capsys):
    with pytest.raises(InputError, match="sampler=flow.* is not done; `ltvm evaluate` does it"):
        ltvm.make_pictures([trained.directory], ["evaluation=digits_samples", "sampler=flow"])
    with pytest.raises(InputError, match="allowed: sampler=NAME"):
        ltvm.make_pictures([trained.directory], ["evaluation=digits"])
    with pytest.raises(InputError, match=r"run=.*: allowed: the directory of a run that was"):
        ltvm.make_pictures([tmp_path])
    with pytest.raises(InputError, match=r"run=.*seed=\*: allowed: the directory of a run"):
        ltvm.make_pictures([tmp_path / "runs" / "seed=*"])  # a pattern that fits none
    assert main(["pictures", "sampler=flow"]) == 2
    assert "allowed: RUN..." in capsys.readouterr().err


def test_few_images_make_narrow_pictures(tmp_path):
    images = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)
    data = DataSet(ImageSet("few", "train", images[:2]), ImageSet("few", "test", images[2:]))

    class Linear:
        codes = draw(2, 4)

        def sample(self, n, generator):
            return self.decode(self.draw_codes(n, generator))

        def draw_codes(self, n, generator):
            return torch.randn(n, 4, generator=generator)

        def infer(self, given, _):
            return given.flatten(1)[:, :4]

        def reconstruct(self, given, _):
            return given

        def decode(self, codes):
            return codes[:, :1, None, None].expand(-1, 1, 28, 28).tanh()

    pictures.save_pictures(tmp_path, Linear(), data, Context(0, torch.device("cpu")))
    sizes = {kind: Image.open(tmp_path / f"{kind}.png").size for kind in PICTURES}
    assert sizes["nearest"] == (3 * 30 + 2, 6 * 30 + 2 + 8)
    assert sizes["interpolations"][0] == 302
