"""Ablations and the store: nothing twice, nothing missing, nothing half-written."""

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
from small_networks import SMALL

import ltvm
from ltvm.api import ablate
from ltvm.errors import InputError
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.execution import execute as execution
from ltvm.runs.files.store import PICTURES, Run
from ltvm.runtime.threads import available_cores

pytestmark = pytest.mark.usefixtures("undrawn")

FEW = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", "device=cpu", *SMALL,
]  # fmt: skip


def results():
    import os

    return Path(os.environ["LTVM_RESULTS"])


@pytest.mark.parametrize("name", ["ot", "alpha", "steps", "sigma", "step_size", "solver", "paper"])
def test_every_ablation_expands_to_distinct_cells(name):
    planned = plan([f"ablation={name}"])
    directories = [run.run.directory for run in planned.runs]
    assert len(set(directories)) == len(directories) >= 10
    content = planned.ablation
    product = 1
    for values in content.axes.values():
        product *= len(values)
    if content.combine == "product":
        assert len(directories) == product * len(content.seeds)
    assert not results().exists()  # a preview writes nothing


def test_one_factor_does_not_repeat_the_base():
    planned = plan(["ablation=step_size"])
    sizes = [run.values["method.kernel.size"] for run in planned.runs if run.config["seed"] == 0]
    assert sorted(sizes) == [0.03, 0.05, 0.1, 0.1, 0.15, 0.2]  # 0.1 with and without noise


def test_the_command_line_overrides_the_base_but_not_an_axis():
    planned = plan(["ablation=ot", "data=svhn", "protocol=full", "model.sigma=0.2"])
    assert planned.report_name == "ot-svhn-full-model.sigma=0.2"
    assert {run.config["data"]["name"] for run in planned.runs} == {"svhn"}
    assert plan(["ablation=ot", "data=svhn"]).report_name == "ot-svhn"
    with pytest.raises(InputError, match=r"method: swept.*allowed: 'ablation\.axes\.method="):
        plan(["ablation=ot", "method=vae"])
    with pytest.raises(InputError, match=r"allowed: 'ablation\.seeds="):
        plan(["ablation=ot", "seed=1"])
    with pytest.raises(InputError, match="ablation=NAME is missing; allowed: all_digits, all_"):
        plan(["data=mnist5k"])


ABLATION = ["ablation=ot", "ablation.axes.method=[short_run_ot,vae]", "ablation.seeds=[0]", *FEW]


@pytest.fixture
def counted(monkeypatch):
    """How often each run was really trained."""
    counts = []
    original = execution.train

    def counting(config, running, command):
        counts.append(str(running.run.directory))
        return original(config, running, command)

    monkeypatch.setattr(execution, "train", counting)
    return counts


def test_an_ablation_runs_once_reports_and_is_not_run_again(counted):
    folder = ltvm.ablate(ABLATION).folder
    assert len(counted) == len(set(counted)) == 2
    table = pd.read_parquet(folder / "long.parquet")
    assert table.groupby(["method", "seed"]).ngroups == 2
    assert set(table["status"]) == {"done"}
    assert (folder / "README.md").is_file()
    ltvm.ablate(ABLATION)
    assert len(counted) == 2
    more = [o.replace("[0]", "[0,1]") for o in ABLATION]
    assert ltvm.ablate(more).folder == folder
    assert len(counted) == 4  # only the new seed of both methods
    ltvm.ablate(ABLATION)  # fewer seeds do not make the others vanish from the report
    assert set(pd.read_parquet(folder / "long.parquet")["seed"]) == {0, 1}


def test_changed_axes_make_another_report():
    usual, narrowed = plan(["ablation=ot"]), plan(["ablation=ot", "ablation.axes.method=[vae]"])
    assert usual.report_name == "ot-mnist5k"
    assert narrowed.report_name.startswith("ot-mnist5k-")
    assert len(narrowed.runs) == 3
    names = {plan(["ablation=alpha", f"{k}.steps=7"]).report_name for k in ("method", "protocol")}
    assert len(names) == 2


def test_a_report_without_a_name_of_its_own_has_a_short_one():
    many = [f"method.{key}={n}" for n, key in enumerate(("steps", "sweeps", "infer_steps"), 1)]
    many += ["method.kernel.size=0.05", "protocol.train_images=1000", "protocol.test_images=100"]
    long = ["ablation=ot", "ablation.axes.method=[short_run_ot]", *many]
    name, other = (plan([*long, f"optimizer.betas=[0.5,{b}]"]).report_name for b in (0.9, 0.99))
    assert len(name) <= 80
    assert name.startswith("ot-mnist5k-method.steps=1-")
    assert name != other
    assert plan(long, "x" * 90).report_name == "x" * 90  # what a user asks for is left


def test_a_record_traces_its_numbers():
    record = ltvm.train(FEW)
    assert record["status"] == "done"
    precision = f"precision={record['precision']}"  # the same run on any machine
    assert record["command"] == shlex.join(["ltvm", "train", *FEW, precision])
    assert record["metrics"]["fd_digits"]["checksum"]
    assert record["metrics"]["fd_digits"]["n"] == 40
    assert set(record["seconds"]) == {"inference", "transport", "learning", "evaluation"}
    assert record["peak_memory_mb"]["process"] > 0
    assert record["versions"]["torch"]
    assert record["precision"] in ("float32", "bfloat16")
    (run,) = execution.Store(results()).runs()
    names = {path.name for path in run.directory.iterdir()} - {".lock"}
    assert names == {"config.yaml", "record.json", "history.csv", "final.safetensors",
                     "evaluations", *(f"{kind}.png" for kind in PICTURES)}  # fmt: skip
    assert record["final_mb"] == pytest.approx(run.trained_file.stat().st_size / 1e6)
    (measured,) = run.evaluations().values()
    assert measured["values"] == record["metrics"]
    assert set(measured["columns"]) == set(measured["values"])
    history = pd.read_csv(run.directory / "history.csv")
    assert {"fd_digits_curve", "codes_sliced_w2_before"} <= set(record["curves"])
    assert set(history.columns) & set(record["curves"]) > {"fd_digits_curve", "mse_train_curve"}
    assert len(pd.read_csv(run.directory / "history.csv")) == 2


def test_interruption_loses_at_most_the_iteration_and_resumes(monkeypatch):
    from ltvm.methods import ShortRunOT

    original, fitted = ShortRunOT.fit_iteration, []

    def fit_iteration(self):
        if len(fitted) == 1:
            fitted.append("interrupted")
            raise KeyboardInterrupt
        fitted.append(self.iteration)
        return original(self)

    monkeypatch.setattr(ShortRunOT, "fit_iteration", fit_iteration)
    with pytest.raises(KeyboardInterrupt):
        ltvm.train(FEW)
    (run,) = execution.Store(results()).runs()
    assert run.status() == "interrupted"
    record = ltvm.train(FEW)
    assert record["status"] == "done"
    assert fitted == [0, "interrupted", 1]


def test_a_checkpoint_of_other_code_is_refused_until_restart(monkeypatch, capsys):
    from ltvm.cli.main import main
    from ltvm.methods import VariationalAutoEncoder
    from ltvm.runs.execution import resuming
    from ltvm.runs.identity import NUMERICS

    original, fitted = VariationalAutoEncoder.fit_iteration, []

    def fit_iteration(self):
        if len(fitted) == 1:
            fitted.append("interrupted")
            raise KeyboardInterrupt
        fitted.append(self.iteration)
        return original(self)

    monkeypatch.setattr(VariationalAutoEncoder, "fit_iteration", fit_iteration)
    few = [*FEW, "method=vae", "evaluation=none"]
    with pytest.raises(KeyboardInterrupt):
        ltvm.train(few)
    monkeypatch.setattr(resuming, "NUMERICS", "later")
    (run,) = execution.Store(results()).runs()
    ablation = ["ablation=ot", "ablation.axes.method=[vae]", *FEW, "evaluation=none"]
    for refused in (["train", *few], ["ablate", *ablation]):
        capsys.readouterr()
        assert main(refused) == 2
        message = capsys.readouterr().err
        assert f"numerics was {NUMERICS}, is later" in message
        assert "--restart" in message
        assert run.status() == "interrupted"  # nothing was begun
    assert main(["train", *few, "--restart"]) == 0
    assert fitted == [0, "interrupted", 0, 1]
    assert main(["train", *few, "--restart"]) == 0  # what is done stays so
    assert len(fitted) == 4


def test_a_killed_run_counts_as_interrupted(tmp_path):
    run = Run(tmp_path / "seed=0")
    run.directory.mkdir()
    run.write_record({"status": "running"})
    assert run.status() == "interrupted"
    with run.held() as mine:
        assert mine
        assert run.status() == "running"


def test_a_failing_run_is_recorded_and_the_others_go_on(monkeypatch):
    from ltvm.methods import VariationalAutoEncoder

    def fail(self):
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patched:
        patched.setattr(VariationalAutoEncoder, "fit_iteration", fail)
        outcome = ablate(ABLATION)
    assert outcome.failed
    assert outcome.summary()[0] == "2 runs: 1 done, 1 failed"
    assert "failed: vae seed=0: RuntimeError: out of luck (" in outcome.summary()[1]
    assert "--retry failed tries them again" in outcome.summary()[-1]
    page = (outcome.folder / "README.md").read_text()
    assert "failed: RuntimeError: out of luck" in page
    assert "0 of 1 (1 failed)" in page
    statuses = sorted(run.status() for run in execution.Store(results()).runs())
    assert statuses == ["done", "failed"]
    assert ablate(ABLATION).failed  # left as they are
    outcome = ablate(ABLATION, retry=["failed"])
    assert outcome.summary() == ["2 runs: 2 done"]
    assert "failed" not in (outcome.folder / "README.md").read_text()


def test_divergence_is_a_status_never_a_number():
    overrides = [*FEW, "method.kernel.size=50.0"]
    record = ltvm.train(overrides)
    assert record["status"] == "diverged"
    assert "iteration" in record["reason"]
    assert record["metrics"] == {}
    folder = ltvm.ablate(
        [
            "ablation=alpha",
            "ablation.axes={method.kernel.size:[0.1,50.0]}",
            "ablation.seeds=[0]",
            *FEW,
        ]
    ).folder
    page = (folder / "README.md").read_text()
    assert "0 of 1 (1 diverged)" in page
    table = pd.read_parquet(folder / "long.parquet")
    assert table[table["status"] == "diverged"]["value"].isna().all()


def test_bad_input_leaves_nothing_behind():
    for bad in (["method.alpha=2.0"], ["protocol.batch=41"], ["device=cuda:77"],
                ["evaluation.metrics.frechet.samples=41"]):  # fmt: skip
        with pytest.raises(InputError):
            ltvm.train([*FEW, *bad])
        with pytest.raises(InputError):
            ltvm.ablate(["ablation=ot", "ablation.axes.method=[short_run_ot]", *FEW, *bad])
    assert not list(results().rglob("record.json"))
    assert not list(results().rglob("*.json"))


def test_jobs_go_through_another_hydra_launcher_with_the_keys_of_a_solver(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")  # they share the cores all the same
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]  # two processes
    solver = ["method.solver=shortlist", "method.solver_options.gap=0.02"]
    axes = ["ablation.axes={method.alpha:[0.2,0.7]}", "ablation.seeds=[0]"]
    folder = ltvm.ablate(["ablation=alpha", *axes, *FEW, *solver, *launcher]).folder
    assert set(pd.read_csv(folder / "long.csv")["status"]) == {"done"}
    runs = execution.Store(results()).runs()
    assert [run.record()["status"] for run in runs] == ["done", "done"]
    for run in runs:
        assert run.config()["method"]["solver_options"] == {"gap": 0.02}
        assert "method.solver_options.gap=0.02" in run.record()["command"].split()
        share = max(1, available_cores() // 2)
        assert run.record()["device"].endswith(f", {share} threads")


def test_load_gives_the_trained_method_back():
    record = ltvm.train(FEW)
    (run,) = execution.Store(results()).runs()
    method = ltvm.load(run.directory)
    assert method.iteration == record["iterations_done"] == 2
    with pytest.raises(InputError, match=r"no config\.yaml"):
        ltvm.load(results())


def test_build_gives_the_method_before_training_and_writes_nothing():
    method = ltvm.build(FEW)
    assert method.iteration == 0
    assert not list(results().rglob("*"))
    method.fit_iteration()
    method.fit_iteration()
    ltvm.train(FEW)
    (run,) = execution.Store(results()).runs()
    trained = ltvm.load(run.directory)
    assert trained.passes == method.passes
    assert trained.codes.equal(method.codes)
    for name, weights in trained.decoder.state_dict().items():
        assert weights.equal(method.decoder.state_dict()[name]), name


def test_long_table_has_varying_keys_as_columns():
    ltvm.train(FEW)
    ltvm.train([*FEW, "method.alpha=0.2"])
    table = ltvm.long_table(results())
    assert set(table["method.alpha"]) == {0.2, 0.5}
    assert "model.sigma" not in table
    assert {"data", "method", "seed", "metric", "value", "n", "split", "checksum"} <= set(table)


def test_export_keeps_what_a_report_needs():
    from ltvm.runs.housekeeping.export import export

    name = ltvm.ablate(ABLATION).folder.name
    target = results().parent / "reference"
    export(name, results(), target)
    assert not list(target.rglob("checkpoint.pt"))
    original = (results().parent / "reports" / name / "table.md").read_text()
    rebuilt = ltvm.make_report(name, target, results().parent / "again")
    assert (rebuilt / "table.md").read_text() == original
    manifest = json.loads((target / "ablations" / f"{name}.json").read_text())
    assert len(manifest["runs"]) == 2
    texts = [file.read_text() for file in target.rglob("config.yaml")]
    assert len(texts) == 2
    assert not [text for text in texts if str(results().parent) in text]


def test_an_export_may_have_the_pictures_of_a_first_seed_alone():
    from ltvm.runs.housekeeping.export import export

    name = ltvm.ablate([*ABLATION, "ablation.seeds=[4,2]"]).folder.name
    folder = results().parent

    def pictured(pictures):
        target = folder / pictures
        export(name, results(), target, pictures=pictures)
        return {file.parent.name for file in target.rglob("samples.png")}

    assert pictured("all") == {"seed=2", "seed=4"}
    assert pictured("first") == {"seed=2"}
    assert pictured("none") == set()
    assert list((folder / "none").rglob("*.png")) == []
    assert len(list((folder / "first").rglob("record.json"))) == 4
    with pytest.raises(InputError, match="--pictures=some: allowed: all, first, none"):
        pictured("some")


def test_an_exported_configuration_names_no_directory_of_its_machine():
    from ltvm.runs.places import without_places

    config = {
        "paths": {"results": "/here/results", "reports": "reports", "data": "/here/data"},
        "data": {"load": {"root": "/here/data", "file": "/here/data/x.gz", "other": "/elsewhere"}},
    }
    assert without_places(config) == {
        "paths": {"results": "results", "reports": "reports", "data": "~/.cache/ltvm"},
        "data": {
            "load": {"root": "~/.cache/ltvm", "file": "~/.cache/ltvm/x.gz", "other": "/elsewhere"}
        },
    }


def test_the_command_of_a_report_has_its_name():
    assert ltvm.plan(["ablation=ot"], "mine").command == "ltvm ablate ablation=ot --name mine"
    assert ltvm.plan(["ablation=ot"]).command == "ltvm ablate ablation=ot"
