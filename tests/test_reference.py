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


def tables_of(file):
    """The Markdown tables of a file, by their header line."""
    blocks = [block for block in file.read_text().split("\n\n") if block.startswith("|")]
    return {block.splitlines()[0]: block.strip() for block in blocks}


@pytest.mark.parametrize("document", ["README.md", "docs/performance.md"])
def test_documents_quote_the_benchmarks_as_they_were_measured(document):
    measured = {}
    for file in sorted((REFERENCE / "bench").glob("*.md")):
        measured |= {(line, file.stem): file.read_text() for line in tables_of(file)}
    headers = {line for line, _ in measured}
    quoted = {k: v for k, v in tables_of(ROOT / document).items() if k in headers}
    assert quoted
    for header, table in quoted.items():
        rows = list(table.splitlines()[2:])
        texts = [text for (line, _), text in measured.items() if line == header]
        assert all(any(row in text for text in texts) for row in rows), header


def test_no_checkpoint_is_committed():
    assert not list(REFERENCE.rglob("*.pt"))
