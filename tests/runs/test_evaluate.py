"""Train once, evaluate often: what is measured on a run that is trained, and what is kept of it."""

import json

import pandas as pd
import pytest
import torch
from small_networks import SMALL

import ltvm
from ltvm.cli.main import main
from ltvm.config import resolve
from ltvm.errors import DivergedError, InputError, UnreadableError
from ltvm.metrics.images.reconstruction import Reconstruction
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.ablations.manifest import read_manifest, write_manifest
from ltvm.runs.execution import execute, trained
from ltvm.runs.execution.intact import checksum_of
from ltvm.runs.files.store import Store
from ltvm.runs.identity import evaluation_identity
from ltvm.runs.launching.sweep import check_claims
from ltvm.runtime.commands import overrides_in

pytestmark = pytest.mark.usefixtures("undrawn")

FEW = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", "precision=float32",
    *SMALL,
]  # fmt: skip
MORE = [
    "evaluation=latents", "evaluation.metrics.likelihood.images=2",
    "evaluation.metrics.likelihood.steps=5", "evaluation.metrics.unseen_curve.steps=[2]",
    "evaluation.metrics.latent_tests.permutations=19",
]  # fmt: skip


@pytest.fixture
def trainings(monkeypatch):
    """The directories of runs that were really trained."""
    directories, original = [], execute.train

    def counting(config, running, command):
        directories.append(running.run.directory)
        return original(config, running, command)

    monkeypatch.setattr(execute, "train", counting)
    return directories


def the_run(tmp_path):
    (run,) = Store(tmp_path / "results").runs()
    return run


def test_a_second_evaluation_trains_nothing_and_is_the_one_after_training(trainings, tmp_path):
    ltvm.train(FEW)
    again = ltvm.train([*FEW, *MORE])
    assert len(trainings) == 1
    run = the_run(tmp_path)
    assert len(run.evaluations()) == 2
    run.evaluation_file(again["evaluation"]).unlink()
    run.trained_file.rename(tmp_path / "kept")  # evaluated straight after training, elsewhere
    elsewhere = ltvm.train([*FEW, *MORE, f"paths.results={tmp_path / 'other'}"])
    assert len(trainings) == 2
    assert elsewhere["metrics"] == again["metrics"]


def test_without_weights_nothing_more_is_measured_and_where_to_train_again_is_said(tmp_path):
    ltvm.train(FEW)
    run = the_run(tmp_path)
    run.trained_file.unlink()
    words = "the run is done; remove its record.json, and `ltvm train .*` does it again"
    with pytest.raises(InputError, match=words):
        ltvm.train([*FEW, *MORE])
    first = ltvm.train(FEW)
    assert first["status"] == "done"  # what it has stands
    command = run.record()["command"]
    run.record_file.unlink()  # as it says
    again = ltvm.train([*overrides_in(command), *MORE])
    assert again["status"] == "done"
    # what was measured on the old weights is no part of it
    assert run.evaluation_names() == [again["evaluation"]]
    assert ltvm.train(FEW)["metrics"] == first["metrics"]


def test_what_was_measured_on_other_weights_is_no_value_of_this_run_and_is_measured_again(
    tmp_path, capsys
):
    """As where the folder of another training of that configuration was copied over this one."""
    first = ltvm.train(FEW)
    run = the_run(tmp_path)
    record, measured = run.record(), run.evaluation(first["evaluation"])
    assert measured["final_sha256"] == record["final_sha256"]
    run.write_evaluation(measured | {"final_sha256": "0" * 64, "values": {}})
    assert run.status(first["evaluation"]) == "unreadable"
    with pytest.raises(UnreadableError, match="other weights than those of the record.json"):
        run.evaluation(first["evaluation"])
    assert ltvm.train(FEW)["metrics"] == first["metrics"]
    assert "set aside" in capsys.readouterr().err
    run.write_evaluation({k: v for k, v in measured.items() if k != "final_sha256"})
    assert run.status(first["evaluation"]) == "done"  # of a version that did not say it
    run.write_evaluation(measured)
    run.record_file.write_text("{")  # told where the record is read, not as the evaluation's
    assert run.evaluation(first["evaluation"])["values"] == measured["values"]


@pytest.mark.parametrize("lost", ["absent", "damaged", "another configuration"])
def test_a_run_that_cannot_be_loaded_keeps_no_other_seed_from_being_measured(
    lost, tmp_path, capsys
):
    seeds = ["ablation=ot", "ablation.axes.method=[vae]", "ablation.reference=null", *FEW]
    ablation = [*seeds, "ablation.seeds=[0,1]"]
    assert main(["ablate", *ablation]) == 0
    runs = {run.directory.name: run for run in Store(tmp_path / "results").runs()}
    run = runs["seed=0"]
    if lost == "absent":
        run.trained_file.unlink()
    elif lost == "damaged":
        run.trained_file.write_bytes(b"x")
    else:
        run.config_file.write_text(run.config_file.read_text().replace("name: vae", "name: eav"))
    capsys.readouterr()
    assert main(["ablate", *ablation, *MORE]) == 1
    told = capsys.readouterr()
    assert "2 runs: 1 done, 1 refused" in told.out + told.err
    assert "refused: vae seed=0: " in told.out + told.err
    assert len(runs["seed=1"].evaluations()) == 2


def test_a_done_evaluation_is_not_done_again(trainings, tmp_path):
    first = ltvm.train([*FEW, *MORE])
    file = the_run(tmp_path).evaluation_file(first["evaluation"])
    written = file.stat().st_mtime_ns
    assert ltvm.train([*FEW, *MORE]) == first
    assert file.stat().st_mtime_ns == written
    assert len(trainings) == 1


@pytest.mark.parametrize("method", ["short_run_ot", "short_run", "vae"])
def test_what_is_loaded_is_what_was_trained(method, tmp_path):
    """Every value of the loaded method equals that of the trained one, in every bit."""
    chosen = [*FEW, f"method={method}"]
    first = ltvm.train(chosen)
    run = the_run(tmp_path)
    run.evaluation_file(first["evaluation"]).unlink()
    (again,) = ltvm.evaluate_runs([run.directory], ["evaluation=digits"]).values()
    assert again["metrics"] == first["metrics"]


def test_evaluating_runs_by_directory(trainings, tmp_path, capsys):
    ltvm.train(FEW)
    run = the_run(tmp_path)
    assert main(["evaluate", str(run.directory), *MORE]) == 0
    assert "ais_log_likelihood" in capsys.readouterr().out
    assert len(trainings) == 1
    assert len(run.evaluations()) == 2
    for bad, named in (
        (["method.alpha=0.1"], "method.alpha"),
        (["evaluation=digts"], "evaluation=digts"),
        (["evaluation=latents", "evaluation.metrics.likelihood.steps=0"], "likelihood.steps=0"),
    ):
        with pytest.raises(InputError, match=named):
            ltvm.evaluate_runs([run.directory], bad)
    with pytest.raises(InputError, match="allowed: the directory of a run that was trained here"):
        ltvm.evaluate_runs([tmp_path], MORE)


def test_a_run_that_is_refused_keeps_no_other_from_being_evaluated(trainings, tmp_path, capsys):
    ltvm.train(FEW)
    run = the_run(tmp_path)
    places = [str(tmp_path / "none"), str(run.directory), str(tmp_path / "nor")]
    assert main(["evaluate", *places, *MORE, "--json"]) == 2
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert list(answer) == [str(run.directory)]
    assert "ais_log_likelihood" in answer[str(run.directory)]["metrics"]
    told = [line for line in printed.err.splitlines() if "none" in line or "nor" in line]
    assert len(told) == 2


def test_what_is_wrong_with_all_runs_is_said_once(trainings, tmp_path, capsys):
    ltvm.train(FEW)
    run = str(the_run(tmp_path).directory)
    assert main(["evaluate", run, run, "evaluation=digts"]) == 2
    assert capsys.readouterr().err.count("evaluation=digts") == 1


def test_an_ablation_with_other_metrics_measures_the_runs_it_has(trainings):
    chosen = ["ablation=ot", "ablation.axes.method=[abp,vae]", "ablation.seeds=[0]", *FEW]
    ltvm.ablate(chosen, name="mine")
    folder = ltvm.ablate([*chosen, *MORE], name="mine").folder
    assert len(trainings) == 2
    table = pd.read_parquet(folder / "long.parquet")
    assert {"fd_digits", "ais_log_likelihood"} <= set(table["metric"])  # of both evaluations
    assert set(table["status"]) == {"done"}


def test_a_failed_evaluation_is_tried_again_and_the_training_kept(trainings, monkeypatch, tmp_path):
    original = Reconstruction.__call__

    def fails(*_):
        raise RuntimeError("no space")

    monkeypatch.setattr(Reconstruction, "__call__", fails)
    record = ltvm.train(FEW)
    assert (record["status"], record["reason"]) == ("failed", "RuntimeError: no space")
    run = the_run(tmp_path)
    assert run.status() == "done"
    assert run.status(record["evaluation"]) == "failed"
    monkeypatch.setattr(Reconstruction, "__call__", original)
    assert ltvm.train(FEW)["status"] == "done"
    assert len(trainings) == 1


@pytest.mark.parametrize(
    ("statuses", "forgotten"),
    [
        (("failed", "failed"), True),
        (("failed", None), True),
        ((None, None), False),  # somebody may be about to do it
        (("failed", "running"), False),
        (("failed", "done"), False),  # whose values a table has
    ],
)
def test_an_evaluation_that_failed_is_forgotten_once_another_is_asked_for(
    statuses, forgotten, tmp_path, capsys
):
    """Else its rows would be those of failed runs for good."""
    chosen = ["ablation=ot", "ablation.axes.method=[vae]", "ablation.seeds=[0,1]", *FEW]
    old, new = (plan([*chosen, *more], "mine") for more in ([], MORE))
    first, second = old.runs[0].evaluation, new.runs[0].evaluation
    for planned, status in zip(old.runs, statuses, strict=True):
        if status is not None:
            planned.run.write_evaluation({"identity": first, "status": status})
    for planned, names in ((old, [first]), (new, [second] if forgotten else [second, first])):
        manifest = read_manifest(write_manifest(planned, tmp_path / "results"))
        assert [entry["evaluations"] for entry in manifest["runs"]] == [names, names]
    assert (
        f"evaluation {first} failed and is not asked for" in capsys.readouterr().err
    ) == forgotten
    write_manifest(new, tmp_path / "results")
    assert capsys.readouterr().err == ""
    manifest = read_manifest(write_manifest(old, tmp_path / "results"))
    assert manifest["runs"][0]["evaluations"] == [first, second]


def test_a_seed_that_is_not_asked_for_keeps_the_evaluation_that_failed(tmp_path):
    """It has no other."""
    chosen = ["ablation=ot", "ablation.axes.method=[vae]", *FEW]
    old = plan([*chosen, "ablation.seeds=[0,1]"], "mine")
    new = plan([*chosen, "ablation.seeds=[0]", *MORE], "mine")
    first, second = old.runs[0].evaluation, new.runs[0].evaluation
    old.runs[0].run.write_evaluation({"identity": first, "status": "failed"})
    for planned in (old, new):
        manifest = read_manifest(write_manifest(planned, tmp_path / "results"))
    assert [entry["evaluations"] for entry in manifest["runs"]] == [[second], [first]]


def test_a_claim_about_what_another_evaluation_measured_is_no_slip(tmp_path):
    """More is measured of runs whose claims were judged: the claims are as good as before."""
    claim = "{name: C, claim: c, metric: from_before, smallest: 0.1, stated: '2026-11-29'"
    rows = "row: {method: vae}, against: {method: abp}}"
    chosen = ["ablation=ot", "ablation.axes.method=[vae,abp]", "ablation.seeds=[0]", *FEW]
    planned = plan([*chosen, f"ablation.claims=[{claim}, {rows}]"])
    with pytest.raises(InputError, match="claim C: metric=from_before: allowed: what is measured"):
        check_claims(planned, [])
    planned.runs[0].run.write_evaluation(
        {"identity": "before", "status": "done", "values": {}, "columns": {"from_before": {}}}
    )
    check_claims(planned, [])


def test_the_command_of_a_manifest_makes_all_of_its_seeds(tmp_path):
    """Whichever seeds the last command was given."""
    chosen = ["ablation=ot", "ablation.axes.method=[vae]", *FEW]
    for seeds, every in (("0,1", "0,1"), ("2", "0,1,2"), ("1", "0,1,2")):
        planned = plan([*chosen, f"ablation.seeds=[{seeds}]"], "mine")
        manifest = read_manifest(write_manifest(planned, tmp_path / "results"))
        assert manifest["command"] == planned.command.replace(f"[{seeds}]", f"[{every}]")
        assert manifest["seeds"] == [int(seed) for seed in every.split(",")]


def test_numbers_that_are_none_end_an_evaluation_as_diverged(monkeypatch, tmp_path):
    def diverges(*_):
        raise DivergedError("all samples are the same image")

    monkeypatch.setattr(Reconstruction, "__call__", diverges)
    record = ltvm.train(FEW)
    assert (record["status"], record["reason"]) == ("diverged", "all samples are the same image")
    assert the_run(tmp_path).status() == "done"
    assert ltvm.train(FEW) == record  # final: not tried again


def test_the_checkpoint_goes_unless_it_is_to_be_kept(tmp_path):
    ltvm.train([*FEW, "keep=all"])
    run = the_run(tmp_path)
    assert run.checkpoint_file.is_file()
    assert run.trained_file.stat().st_size < 0.5 * run.checkpoint_file.stat().st_size
    assert not any("optimizer" in key for key, _ in trained_leaves(run))


def trained_leaves(run):
    state = ltvm.load(run.directory).trained_state()
    return trained.flatten(state)


def test_a_state_survives_its_file_whatever_its_nesting(tmp_path):
    state = {"a": {"b": torch.arange(3), "c": {"d": 2.5}}, "e": None, "f": "word", "g": 7}
    back = trained.unflatten(dict(trained.flatten(state)))
    assert torch.equal(back["a"]["b"], state["a"]["b"])
    assert back | {"a": None} == state | {"a": None}
    with pytest.raises(TypeError, match="only_for_training"):
        trained.flatten({"a": [1, 2]})


def written_anew(run, config):
    """Another configuration, and a record that says it was made with that."""
    run.write_config(config)
    run.write_record(run.record() | {"config_sha256": checksum_of(config)})


def test_files_that_do_not_fit_are_named(tmp_path):
    ltvm.train(FEW)
    run = the_run(tmp_path)
    content = run.trained_file.read_bytes()
    run.trained_file.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"final\.safetensors is damaged"):
        ltvm.load(run.directory)
    run.trained_file.write_bytes(content)
    config = run.config()
    config["model"]["latent_dim"] = 7
    written_anew(run, config)
    with pytest.raises(InputError, match="does not fit"):
        ltvm.load(run.directory)
    config["model"]["latent_dim"], config["protocol"]["train_images"] = 30, 41
    written_anew(run, config)
    with pytest.raises(InputError, match="other images"):
        ltvm.load(run.directory)


def test_a_trained_method_computes_as_it_did(tmp_path):
    ltvm.train([*FEW, "precision=bfloat16"])
    torch.backends.cuda.matmul.allow_tf32 = True
    method = ltvm.load(the_run(tmp_path).directory)
    assert method.problem.execution.precision == "bfloat16"
    assert torch.backends.cuda.matmul.allow_tf32 is False


def test_cells_that_differ_in_what_is_measured_share_their_training(trainings):
    folder = ltvm.ablate(
        ["ablation=ot", "ablation.axes.method=[abp]", "ablation.seeds=[0]", *FEW,
         "ablation.axes.evaluation.metrics.frechet.samples=[20,30]"]
    ).folder  # fmt: skip
    assert len(trainings) == 1
    table = pd.read_parquet(folder / "long.parquet")
    assert table["cell"].nunique() == 2
    distances = table[table["metric"] == "fd_digits"]
    assert sorted(distances["n"]) == [20, 30]


def test_an_evaluation_says_what_it_is(tmp_path):
    record = ltvm.train(FEW)
    content = json.loads(the_run(tmp_path).evaluation_file(record["evaluation"]).read_text())
    assert content["identity"] == evaluation_identity(resolve(FEW))
    assert content["config"] == resolve(FEW)["evaluation"]
    assert content["status"] == "done"
    assert content["seconds"] > 0
    for key in ("name", "started", "device", "execution", "versions"):
        assert content[key]
