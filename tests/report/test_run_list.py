"""Every row at every seed: its values, the files they are in, and the command that does it."""

import json
import re
import shutil
from pathlib import Path

import pytest

from ltvm.report.page.write import write_report
from ltvm.report.tables.run_list import link_base


def rows_of(page):
    """Of the table of runs: seed and method are told by the path of the linked record."""
    text = (page / "README.md").read_text().split("Every run: ")[1]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[part.strip() for part in line.strip("|").split(" | ")] for line in lines]


def test_a_number_of_a_seed_is_that_of_the_file_beside_it(written, unrendered):
    """The way that a reader takes: from the page to the record, the evaluation and its value."""
    folder = write_report(written.manifest(), written.root.parent / "reports")
    heads, _, *rows = rows_of(folder)
    assert len(rows) == len(written.entries)
    for row in rows:
        told = dict(zip(heads, row, strict=True))
        links = dict(re.findall(r"\[(\w+)\]\(([^)]*)\)", told["files"]))
        assert list(links) == ["record", "configuration", "evaluation"]
        assert all((folder / file).is_file() for file in links.values())
        record = json.loads((folder / links["record"]).read_text())
        assert (told["seed"], told["status"]) == (str(record["seed"]), "done")
        values = json.loads((folder / links["evaluation"]).read_text())["values"]
        assert told["FD, digit features ↓"] == f"{values['fd_digits']['value']:.5g}"
        assert told["command"].startswith("`ltvm train ")


def test_a_run_that_is_not_done_has_no_link(written, unrendered):
    entry = written.entries[0]
    shutil.rmtree(written.root / entry["path"])
    folder = write_report(written.manifest(), written.root.parent / "reports")
    heads, _, first, *_ = rows_of(folder)
    told = dict(zip(heads, first, strict=True))
    assert (told["status"], told["FD, digit features ↓"]) == ("pending", "-")
    assert told["files"] == f"`{entry['path']}/record.json`"


@pytest.mark.parametrize(
    ("folder", "results", "base"),
    [
        ("x/reports/ot", "x/results", "../../results"),
        ("x/reports/reference/ot", "x/results/reference", "../../../results/reference"),
        ("x/reports/ot", "y/other/results", "../../../y/other/results"),
        ("x/y/reports/deep/ot", "results", None),
    ],
)
def test_results_far_from_a_report_are_not_linked(folder, results, base, tmp_path):
    assert link_base(tmp_path / folder, tmp_path / Path(results)) == base


def test_no_way_leads_through_the_root():
    assert link_base(Path("/here/reports/ot"), Path("/elsewhere/results")) is None
