"""A prior gap that is lower because decoded images got worse is said to be that, by rule."""

from html import unescape
from pathlib import Path

import pytest

from ltvm.metrics.columns import Column
from ltvm.report.interactive.render import page
from ltvm.report.page.write import write_report
from ltvm.report.sentences.gaps import WrongSide, wrong_side_texts, wrong_sides
from ltvm.report.values.cells import cell_names
from ltvm.report.values.comparability import Difference, Marks
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.manifest import read_manifest
from ltvm.runtime.files import read_json
from tests.report.conftest import Results

COLUMNS = {
    "fd_digits": Column("FD", "of samples", "generation", direction="lower", headline=True),
    "fd_digits_decoded": Column("FD, decoded", "of decoded codes", "generation"),
    "prior_gap": Column("prior gap, FD", "of both", "generation", headline=True),
}
ROOT = Path(__file__).parents[2]
NOISE = (0.0, 1.0, -1.0)  # over seeds, by which differences are told apart, or not


def results(root, rows, gap=0.0):
    """Rows of (method, FD, FD decoded); ``gap`` is added to what the gap is."""
    written = Results(root)
    for number, (method, sampled, decoded) in enumerate(rows):
        for seed in range(3):
            folder = written.run(method, seed)
            own = sampled + NOISE[seed] * (1 + number / 10)
            values = {"fd_digits": own, "fd_digits_decoded": decoded,
                      "prior_gap": own - decoded + gap * number}  # fmt: skip
            written.evaluation(folder, "e1", values, COLUMNS)
    return written


def found(written, marks=None):
    manifest = read_manifest(written.manifest())
    table = long_table_of_manifest(manifest, written.root)
    return wrong_sides(table, manifest, marks or Marks())


TWIN = ("short_run_uncorrected", 745.0, 225.0)


@pytest.mark.parametrize(
    ("sampled", "decoded", "wrong"),
    [
        (793.0, 313.0, True),  # the committed numbers: both worse, decoded images by more
        (745.0, 300.0, True),  # samples no better
        (700.0, 300.0, False),  # better samples: no caveat, whatever became of decoded images
        (700.0, 225.0, False),
        (793.0, 225.0, False),  # a wider gap
        (745.0, 225.0, False),  # the same gap
        (800.0, 200.0, False),
    ],
)
def test_the_rule(tmp_path, sampled, decoded, wrong):
    written = results(tmp_path, [("short_run_ot", sampled, decoded), TWIN])
    expected = WrongSide("short_run_ot-cell", "short_run_uncorrected-cell", "fd_digits")
    assert found(written) == ([expected] if wrong else [])


def test_not_of_numbers_that_are_no_such_gap_or_do_not_compare(tmp_path):
    rows = [("short_run_ot", 793.0, 313.0), TWIN]
    assert found(results(tmp_path / "other", rows, gap=1.0)) == []  # a gap of something else
    written = results(tmp_path / "own", rows)
    cells = ("short_run_ot-cell", "short_run_uncorrected-cell")
    values = {cells[0]: frozenset({"1"}), cells[1]: frozenset({"2"})}
    swept = Difference("mnist5k", "fd_digits", "n", {}, values, frozenset(), "protocol")
    assert found(written, Marks([swept])) == []
    written.run("short_run_ot", 3, status="interrupted")
    assert found(written) == []  # runs are to come


def test_page_and_text_say_it_of_the_first_rows(tmp_path, undrawn):
    others = [(f"method{i}", 800.0 + i, 400.0) for i in range(5)]
    written = results(tmp_path, [("short_run_ot", 793.0, 313.0), *others, TWIN])
    file = written.manifest()
    manifest = read_manifest(file)
    table = long_table_of_manifest(manifest, written.root)
    (text,) = wrong_side_texts(table, manifest, Marks(), "t")
    assert text.startswith(
        "The prior gap is lower than the reference's from the wrong side for “short-run OT” ("
    )
    assert text.count("“") == 4
    assert "), and 2 more: by its mean, FD ↓ of prior samples is not lower there (+48" in text
    assert "(+88.00 ± 0.00, +175.0 ± 0.0, +175.0 ± 0.0, +175.0 ± 0.0). Such a gap" in text
    assert text in unescape(page(manifest, table, Marks(), "t", written.root))
    folder = write_report(file, tmp_path / "reports")
    assert f"\n- {text}\n" in (folder / "README.md").read_text()


def test_the_rows_of_the_committed_report():
    """What docs/findings.md says of ``ot-mnist5k`` in words."""
    file = ROOT / "results" / "reference" / "ablations" / "ot-mnist5k.json"
    manifest = read_json(file)
    table = long_table_of_manifest(manifest, file.parent.parent)
    names = cell_names(table, manifest)
    assert [names[one.cell] for one in wrong_sides(table, manifest, Marks())] == [
        "short-run OT", "SRI",
    ]  # fmt: skip
