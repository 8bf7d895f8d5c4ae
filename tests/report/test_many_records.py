"""Hundreds of records: each is opened once, and a page shows some of them and says so."""

import importlib.util
import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import ltvm
from ltvm.cli.main import main
from ltvm.report.plots.drawing import MANY, Drawing
from ltvm.report.plots.figures import panels, save
from ltvm.report.values.cells import drawn_cells
from ltvm.report.values.rows import Rows
from ltvm.runs.files import index
from ltvm.runs.files.reading import DISK

ROOT = Path(__file__).resolve().parents[2]
RECORDS, SEEDS = 305, 5
OPENED = []  # names of files, while they are noted


def note_opening(event, arguments):
    if event == "open" and OPENED and isinstance(arguments[0], str):
        OPENED.append(arguments[0])


sys.addaudithook(note_opening)


@pytest.fixture(scope="module")
def synthetic():
    """The benchmark's module, which makes records."""
    spec = importlib.util.spec_from_file_location("records", ROOT / "benchmarks" / "records.py")
    module = sys.modules["records"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["records"]


@pytest.fixture(scope="module")
def many(synthetic, tmp_path_factory):
    """A results directory with an ablation of 61 cells."""
    root = tmp_path_factory.mktemp("many")
    synthetic.write_records(root, RECORDS, SEEDS)
    return root


@pytest.fixture
def keeps(monkeypatch):
    """The index is kept although the records are new."""
    monkeypatch.setattr(index, "SETTLED", -1.0)


def opened(call):
    """How many files of runs ``call`` opened, by their names; of records each once."""
    OPENED.append("")
    try:
        call()
        files = Counter(name for name in OPENED if "/runs/mnist5k/" in name)
    finally:
        OPENED.clear()
    assert all(n == 1 for name, n in files.items() if name.endswith((".json", ".yaml")))
    return Counter(Path(name).name for name in files)


EVALUATIONS = "85272457cd4a.json"


def test_one_pass_and_then_only_what_is_drawn(many, keeps, tmp_path, unrendered, capsys):
    def report():
        ltvm.make_report("grid", many, tmp_path)

    first = opened(lambda: main(["status", "--results", str(many)]))
    assert first == {"record.json": RECORDS, EVALUATIONS: RECORDS}
    assert "grid: 305 runs: 305 done" in capsys.readouterr().out
    drawn = {"history.csv": 12 * SEEDS, "samples.png": 12, "reconstructions.png": 12}
    (many / index.NAME).unlink()
    assert opened(report) == {"record.json": RECORDS, EVALUATIONS: RECORDS} | drawn
    assert opened(lambda: main(["status", "--results", str(many)])) == {}
    assert opened(lambda: ltvm.long_table(many)) == {"config.yaml": RECORDS}


def test_a_page_of_many_cells_says_what_it_does_not_show(many, tmp_path, unrendered, monkeypatch):
    monkeypatch.setattr("ltvm.report.page.text.ROWS", 50)
    monkeypatch.setattr("ltvm.report.page.text.LISTED", 300)
    monkeypatch.setattr("ltvm.report.page.write.LISTED", 300)
    folder = ltvm.make_report("grid", many, tmp_path)
    page = (folder / "README.md").read_text()
    for said in (
        "## Learning curves on mnist5k, 12 of 61 cells",
        "seed 0, 8 of 61 cells",
        "Here: the first 50 of 61 rows. All: [table.csv](table.csv), `.md`.",
        "The 305 runs, with files and command of each: [runs.md](runs.md).",
    ):  # fmt: skip
        assert said in page, said
    assert len((folder / "runs.md").read_text().splitlines()) == 2 + RECORDS
    assert len(pd.read_csv(folder / "table.csv")) == 61
    assert len((folder / "table.md").read_text().splitlines()) == 2 + 61
    assert "`runs/" not in page


def test_figures_of_very_many_cells_are_pictures_alone(tmp_path):
    runs = [{"cell": str(number)} for number in range(MANY)]
    for cells, suffixes in ((MANY - 1, (".png", ".svg")), (MANY, (".png",))):
        drawing = Drawing({"runs": runs[:cells]}, tmp_path, tmp_path / str(cells), "t", DISK)
        figure, _ = panels(1, 1.0, 1.0)
        save(figure, drawing.path("sweep"))
        assert drawing.written == {f"sweep{suffix}" for suffix in suffixes}
        assert {file.name for file in drawing.folder.iterdir()} == drawing.written


def test_a_table_of_a_store_is_that_of_the_files(many, keeps):
    first = ltvm.long_table(many)
    pd.testing.assert_frame_equal(ltvm.long_table(many), first)
    assert first["model.sigma"].nunique() == 7
    assert first.groupby("path").ngroups == RECORDS


def test_status_shows_of_many_cells_those_that_are_not_done(synthetic, many, monkeypatch, capsys):
    monkeypatch.setattr("ltvm.cli.status.CELLS", 10)
    assert main(["status", "--results", str(many)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "0 of 61 cells; of the others 61 are done. All of them: --json" in text


def test_runs_that_all_failed_are_shown_as_such(synthetic, tmp_path, capsys):
    synthetic.write_records(tmp_path, 45, 5, status="failed")
    for file in (tmp_path / "runs").rglob("record.json"):
        file.write_text(file.read_text().replace('"reason": null', '"reason": "out of luck"', 1))
    folder = ltvm.make_report("grid", tmp_path, tmp_path / "reports")
    page = (folder / "README.md").read_text()
    assert "0 of 5 (5 failed)" in page
    assert page.count("failed: out of luck") == 30
    assert "Not named here: 15 failed" in page
    assert page.count("| failed |") == 45
    assert main(["report", "--results", str(tmp_path), "--reports", str(tmp_path / "r")]) == 0


def test_reports_and_tables_need_no_torch():
    modules = "ltvm.report.page.write, ltvm.runs.ablations.overview, sys"
    code = f"import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_of_many_cells_equally_many_of_each_method_are_drawn():
    cells = [(f"{method}{n}", method) for n in range(4) for method in "abc"]
    table = pd.DataFrame([*cells, *cells], columns=["cell", "method"])
    assert drawn_cells(table, 12) == [cell for cell, _ in cells]
    assert drawn_cells(table, 7) == ["a0", "b0", "c0", "a1", "b1", "c1"]
    assert drawn_cells(table, 2) == ["a0", "b0"]
    assert drawn_cells(table[table["method"] == "a"], 3) == ["a0", "a1", "a2"]


VALUES = (None, 1, 2.5, "text", True)


@pytest.mark.parametrize("first", range(len(VALUES)))
def test_rows_make_the_table_that_dictionaries_would(first):
    """Columns that come late, are absent, have several kinds, or stand in head and kind alike."""
    rows, plain = Rows(), []
    values = itertools.cycle([*VALUES[first:], *VALUES[:first]])
    for number in range(40):
        shared = {"run": f"r{number // 4}", "late": next(values)} if number % 8 else {"run": "r"}
        shared |= {"a": next(values), "both": number % 3} if number % 5 else {}
        kind = (
            {"metric": "m", "value": None, "n": 1}
            if number % 3
            else {"metric": None, "value": None}
        )
        kind |= {"both": "kind", "b": next(values)} if number % 4 == 1 else {}
        value = None if kind["metric"] is None else number / 7
        key = tuple(sorted(kind.items(), key=repr))
        rows.add(rows.head(shared), rows.kind(key, lambda kind=kind: dict(kind)), value)
        plain.append(shared | kind | {"value": value})
    rows.head({"unused": 1})
    pd.testing.assert_frame_equal(rows.frame(), pd.DataFrame(plain), check_exact=True)
    assert Rows().frame().empty
