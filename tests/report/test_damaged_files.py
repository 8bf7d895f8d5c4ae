"""A report names what it cannot read and has everything else; of its folder it removes its own."""

import pandas as pd
import pytest

import ltvm
from ltvm.api import ablate
from ltvm.cli.main import main
from ltvm.errors import InputError
from ltvm.report.page.write import write_report
from ltvm.report.values.long_table import long_table_of_store
from ltvm.runtime.files import read_json, write_json


def folder_of(written, number=0):
    return written.root / written.entries[number]["path"]


def report(written, tmp_path, **fields):
    return write_report(written.manifest(**fields), tmp_path / "reports")


@pytest.mark.parametrize(
    "text",
    [
        "", "\0\0", "a,b\n1,2\n", "iteration,flops\n1\n1,2,3\n", "iteration,flops\nx,y\n",
        "iteration,passes,flops,fd_digits_curve,loss,codes_sliced_w2_before,codes_sliced_w2_after\n"
        "1,2,3,abc,5,6,7\n",
    ],
)  # fmt: skip
def test_a_bad_history_is_named_and_left_out(written, tmp_path, unrendered, text, capsys):
    file = folder_of(written, 1) / "history.csv"
    file.write_text(text)
    page = (report(written, tmp_path) / "README.md").read_text()
    assert "](learning-curves.png)" in page
    assert (f"- Left out: {file} is no history" in page) == (text != "")
    assert ("left out" in capsys.readouterr().err) == (text != "")
    assert "unreadable" not in page


def test_a_bad_picture_is_named_and_left_out(written, tmp_path, unrendered, capsys):
    for number, content in enumerate((b"", b"\x89PNG\r\n\x1a\n then not")):
        (folder_of(written, 3 * number) / "samples.png").write_bytes(content)
    folder = report(written, tmp_path)
    page = (folder / "README.md").read_text()
    assert page.count("samples.png is no picture") == 2
    assert "](samples.png)" not in page
    assert "](reconstructions.png)" in page
    assert capsys.readouterr().err.count("samples.png") == 2


DAMAGES = {
    "record.json": ["", "[]", "{", '{"status": "done", "seconds": {"learning": "abc"}}'],
    "evaluations/e1.json": [
        "", '{"status": "done"}', '{"status": "done", "values": {"x": {"value": NaN}}}',
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in DAMAGES.items() for text in texts]
)
def test_a_bad_record_or_evaluation_is_named_and_stops_no_other(
    written, tmp_path, unrendered, name, text, capsys
):
    (folder_of(written) / name).write_text(text)
    folder = report(written, tmp_path)
    page = (folder / "README.md").read_text()
    path = written.entries[0]["path"]
    assert f"`{path}` unreadable: {name.rpartition('/')[2]} is not " in page
    assert f"ltvm: left out: {path}: " in capsys.readouterr().err
    assert pd.read_csv(folder / "table.csv", dtype=str)["runs"].tolist() == [
        "2 of 3 (1 unreadable)", "3",
    ]  # fmt: skip
    with pytest.warns(UserWarning, match="left out of the table: .*is not"):
        table = long_table_of_store(written.root)
    assert table["path"].nunique() == (5 if name == "record.json" else 6)
    assert main(["status", "--json", "--results", str(written.root)]) == 0
    if text != '{"status": "done"}':  # which is all that is asked for
        assert "is not " in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e["columns"].pop("mse_test"),
        lambda e: e.pop("versions"), lambda e: e.pop("columns"),
        lambda e: e["columns"]["mse_test"].update(family="nothing"),
        lambda e: e["columns"]["mse_test"].update(title=["a"]),
        lambda e: e["values"]["mse_test"].pop("value"),
        lambda e: e["values"]["mse_test"].update(n="many"),
    ],
)  # fmt: skip
def test_an_evaluation_that_does_not_say_what_its_values_are_is_damaged(
    written, tmp_path, unrendered, change
):
    file = folder_of(written) / "evaluations" / "e1.json"
    content = read_json(file)
    change(content)
    write_json(file, content)
    page = (report(written, tmp_path) / "README.md").read_text()
    assert "unreadable: e1.json is not an evaluation (" in page


@pytest.mark.parametrize("key", ["seconds", "passes", "peak_memory_mb", "fingerprints", "versions",
                                 "identity", "curves", "flops", "equal", "device"])  # fmt: skip
def test_a_record_of_another_version_lacks_what_it_lacks(written, tmp_path, unrendered, key):
    file = folder_of(written) / "record.json"
    content = read_json(file)
    del content[key]
    write_json(file, content)
    table = pd.read_csv(report(written, tmp_path) / "table.csv", dtype=str)
    assert table["runs"].tolist() == ["3", "3"]


def test_where_no_record_can_be_read_the_first_is_named(written, tmp_path):
    for number in range(len(written.entries)):
        (folder_of(written, number) / "record.json").write_text("{")
    with pytest.raises(
        InputError, match=r"none of its 6 runs has a record in .*record.json is not"
    ):
        report(written, tmp_path)
    assert not (tmp_path / "reports").exists()


def test_files_of_an_earlier_report_go_and_those_of_others_stay(written, tmp_path, unrendered):
    folder = report(written, tmp_path)
    outside = tmp_path / "reports" / "mine.csv"
    for mine in (outside, folder / "mine.csv", folder / "tests-of-mine.csv"):
        mine.write_text("mine")
    before = {file.name for file in folder.iterdir()}
    listed = (folder / ".files").read_text()
    assert {"tests-primary.csv", "comparison.svg", "samples.png", "README.md"} <= set(
        listed.split()
    )
    assert set(listed.split()) == before - {".files", "mine.csv", "tests-of-mine.csv"} | {
        f"{name}{suffix}" for name in ("comparison", "correction", "learning-curves", "samples",
        "reconstructions") for suffix in (".png", ".svg") if f"{name}{suffix}" in listed
    }  # fmt: skip
    (folder / ".files").write_text(listed + "../mine.csv\n/etc/hostname\n\n..\n.files\nreports\n")
    report(written, tmp_path, reference=None)  # no differences, no tests
    after = {file.name for file in folder.iterdir()}
    gone = before - after
    assert {"tests-primary.csv", "differences.md"} <= gone
    of_reference = ("tests-", "differences", "power", "time-to-quality.", "along-training.")
    assert all(name.startswith(of_reference) for name in gone)
    assert {"mine.csv", "tests-of-mine.csv", "README.md", ".files"} <= after
    assert outside.is_file()


def test_reports_that_cannot_be_written_are_found_before_anything_is_trained(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(
        "ltvm.runs.launching.sweep.sweep", lambda *_: pytest.fail("something was trained")
    )
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="paths.reports=.*: cannot be written"):
            ablate(["ablation=ot", "protocol=smoke", f"paths.reports={place}"])
    arguments = ["ablate", "ablation=ot", "protocol=smoke", f"paths.reports={tmp_path / 'file'}"]
    assert main(arguments) == 2
    assert "paths.reports=" in capsys.readouterr().err
    assert not (tmp_path / "results" / "ablations").exists()


def test_a_report_says_where_it_cannot_be_written(written, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="reports=.*: cannot be written"):
        ltvm.make_report(written.manifest().stem, written.root, tmp_path / "file")


@pytest.mark.parametrize(
    "key", ["question", "axes", "runs", "cell", "seed", "values", "evaluations"]
)
@pytest.mark.parametrize("value", [None, 1.5])
def test_a_manifest_of_another_kind_is_named(written, key, value, capsys):
    file = written.manifest()
    content = read_json(file)
    for part in (content, *content["runs"]):
        part.update({key: value} if key in part else {})
    write_json(file, content)
    assert main(["status", "--results", str(written.root)]) == 0
    assert f"{file} is not a manifest" in capsys.readouterr().err
    assert main(["report", "--results", str(written.root)]) == 2
    assert f"{file} is not a manifest" in capsys.readouterr().err
