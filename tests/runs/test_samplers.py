"""Other samplers than a method's own prior: evaluations of a trained run, and rows of a table."""

import json
import re

import pandas as pd
import pytest
import torch
from small_networks import SMALL

import ltvm
from ltvm.cli.main import main
from ltvm.densities import Gaussian
from ltvm.errors import DivergedError, InputError, UnreadableError
from ltvm.report.interactive.contents import curves_of
from ltvm.report.interactive.pictures import pictures_of
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.ablations.manifest import read_manifest, write_manifest
from ltvm.runs.execution import execute
from ltvm.runs.files.store import SAMPLED, Store
from ltvm.runs.housekeeping.export import export
from ltvm.runs.housekeeping.merge import import_records
from ltvm.testing import check

pytestmark = pytest.mark.usefixtures("unrendered")

FEW = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.unseen_for_distance=4",
    "protocol.evaluation.codes=40", "precision=float32", *SMALL,
]  # fmt: skip
SAMPLERS = [
    "ablation=samplers", "ablation.axes.method=[vae]", "ablation.axes.sampler=[prior,gaussian]",
    "ablation.seeds=[0]", "ablation.reference=null", *FEW,
]  # fmt: skip
FD = "fd_digits"
OF_SAMPLES = {FD, f"{FD}_floor", f"{FD}_decoded", "prior_gap"}


@pytest.fixture
def trainings(monkeypatch):
    """The directories of runs that were really trained."""
    directories, original = [], execute.train

    def counting(config, running, command):
        directories.append(running.run.directory)
        return original(config, running, command)

    monkeypatch.setattr(execute, "train", counting)
    return directories


@pytest.fixture
def fits(monkeypatch):
    """The codes that Gaussians were fitted to."""
    codes, original = [], Gaussian.fit

    def keeping(self, given, generator):
        codes.append(given.clone())
        original(self, given, generator)

    monkeypatch.setattr(Gaussian, "fit", keeping)
    return codes


def the_run(tmp_path):
    (run,) = Store(tmp_path / "results").runs()
    return run


def values(record):
    return {name: content["value"] for name, content in record["metrics"].items()}


def test_another_sampler_is_another_evaluation_of_the_same_run(trainings, fits, tmp_path):
    own = ltvm.train([*FEW, "method=vae"])
    again = ltvm.train([*FEW, "method=vae", "sampler=gaussian"])
    run = the_run(tmp_path)
    assert len(trainings) == 1
    assert set(run.evaluations()) == {own["evaluation"], again["evaluation"]}
    assert set(values(again)) == OF_SAMPLES
    assert values(again)[FD] != values(own)[FD]
    for same in (f"{FD}_floor", f"{FD}_decoded"):
        assert values(again)[same] == values(own)[same]
    lacking = values(again)[FD] - values(again)[f"{FD}_decoded"]
    assert values(again)["prior_gap"] == pytest.approx(lacking)
    method = ltvm.load(run.directory)
    (fitted,) = fits
    assert torch.equal(fitted, method.posterior_draws())
    assert not torch.equal(fitted, method.codes)


def test_what_it_was_fitted_to_and_how_long_that_took_is_said(fits, tmp_path):
    chosen = [*FEW, "method=vae", "sampler=gaussian", "sampler.codes=final"]
    record = ltvm.train(chosen)
    run = the_run(tmp_path)
    assert torch.equal(fits[0], ltvm.load(run.directory).codes)
    content = json.loads(run.evaluation_file(record["evaluation"]).read_text())
    about = {"name": "gaussian", "codes": "final codes of training images", "n": 40, "found": {}}
    assert content["sampler"]["stated"] == about
    assert 0 < content["sampler"]["fit_seconds"] < content["seconds"]
    assert all(value["sampler"] == about for value in content["values"].values())
    assert all(run.evaluation_picture(record["evaluation"], kind).is_file() for kind in SAMPLED)


def test_evaluating_a_run_by_its_directory_is_what_follows_a_training(trainings, tmp_path, capsys):
    ltvm.train([*FEW, "method=abp", "sampler=gmm", "sampler.components=2"])
    directory = the_run(tmp_path).directory
    assert main(["evaluate", str(directory), "sampler=gmm", "sampler.components=2"]) == 0
    assert len(the_run(tmp_path).evaluations()) == 1  # done already
    assert main(["evaluate", str(directory), "evaluation=digits"]) == 0
    assert len(the_run(tmp_path).evaluations()) == 2  # the command's sampler is not taken over
    assert "mse_test" in capsys.readouterr().out
    given = ["sampler=gaussian"]
    (again,) = ltvm.evaluate_runs([directory], given).values()
    elsewhere = ltvm.train([*FEW, "method=abp", *given, f"paths.results={tmp_path / 'other'}"])
    assert elsewhere["metrics"] == again["metrics"]
    assert len(trainings) == 2
    with pytest.raises(InputError, match=r"method\.alpha=0\.1: allowed: .*sampler=\.\.\."):
        ltvm.evaluate_runs([directory], ["method.alpha=0.1"])


@pytest.mark.parametrize(
    ("given", "named"),
    [(["sampler=gmm", "evaluation=digits_thorough"], "sampler=gmm: allowed: prior, .*likelihood"),
     (["sampler=gmm", "evaluation=none"], "sampler=gmm: evaluation=none: allowed: one that"),
     (["sampler=gmm", "sampler.components=41"], r"sampler\.components=41: allowed: at most the 40"),
     (["sampler=gaussian", "sampler.codes=test"], r"sampler\.codes=test: allowed: draws, final"),
     (["sampler=gaussian", "sampler.name=x", "sampler._target_=torch.nn.Identity"],
      "allowed: a subclass of Dens")],
)  # fmt: skip
def test_what_no_sampler_can_do_is_refused_before_anything_is_trained(
    given, named, trainings, tmp_path
):
    with pytest.raises(InputError, match=named):
        ltvm.train([*FEW, *given])
    assert not trainings
    assert not Store(tmp_path / "results").runs()


def test_codes_without_a_density_end_the_evaluation_alone(monkeypatch, tmp_path):
    def fails(*_):
        raise DivergedError("all codes are the same: they have no density")

    monkeypatch.setattr(Gaussian, "fit", fails)
    record = ltvm.train([*FEW, "sampler=gaussian"])
    assert record["status"] == "diverged"
    assert record["reason"] == "all codes are the same: they have no density"
    assert the_run(tmp_path).status() == "done"
    (content,) = the_run(tmp_path).evaluations().values()
    about = {"name": "gaussian", "codes": "posterior draws of training images"}
    assert content["sampler"] == {"stated": about, "fit_seconds": None}
    assert len(ltvm.long_table(tmp_path / "results"))


def test_an_ablation_of_samplers_trains_each_method_once(trainings, tmp_path):
    folder = ltvm.ablate(
        ["ablation=samplers", "ablation.axes.method=[abp,vae]", "ablation.reference=abp",
         "ablation.axes.sampler=[prior,gaussian,gmm]", "ablation.seeds=[0]", *FEW]
    ).folder  # fmt: skip
    assert len(trainings) == 2
    table = pd.read_csv(folder / "table.csv", dtype=str)
    rows = ["ABP", "ABP + Gaussian", "ABP + GMM", "VAE", "VAE + Gaussian", "VAE + GMM"]
    assert list(table["cell"]) == rows
    errors = next(column for column in table if column.startswith("MSE, unseen images"))
    assert [text == "-" for text in table[errors]] == [False, True, True] * 2
    differences = pd.read_csv(folder / "differences.csv", dtype=str)
    assert list(differences["cell"]) == rows[1:]  # all to ABP as it samples of itself
    costs = pd.read_csv(folder / "cost.csv", dtype=str)
    fit = next(column for column in costs if column.startswith("sampler's fit"))
    assert [text == "-" for text in costs[fit]] == [True, False, False] * 2
    page = (folder / "README.md").read_text()
    assert "by sampler" in page
    assert "| method   | prior" in page
    assert {f.stem for f in folder.glob("crossed-*.csv")} == {
        "crossed-fd-digit-features", "crossed-prior-gap-fd-digit-features"
    }  # fmt: skip
    assert "- GMM: fitted to 40 posterior draws of training images, components = 10" in page
    assert "no best is marked" not in page
    long = pd.read_parquet(folder / "long.parquet")
    assert set(long["sampler"]) == {"prior", "gaussian", "gmm"}
    manifest = read_manifest(tmp_path / "results" / "ablations" / f"{folder.name}.json")
    shown = pictures_of(manifest, long, tmp_path / "results")["of"]
    for kind, own in (("samples", len(rows)), ("nearest", len(rows)), ("reconstructions", 2)):
        assert len(shown[kind]) == len(rows)
        assert len(set(shown[kind].values())) == own, (
            kind
        )  # each sampler's own, or those of its run
    export(folder.name, tmp_path / "results", tmp_path / "copy")
    import_records(tmp_path / "copy", tmp_path / "elsewhere")
    pictures = list((tmp_path / "elsewhere").rglob("evaluations/*.png"))
    assert len(pictures) == 2 * 4  # samples and their nearest images
    stored = ltvm.long_table(tmp_path / "results")
    assert set(stored["sampler"].dropna()) == {"prior", "gaussian", "gmm"}


def test_a_run_of_several_rows_is_told_with_the_command_of_each(tmp_path):
    ltvm.ablate(SAMPLERS)
    (page,) = (tmp_path / "reports").rglob("README.md")
    rows = [line for line in page.read_text().splitlines() if "/record.json)" in line]
    assert len(rows) == 2
    found = [re.findall(r"\]\((.*?)\)|sampler=(\w+)", row) for row in rows]
    assert len({links[0][0] for links in found}) == 1  # one record
    assert len({links[2][0] for links in found}) == 2  # an evaluation each
    assert [links[3][1] for links in found] == ["prior", "gaussian"]
    (file,) = (tmp_path / "results" / "ablations").glob("*.json")
    manifest = read_manifest(file)
    table = long_table_of_manifest(manifest, tmp_path / "results")
    drawn = curves_of(manifest, table, "t", tmp_path / "results")
    assert drawn["of"]
    assert all(len(curve["cells"]) == 1 for curve in drawn["of"].values())
    assert drawn["left_out"] == 0


def test_what_a_stranger_says_of_a_sampler_is_damage_or_left_unsaid(tmp_path):
    ltvm.ablate(SAMPLERS)
    results = tmp_path / "results"
    (file,) = (results / "ablations").glob("*.json")
    sound = json.loads(file.read_text())
    del sound["checksum"]
    for change in ({"sampler": "abc"}, {"sampler": {}}, {"sampler": {"name": 3}}, {"tuned": 3},
                   {"tuned": {"trials": "many"}}):  # fmt: skip
        runs = [{**entry, **change} for entry in sound["runs"]]
        file.write_text(json.dumps(sound | {"runs": runs}))
        with pytest.raises(UnreadableError, match=next(iter(change))):
            read_manifest(file)
    file.write_text(json.dumps(sound | {"margin": "wide"}))
    with pytest.raises(UnreadableError, match="margin"):
        read_manifest(file)
    file.write_text(json.dumps(sound))
    run = the_run(tmp_path)
    for evaluation in (run.directory / "evaluations").glob("*.json"):
        content = json.loads(evaluation.read_text())
        del content["checksum"]
        for said in ("abc", {}, {"fit_seconds": "long"}):
            evaluation.write_text(json.dumps(content | {"sampler": said}))
            with pytest.raises(UnreadableError, match="sampler is not"):
                run.evaluation(evaluation.stem)
        for value in content["values"].values():
            value["sampler"] = {}
        evaluation.write_text(json.dumps(content))
    ltvm.make_report(sound["name"], results, tmp_path / "reports", allow_mixed=True)


def test_evaluations_of_two_samplers_are_never_those_of_one_row(tmp_path):
    """Manifests join by row; the latest evaluation of a row goes before those that were there."""
    chosen = ["ablation=ot", "ablation.axes.method=[abp]", "ablation.seeds=[0]", *FEW]
    evaluations = []
    for more in (["evaluation=digits_samples", "sampler=gmm"], [], ["sampler=gmm"]):
        planned = plan([*chosen, *more], "mine")
        (entry,) = read_manifest(write_manifest(planned, tmp_path / "results"))["runs"]
        evaluations.append((entry["cell"], entry["evaluations"], planned.runs[0].evaluation))
        own = {"name": "gmm", "label": "GMM"} if "sampler=gmm" in more else None
        assert entry.get("sampler") == own
    assert len({cell for cell, _, _ in evaluations}) == 2
    assert [len(known) for _, known, _ in evaluations] == [1, 1, 1]
    planned = plan([*chosen, "sampler=gmm", "evaluation=digits_samples"], "mine")
    (entry,) = read_manifest(write_manifest(planned, tmp_path / "results"))["runs"]
    assert entry["evaluations"] == [planned.runs[0].evaluation, evaluations[-1][2]]


def test_a_sampler_without_a_label_has_its_name(tmp_path):
    """Else its row would be taken for that of the method's own prior."""
    chosen = ["ablation=ot", "ablation.axes.method=[abp]", "ablation.seeds=[0]", "sampler=gmm"]
    planned = plan([*chosen, "sampler.label=null", *FEW], "mine")
    results = tmp_path / "results"
    manifest = read_manifest(write_manifest(planned, results))
    (entry,) = manifest["runs"]
    assert entry["sampler"] == {"name": "gmm", "label": "gmm"}
    entry["sampler"]["label"] = None  # as manifests had it
    assert set(long_table_of_manifest(manifest, results)["sampler_label"]) == {"gmm"}


@pytest.mark.parametrize("sampler", ["gaussian", "gmm", "flow"])
def test_every_sampler_keeps_the_contract(sampler):
    few = ["sampler.steps=60"] if sampler == "flow" else []
    assert "draws depend on the codes" in check([f"sampler={sampler}", *few])
