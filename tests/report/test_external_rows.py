"""Rows from elsewhere in tables: marked, compared by what they state, and never tested."""

from ltvm.metrics.columns import Column
from ltvm.report.cells import cell_names
from ltvm.report.comparability import Marks, differences
from ltvm.report.differences import pairs
from ltvm.report.hypotheses import best_cells
from ltvm.report.long_table import long_table_of_manifest
from ltvm.runtime.files import read_json, write_json


def test_a_row_from_elsewhere_is_not_tested_and_takes_the_mark_from_a_worse_one(written):
    for seed in range(3):  # best beyond doubt without it
        written.change("short_run_ot", [seed], value=1.0 + seed / 100)
    folder = written.run("short_run", 0, cell="outside")
    written.evaluation(folder, "e1", {"fd_digits": 0.5})
    file = written.manifest()
    card = {"external": {"source": "s", "n": 9, "cost": {"text": "a day"}}}
    write_json(folder / "record.json", read_json(folder / "record.json") | card)
    evaluation = folder / "evaluations" / "e1.json"
    content = read_json(evaluation)
    del content["values"]["fd_digits"]["dtype"]  # there is no decoder
    content["values"]["fd_digits"]["external"] = "gan"
    write_json(evaluation, content)

    manifest = read_json(file)
    table = long_table_of_manifest(manifest, written.root)
    names = cell_names(table, manifest)
    assert names["outside"] == "short_run (external)"
    assert differences(table, names, ["method"]) == []
    assert "outside" not in {cell for pair in pairs(table, manifest) for cell in pair}
    columns = {"fd_digits": Column("FD", "d", "generation", direction="lower", headline=True)}
    assert best_cells(table, ["fd_digits"], columns, Marks()) == set()
    worse = table.assign(value=table["value"].where(table["cell"] != "outside", 99.0))
    assert best_cells(worse, ["fd_digits"], columns, Marks()) == {
        ("fd_digits", "short_run_ot-cell")
    }
