"""What is committed agrees with itself: records, report, README."""

from pathlib import Path

import pytest

import ltvm

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "results" / "reference"
NAMES = sorted(path.stem for path in (REFERENCE / "ablations").glob("*.json"))


def test_there_is_a_reference():
    assert "ot-mnist5k" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_report_is_that_of_the_committed_records(name, tmp_path):
    rebuilt = ltvm.make_report(name, REFERENCE, tmp_path)
    for file in ("README.md", "table.md", "cost.csv", "long.csv"):
        committed = ROOT / "reports" / name / file
        assert (rebuilt / file).read_text() == committed.read_text(), file


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_tells_the_same_numbers(name):
    readme = (ROOT / "README.md").read_text()
    for table in ("table.md", "differences.md"):
        assert (ROOT / "reports" / name / table).read_text().strip() in readme


def test_no_checkpoint_is_committed():
    assert not list(REFERENCE.rglob("*.pt"))
