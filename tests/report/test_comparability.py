"""Every number says what it is; numbers of different kinds share no column unseen."""

import pytest

import ltvm
from ltvm.cli.main import main
from ltvm.errors import InputError
from ltvm.report.comparisons.differences import differences_table, improvement_table
from ltvm.report.sentences.notes import notes
from ltvm.report.tables.texts import estimates_table
from ltvm.report.tables.writers import to_latex
from ltvm.report.values.cells import cell_names
from ltvm.report.values.comparability import Marks, differences, refuse_mixed, warned_cells
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runtime.files import read_json

NAME = "ot-mnist5k"


def found_in(written, axes=None, values=None, note=None):
    """(table, manifest, differences); ``values`` gives each method its swept value."""
    manifest = read_json(written.root / "ablations" / f"{NAME}.json")
    manifest["axes"] = axes or manifest["axes"]
    for entry in manifest["runs"]:
        entry["values"] |= (values or {}).get(entry["method"], {})
        entry["note"] = (note or {}).get(entry["method"], "")
    table = long_table_of_manifest(manifest, written.root)
    names = cell_names(table, manifest)
    return table, manifest, differences(table, names, manifest["axes"])


def test_records_of_one_kind_differ_in_nothing(written):
    assert found_in(written)[2] == []


def test_a_difference_is_refused_naming_field_values_and_cells(written):
    written.change("short_run_ot", n=999)
    _, _, found = found_in(written)
    with pytest.raises(InputError) as error:
        refuse_mixed(found, NAME)
    message = str(error.value)
    for words in (
        NAME, 'n is 999 ("short-run OT"); 1000 ("same, no correction")', "fd_digits", "mnist5k",
        "--allow-mixed",
    ):  # fmt: skip
        assert words in message, message
    assert len(message.splitlines()) <= 2


def test_one_seed_of_a_cell_is_named(written):
    written.change("short_run_ot", seeds=[1], checksum="a" * 64)
    _, _, found = found_in(written)
    assert [d.field for d in found] == ["checksum"]
    assert found[0].cells["a" * 12] == ['"short-run OT" seed 1']
    assert found[0].cells["2dcf40c6bc21"] == ['"short-run OT" seed 0, 2', '"same, no correction"']


@pytest.mark.parametrize(
    "field",
    ["extractor", "checksum", "dimension", "n", "n_real", "split", "resize", "batch", "data",
     "units", "restarts", "neighbours"],
)  # fmt: skip
def test_whatever_a_number_is_must_agree(written, field):
    written.change("short_run_ot", **{field: 7 if field == "n" else "another"})
    assert [d.field for d in found_in(written)[2]] == [field]


def test_hashes_are_compared_whole(written):
    written.change("short_run_ot", checksum="a" * 64)
    written.change("short_run_uncorrected", checksum="a" * 63 + "b")
    assert [d.field for d in found_in(written)[2]] == ["checksum"]


@pytest.mark.parametrize(
    "field", ["commit", "version", "device", "warning", "bandwidth", "standard_error", "found"]
)
def test_who_computed_it_and_what_else_was_found_is_only_noted(written, field):
    written.change("short_run_ot", **{field: 7 if field == "n" else "another"})
    assert found_in(written)[2] == []


def test_what_a_number_does_not_state_differs_from_what_another_states(written):
    written.change("short_run_ot", neighbours=5)
    assert found_in(written)[2][0].cells["not stated"] == ['"same, no correction"']


def test_a_sweep_of_the_number_of_samples_is_allowed_and_said(written):
    written.change("short_run_ot", n=500)
    key = "protocol.evaluation.samples"
    values = {"short_run_ot": {key: 500}, "short_run_uncorrected": {key: 1000}}
    table, manifest, found = found_in(written, ["method", key], values)
    refuse_mixed(found, NAME)
    text = "\n".join(notes(table, Marks(found), cell_names(table, manifest)))
    assert f"**n varies with {key}**: 500, 1000. Compare" in text
    assert "n = 500 or 1000" in text
    assert "†" not in text


def test_a_sweep_of_the_model_excuses_nothing(written):
    written.change("short_run_ot", n=500)
    values = {"short_run_ot": {"method.alpha": 0.5}, "short_run_uncorrected": {"method.alpha": 0.0}}
    with pytest.raises(InputError, match="n is 500"):
        refuse_mixed(found_in(written, ["method", "method.alpha"], values)[2], NAME)


def test_a_sweep_excuses_only_what_follows_it(written):
    written.change("short_run_ot", seeds=[2], n=500)
    key = "protocol.evaluation.samples"
    values = {"short_run_ot": {key: 500}, "short_run_uncorrected": {key: 1000}}
    with pytest.raises(InputError, match="n is 1000"):
        refuse_mixed(found_in(written, ["method", key], values)[2], NAME)


def test_a_further_cell_that_overrides_what_is_evaluated_is_a_sweep(written):
    written.change("short_run_ot", n=500)
    note = {"short_run_ot": "method=short_run_ot, protocol.evaluation.samples=500"}
    table, manifest, found = found_in(written, note=note)
    assert [d.swept for d in found] == ["protocol.evaluation.samples"]
    compared = differences_table(table, manifest, ["fd_digits", "mse_test"], Marks(found))
    assert compared.iloc[0, 1] == "-"  # 500 samples less 1,000 is no difference of methods
    assert compared.iloc[0, 2].startswith("**+")
    unrelated = {"short_run_ot": "method=short_run_ot, method.alpha=0.1"}
    assert [d.swept for d in found_in(written, note=unrelated)[2]] == [None]


def test_mixed_numbers_are_marked_where_allowed(written):
    written.change("short_run_ot", metric="mse_test", n=7)
    written.change("short_run_ot", metric="fd_digits", warning="few samples")
    table, manifest, found = found_in(written)
    marks = Marks(found, warned_cells(table))
    metrics = ["fd_digits", "mse_test", "latent_sliced_w2"]
    plain = estimates_table(table, manifest, metrics, mark_best=True)
    assert plain.iloc[1, 3].startswith("**")
    marked = estimates_table(table, manifest, metrics, mark_best=True, marks=marks)
    assert marked.iloc[0, 2] == plain.iloc[0, 2] + " ‡"
    assert marked.iloc[0, 3] == plain.iloc[0, 3] + " †"
    assert marked.iloc[1, 3] == plain.iloc[1, 3].strip("*") + " †"  # a tie; and nothing is best
    assert marked.iloc[:, 4].tolist() == plain.iloc[:, 4].tolist()
    difference = differences_table(table, manifest, metrics, marks)
    assert difference.iloc[0, 1].endswith(" ‡")
    unmarked = differences_table(table, manifest, metrics).iloc[0, 2]
    assert unmarked.startswith("**")
    assert difference.iloc[0, 2] == unmarked.strip("*") + " †"
    text = "\n".join(notes(table, marks, cell_names(table, manifest)))
    assert (
        '† MSE, unseen images ↓ on mnist5k: **n differs**: 7 ("short-run OT"); 1000 ("same' in text
    )
    assert "‡ FD, digit features ↓, short-run OT: few samples." in text
    assert (marks.panel_sign("mse_test"), marks.panel_sign("fd_digits")) == (" †", "")
    assert "$^\\dagger$" in to_latex(marked, "x")
    assert improvement_table(table, manifest, metrics, marks) is None  # three seeds


def test_only_the_odd_ones_out_are_marked(written):
    written.change("short_run_ot", seeds=[1], n=7)
    marks = Marks(found_in(written)[2])
    cells = {entry["method"]: entry["cell"] for entry in written.entries}
    assert marks.signs("fd_digits", cells["short_run_ot"]) == "†"
    assert marks.signs("fd_digits", cells["short_run_uncorrected"]) == ""
    assert marks.signs("mse_test", cells["short_run_ot"]) == ""


def test_the_command_line_refuses_or_marks(written, tmp_path, capsys, unrendered):
    written.change("short_run_ot", n=999)
    places = ["--results", str(written.root), "--reports", str(tmp_path / "out")]
    assert main(["report", NAME, *places]) == 2
    assert "n is 999" in capsys.readouterr().err
    assert not (tmp_path / "out" / NAME).exists()
    assert main(["report", NAME, *places, "--allow-mixed", "--interval", "bootstrap"]) == 0
    page = (tmp_path / "out" / NAME / "README.md").read_text()
    assert "**n differs**" in page
    assert "BCa, 9,999 seeded resamples" in page
    assert " †" in (tmp_path / "out" / NAME / "table.csv").read_text()
    with pytest.raises(InputError, match="allowed: t, bootstrap"):
        ltvm.make_report(NAME, written.root, tmp_path / "out", interval="sd")


def test_a_refused_report_does_not_keep_others_from_being_made(written, tmp_path, monkeypatch):
    written.manifest("another")
    made = []

    def instead(name, *_):
        if name == NAME:
            raise InputError("mixed")
        made.append(name)
        return tmp_path

    monkeypatch.setattr("ltvm.api.make_report", instead)
    assert main(["report", "--results", str(written.root)]) == 2
    assert made == ["another"]
