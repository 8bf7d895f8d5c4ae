"""Every number says what it is; numbers of different kinds share no column unseen."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

import ltvm
from ltvm.cli.main import main
from ltvm.data import DataSet, ImageSet
from ltvm.errors import InputError
from ltvm.metrics.base import Context, Measurement
from ltvm.metrics.generation.frechet import FrechetDistance, reference
from ltvm.report import tables
from ltvm.report.against_reference import differences_table, improvement_table
from ltvm.report.comparability import Marks, differences, refuse_mixed, warned_cells
from ltvm.report.long_table import long_table_of_manifest
from ltvm.report.notes import notes
from ltvm.report.page import write_long_table
from ltvm.runs.execute import measure
from ltvm.runtime.files import read_json, write_json

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
NAME = "correction-mnist5k-medium"


QUICK = (
    "fd_digits", "fd_digits_floor", "mse_train", "mse_test", "mse_test_best3", "latent_energy",
    "latent_sliced_w2", "transport_cost", "transport_cost_floor", "transport_gap",
)  # fmt: skip


@pytest.fixture
def records(tmp_path):
    """A copy of committed records: two methods, three seeds, the quick metrics; and another's."""
    folder = tmp_path / "records"
    shutil.copytree(REFERENCE, folder, ignore=shutil.ignore_patterns("mnist5k_without", "anomaly*"))
    file = folder / "ablations" / f"{NAME}.json"
    manifest = read_json(file)
    manifest["runs"] = [entry for entry in manifest["runs"] if entry["seed"] < 3]
    write_json(file, manifest | {"seeds": [0, 1, 2]})
    for entry in manifest["runs"]:
        record = read_json(folder / entry["path"] / "record.json")
        record["metrics"] = {name: record["metrics"][name] for name in QUICK}
        write_json(folder / entry["path"] / "record.json", record)
    return folder


def manifest_of(results):
    return read_json(results / "ablations" / f"{NAME}.json")


def change(results, method, seeds=(0, 1, 2), metric="fd_digits", **fields):
    """Change what records say about one metric."""
    for entry in manifest_of(results)["runs"]:
        if entry["method"] == method and entry["seed"] in seeds:
            file = results / entry["path"] / "record.json"
            record = read_json(file)
            record["metrics"][metric] |= fields
            write_json(file, record)


def found_in(results, axes=None, values=None, note=None):
    """(table, manifest, differences); ``values`` gives each method its swept value."""
    manifest = manifest_of(results)
    manifest["axes"] = axes or manifest["axes"]
    for entry in manifest["runs"]:
        entry["values"] |= (values or {}).get(entry["method"], {})
        entry["note"] = (note or {}).get(entry["method"], "")
    table = long_table_of_manifest(manifest, results)
    names = tables.cell_names(table, manifest)
    return table, manifest, differences(table, names, manifest["axes"])


def test_committed_records_are_of_one_kind():
    assert found_in(REFERENCE)[2] == []


def test_a_difference_is_refused_naming_field_values_and_cells(records):
    change(records, "short_run_ot", n=999)
    _, _, found = found_in(records)
    with pytest.raises(InputError) as error:
        refuse_mixed(found, NAME)
    message = str(error.value)
    for words in (
        NAME, 'n is 999 ("short-run OT"); 1000 ("same, no correction")', "fd_digits", "mnist5k",
        "--allow-mixed",
    ):  # fmt: skip
        assert words in message, message
    assert len(message.splitlines()) <= 2


def test_one_seed_of_a_cell_is_named(records):
    change(records, "short_run_ot", seeds=[1], checksum="a" * 64)
    _, _, found = found_in(records)
    assert [d.field for d in found] == ["checksum"]
    assert found[0].cells["a" * 12] == ['"short-run OT" seed 1']
    assert found[0].cells["2dcf40c6bc21"] == ['"short-run OT" seed 0, 2', '"same, no correction"']


@pytest.mark.parametrize(
    "field",
    ["extractor", "checksum", "dimension", "n", "n_real", "split", "resize", "batch", "data",
     "units", "restarts", "neighbours"],
)  # fmt: skip
def test_whatever_a_number_is_must_agree(records, field):
    change(records, "short_run_ot", **{field: "another"})
    assert [d.field for d in found_in(records)[2]] == [field]


def test_hashes_are_compared_whole(records):
    change(records, "short_run_ot", checksum="a" * 64)
    change(records, "short_run_uncorrected", checksum="a" * 63 + "b")
    assert [d.field for d in found_in(records)[2]] == ["checksum"]


@pytest.mark.parametrize(
    "field", ["commit", "version", "device", "warning", "resampling_sd", "standard_error", "found"]
)
def test_who_computed_it_and_what_else_was_found_is_only_noted(records, field):
    change(records, "short_run_ot", **{field: "another"})
    assert found_in(records)[2] == []


def test_older_records_do_not_state_everything(records):
    added = {"dtype": "float32", "numerics": 2}
    change(records, "short_run_ot", **added)
    assert found_in(records)[2] == []
    change(records, "short_run_uncorrected", dtype="float64", numerics=2)
    assert [d.field for d in found_in(records)[2]] == ["dtype"]


def test_a_sweep_of_the_number_of_samples_is_allowed_and_said(records):
    change(records, "short_run_ot", n=500)
    key = "protocol.evaluation.samples"
    values = {"short_run_ot": {key: 500}, "short_run_uncorrected": {key: 1000}}
    table, manifest, found = found_in(records, ["method", key], values)
    refuse_mixed(found, NAME)
    text = "\n".join(notes(table, Marks(found), tables.cell_names(table, manifest)))
    assert f"**n varies with {key}**: 500, 1000. Compare" in text
    assert "n = 500 or 1000" in text
    assert "†" not in text


def test_a_sweep_of_the_model_excuses_nothing(records):
    change(records, "short_run_ot", n=500)
    values = {"short_run_ot": {"method.alpha": 0.5}, "short_run_uncorrected": {"method.alpha": 0.0}}
    with pytest.raises(InputError, match="n is 500"):
        refuse_mixed(found_in(records, ["method", "method.alpha"], values)[2], NAME)


def test_a_sweep_excuses_only_what_follows_it(records):
    change(records, "short_run_ot", seeds=[2], n=500)
    key = "protocol.evaluation.samples"
    values = {"short_run_ot": {key: 500}, "short_run_uncorrected": {key: 1000}}
    with pytest.raises(InputError, match="n is 1000"):
        refuse_mixed(found_in(records, ["method", key], values)[2], NAME)


def test_a_further_cell_that_overrides_what_is_evaluated_is_a_sweep(records):
    change(records, "short_run_ot", n=500)
    note = {"short_run_ot": "method=short_run_ot, protocol.evaluation.samples=500"}
    table, manifest, found = found_in(records, note=note)
    assert [d.swept for d in found] == ["protocol.evaluation.samples"]
    compared = differences_table(table, manifest, ["fd_digits", "mse_test"], Marks(found))
    assert compared.iloc[0, 1] == "-"  # 500 samples less 1,000 is no difference of methods
    assert compared.iloc[0, 2].startswith("**+")
    unrelated = {"short_run_ot": "method=short_run_ot, method.alpha=0.1"}
    assert [d.swept for d in found_in(records, note=unrelated)[2]] == [None]


def test_mixed_numbers_are_marked_where_allowed(records):
    change(records, "short_run_ot", metric="mse_test", n=7)
    change(records, "short_run_ot", metric="fd_digits", warning="few samples")
    table, manifest, found = found_in(records)
    marks = Marks(found, warned_cells(table))
    metrics = ["fd_digits", "mse_test", "latent_sliced_w2"]
    plain = tables.estimates_table(table, manifest, metrics, mark_best=True)
    assert plain.iloc[1, 3].startswith("**")
    marked = tables.estimates_table(table, manifest, metrics, mark_best=True, marks=marks)
    assert marked.iloc[0, 2] == plain.iloc[0, 2] + " ‡"
    assert marked.iloc[0, 3] == plain.iloc[0, 3] + " †"
    assert marked.iloc[1, 3] == plain.iloc[1, 3].strip("*") + " †"  # a tie; and nothing is best
    assert marked.iloc[:, 4].tolist() == plain.iloc[:, 4].tolist()
    difference = differences_table(table, manifest, metrics, marks)
    assert difference.iloc[0, 1].endswith(" ‡")
    unmarked = differences_table(table, manifest, metrics).iloc[0, 2]
    assert unmarked.startswith("**")
    assert difference.iloc[0, 2] == unmarked.strip("*") + " †"
    text = "\n".join(notes(table, marks, tables.cell_names(table, manifest)))
    assert (
        '† MSE, unseen images ↓ on mnist5k: **n differs**: 7 ("short-run OT"); 200 ("same' in text
    )
    assert "‡ FD, digit features ↓, short-run OT: few samples." in text
    assert (marks.panel_sign("mse_test"), marks.panel_sign("fd_digits")) == (" †", "")
    assert "$^\\dagger$" in tables.to_latex(marked, "x")
    assert improvement_table(table, manifest, metrics, marks) is None  # three seeds


def test_only_the_odd_ones_out_are_marked(records):
    change(records, "short_run_ot", seeds=[1], n=7)
    marks = Marks(found_in(records)[2])
    cells = {entry["method"]: entry["cell"] for entry in manifest_of(records)["runs"]}
    assert marks.signs("fd_digits", cells["short_run_ot"]) == "†"
    assert marks.signs("fd_digits", cells["short_run_uncorrected"]) == ""
    assert marks.signs("mse_test", cells["short_run_ot"]) == ""


def test_the_command_line_refuses_or_marks(records, tmp_path, capsys):
    change(records, "short_run_ot", n=999)
    places = ["--results", str(records), "--reports", str(tmp_path / "out")]
    assert main(["report", NAME, *places]) == 2
    assert "n is 999" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["report", NAME, *places, "--allow-mixed", "--interval", "bootstrap"]) == 0
    page = (tmp_path / "out" / NAME / "README.md").read_text()
    assert "**n differs**" in page
    assert "BCa, 9,999 seeded resamples" in page
    assert " †" in (tmp_path / "out" / NAME / "table.csv").read_text()
    with pytest.raises(InputError, match="allowed: t, bootstrap"):
        ltvm.make_report(NAME, records, tmp_path / "out", interval="sd")


def test_a_refused_report_does_not_keep_others_from_being_made(records, tmp_path, monkeypatch):
    change(records, "vae", seeds=[0], n=999)
    made = []

    def instead(name, *_):
        if name == NAME:
            raise InputError("mixed")
        made.append(name)
        return tmp_path

    monkeypatch.setattr("ltvm.api.make_report", instead)
    assert main(["report", "--results", str(records)]) == 2
    assert made == ["ot-mnist5k"]


def test_a_record_says_what_every_number_is(tmp_path):
    record = ltvm.train(
        ["protocol=smoke", "protocol.train_images=40", "protocol.test_images=12",
         "protocol.batch=20", "protocol.evaluation.unseen_images=4",
         "protocol.evaluation.codes=40", "method=vae"]
    )  # fmt: skip
    assert record["status"] == "done", record.get("traceback")
    for name, number in record["metrics"].items():
        for field in ("n", "split", "data", "dtype", "batch", "numerics", "version", "commit"):
            assert field in number, (name, field)
        assert number["dtype"] == "float32"
        if name.startswith("fd_"):
            assert {"extractor", "checksum", "dimension", "resize"} <= set(number)
    table = ltvm.long_table(tmp_path / "results")
    stated = json.loads(table[table["metric"] == "fd_digits"]["provenance"].iloc[0])
    assert stated == {
        k: v
        for k, v in record["metrics"]["fd_digits"].items()
        if k not in ("value", "lower_is_better")
    }
    write_long_table(table, tmp_path / "written")
    assert "provenance" in pd.read_csv(tmp_path / "written" / "long.csv")


def test_a_metric_of_ones_own_need_not_state_the_common_fields(tiny):
    def own(*_):
        return {
            "a": Measurement(1.0, {"n": 3, "split": "test"}),
            "b": Measurement(2.0, {"split": "train", "dtype": "float16"}),
        }

    own.lower_is_better = {"a": True}
    method = SimpleNamespace(decoder=torch.nn.Linear(1, 1).double())
    found = measure({"own": own}, method, tiny, Context(0, torch.device("cpu")))
    assert found["a"]["data"] == tiny.test.fingerprint
    assert found["b"]["data"] == tiny.train.fingerprint
    assert (found["a"]["dtype"], found["b"]["dtype"]) == ("float64", "float16")
    assert (found["a"]["lower_is_better"], found["b"]["lower_is_better"]) == (True, None)


def test_reference_statistics_are_kept_by_all_that_they_depend_on(tiny, monkeypatch):
    """Another extractor, resize, device, batch or split is never served another's moments."""
    made = []

    class Flat:
        name, dimension, checksum, resize, batch = "flat", 2, "0", "none", 1000

        def __call__(self, images):
            made.append(len(images))
            return images.flatten(1)[:, :2].double()

    extractor = Flat()
    monkeypatch.setattr(FrechetDistance, "extractor", lambda self, context: extractor)
    metric, cache = FrechetDistance(), {}

    def computed(data=tiny, device="cpu"):
        made.clear()
        reference(metric, data.train, Context(0, torch.device(device), cache))
        return bool(made)

    assert computed()
    assert not computed()
    assert not computed()
    for field, value in (("resize", "299"), ("checksum", "1"), ("name", "flatter"), ("batch", 7)):
        setattr(extractor, field, value)
        assert computed(), field
        assert not computed()
    assert computed(device="meta")
    assert computed(data=tiny.limited(30, None))
    other = ImageSet("tiny", "train", tiny.train.images.flip(3))  # as many, other pixels
    assert computed(data=DataSet(other, tiny.test))
