"""Runs that ship with the package: intact, as the reference has them, and taken where they fit."""

import lzma
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from small_networks import SMALL

import ltvm
from ltvm.api.comparing import comparison
from ltvm.api.doing import plan
from ltvm.cli.main import main
from ltvm.errors import InputError
from ltvm.runs.execution.intact import check_config, check_history
from ltvm.runs.files.store import Run
from ltvm.runs.housekeeping import stored as module
from ltvm.runs.housekeeping.merge import Merged, merge_run
from ltvm.runs.housekeeping.stored import (
    FILE,
    LARGEST,
    PROTOCOLS,
    build,
    candidates,
    of_other_precision,
    of_these_images,
    stored,
)
from ltvm.runs.identity import identity
from ltvm.runtime.files import parse_json, parse_yaml

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference"
TINY = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", *SMALL,
]  # fmt: skip


def results():
    return Path(os.environ["LTVM_RESULTS"])


def the_report():
    (folder,) = Path(os.environ["LTVM_REPORTS"]).iterdir()
    return folder


def test_what_ships_is_intact_and_loads():
    whose, files = stored(FILE)
    assert whose == f"ltvm {ltvm.__version__}"
    assert FILE.stat().st_size < LARGEST
    records = [path for path in files if path.endswith("record.json")]
    assert len(records) >= 72
    for path in records:
        folder = path.removesuffix("/record.json")
        record = parse_json(files[path].encode())  # held against its own checksum
        config = parse_yaml(files[f"{folder}/config.yaml"].encode())
        assert record["status"] == "done"
        assert record["protocol"] in PROTOCOLS
        assert folder.split("/")[-2:] == [identity(config), f"seed={record['seed']}"]
        check_config(config, Path(path), record)
        assert any(name.startswith(f"{folder}/evaluations/") for name in files)
    for path in files:
        if "/evaluations/" in path:
            assert parse_json(files[path].encode())["identity"] == Path(path).stem


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="no checkout")
def test_what_ships_is_the_reference_of_today(tmp_path):
    build(REFERENCE, tmp_path / "again.xz")
    remedy = "`make stored` makes it anew"
    assert stored(tmp_path / "again.xz") == stored(FILE), remedy
    assert (tmp_path / "again.xz").read_bytes() == FILE.read_bytes(), remedy


def test_a_damaged_file_is_named(tmp_path, monkeypatch):
    text = lzma.decompress(FILE.read_bytes())
    for number, content in enumerate((b"none", lzma.compress(text.replace(b"0.3", b"0.4", 1)))):
        file = tmp_path / f"{number}.xz"
        file.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read") as error:
            stored(file)
        assert str(file) in str(error.value)
    monkeypatch.setattr(module, "LARGEST", 10)
    with pytest.raises(InputError, match="bytes; allowed: 10"):
        build(tmp_path, tmp_path / "large.xz")  # of no run at all
    assert not (tmp_path / "large.xz").exists()


def test_methods_that_ship_are_not_trained(capsys, no_pictures):
    command = ["compare", "methods=[vae,short_run_ot]", "precision=float32", "seeds=[0]"]
    assert main([*command, "--list"]) == 0
    assert "2 cells, 2 runs, 0 done, 2 stored, 0 to do" in capsys.readouterr().out
    assert main(command) == 0
    told = capsys.readouterr().err
    assert "not trained here: vae (1); short_run_ot (1); stored=false trains" in told
    assert "made on AMD EPYC, 2 threads; commit 3197b75aff28; torch 2.15.0" in told
    assert "iteration" not in told
    run = next(results().rglob("record.json")).parent
    check_history(run / "history.csv", Run(run).record())
    check_config(Run(run).config(), run, Run(run).record())
    folder = the_report()
    assert list(pd.read_csv(folder / "headline.csv")["cell"]) == [
        "VAE (stored)", "short-run OT (stored)",
    ]  # fmt: skip
    page = (folder / "README.md").read_text()
    assert "not trained here: VAE (stored), short-run OT (stored) (device AMD EPYC" in page
    assert set(pd.read_csv(folder / "cost.csv")["device"]) == {"AMD EPYC, 2 threads"}
    with pytest.raises(InputError, match="without weights; `ltvm train` with the command"):
        ltvm.load(run)
    # an export with weights of the same run is no conflict
    theirs = results().parent / "theirs" / run.relative_to(results())
    original = REFERENCE / run.relative_to(results())
    if original.is_dir():
        shutil.copytree(original, theirs)
        (theirs / "final.safetensors").write_bytes(b"weights")
        merged = Merged()
        merge_run(Run(theirs), Run(run), "run", merged)
        assert merged.conflicts == []
        assert (run / "final.safetensors").is_file()


def test_a_run_of_another_precision_or_of_other_images_is_told(capsys, monkeypatch):
    methods = ["methods=[vae,short_run_ot]", "seeds=[0]"]
    other = plan_of([*methods, "precision=float32"])
    monkeypatch.setattr(module, "PRECISIONS", ("float32",))
    for planned in other.runs:
        planned.config["precision"] = "float64"  # of which nothing ships
    assert of_other_precision(other) == {"float32": 2}
    fitting = plan_of([*methods, "precision=float32"])
    _, files = stored(FILE)
    fake = {k: v.replace('"train": "0eec', '"train": "ffff') for k, v in files.items()}
    monkeypatch.setattr(module, "stored", lambda file: ("ltvm", fake))
    assert of_these_images(candidates(fitting)) == []
    assert "of other images than here: not taken" in capsys.readouterr().err


def plan_of(overrides):
    return plan(comparison(overrides))


def test_none_is_taken_where_it_is_not_asked_for_or_terms_are_seconds():
    given = ["methods=[vae,short_run_ot]", "seeds=[0]", "precision=float32"]
    planned = plan_of(given)
    assert len(candidates(planned)) == 2
    for asked in (None, False):
        assert candidates(replace(planned, ablation=replace(planned.ablation, stored=asked))) == []
    other = replace(planned.runs[0], evaluation="0" * 12)
    assert candidates(replace(planned, runs=(other,))) == []
    for run in planned.runs:
        run.config["protocol"]["equal"] = "seconds"
    assert candidates(planned) == []
    with pytest.raises(InputError, match="stored=maybe: allowed: true, false, or null"):
        plan_of([*given, "stored=maybe"])


@pytest.fixture
def no_pictures(monkeypatch):
    """Reports of tables and text alone."""
    monkeypatch.setattr("ltvm.report.page.write.draw", lambda *_: [])
    monkeypatch.setattr("ltvm.report.page.write.write_index", lambda *_: None)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A VAE on few images ships; nothing is in the results directory."""
    ltvm.train(["method=vae", "seed=0", *TINY])
    file = tmp_path / "stored.xz"
    assert build(results(), file, ("smoke",)) == 1
    monkeypatch.setattr(module, "FILE", file)
    shutil.rmtree(results())


def test_a_new_method_is_trained_alone_and_another_evaluation_trains_again(
    shipped, no_pictures, capsys
):
    command = ["compare", "methods=[abp,vae]", "seeds=[0]", *TINY]
    assert main(command) == 0
    assert list(pd.read_csv(the_report() / "headline.csv")["cell"]) == ["ABP", "VAE (stored)"]
    (weights,) = results().rglob("final.safetensors")
    assert "abp" in weights.parts
    (run,) = results().glob("runs/mnist5k/vae/*/seed=0")
    taken = Run(run).record()
    words = ["method=vae", "seed=0", *TINY]
    assert ltvm.train([*words, "evaluation=latents"])["status"] == "done"
    assert "stored" not in Run(run).record()  # it had no weights to measure anything on
    (evaluation,) = Run(run).evaluations().values()
    assert evaluation["name"] == "latents"

    Run(run).write_record(taken)
    launched = []
    with pytest.MonkeyPatch.context() as patch:
        sweep = "ltvm.runs.launching.sweep.sweep"
        patch.setattr(sweep, lambda plan, *_: launched.extend(plan.not_done))
        patch.setattr("ltvm.api.doing.make_report", lambda *_: results())
        main([*command, "stored=false"])  # trains what was taken
    assert [planned.run.directory for planned in launched] == [run]
    assert Run(run).record() is None
