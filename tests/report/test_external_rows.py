"""Rows from elsewhere, and such that ship: marked, compared by what they state."""

from ltvm.metrics.columns import Column
from ltvm.report.comparisons.differences import pairs
from ltvm.report.comparisons.hypotheses import best_cells
from ltvm.report.page.write import write_report
from ltvm.report.sentences.notes import stored_notes, unequal_seeds
from ltvm.report.sentences.terms import machines_text
from ltvm.report.tables.texts import estimates_table, with_devices
from ltvm.report.values.cells import cell_names, stored_texts
from ltvm.report.values.comparability import Marks, differences
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runtime.files import read_json, write_json


def test_a_row_from_elsewhere_is_not_tested_and_takes_the_mark_from_a_worse_one(written):
    for seed in range(3):  # significantly best without it
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


def test_rows_that_ship_say_so_with_their_device_commit_and_torch(written):
    for seed in (0, 1):
        file = written.root / f"runs/mnist5k/short_run_ot/short_run_ot-cell/seed={seed}/record.json"
        made = {"stored": "ltvm 0.1.0", "device": "another", "commit": "def"}
        write_json(file, read_json(file) | made)
    manifest = read_json(written.root / "ablations" / "ot-mnist5k.json")
    table = long_table_of_manifest(manifest, written.root)
    assert stored_texts(table) == {"short_run_ot-cell": " (2 of 3 stored)"}
    names = cell_names(table, manifest)
    assert names["short_run_ot-cell"] == "short-run OT (2 of 3 stored)"
    (line,) = stored_notes(table, names)
    assert line == (
        "- Stored with ltvm 0.1.0, not trained here: short-run OT (2 of 3 stored) (device another; "
        "commit def; torch 2). Rows trained here have another device, commit."
    )
    assert machines_text(table).startswith("Seconds are of several machines: compare")
    equal = table.assign(equal="seconds")
    assert "several machines and are no equal terms" in machines_text(equal)
    costs = estimates_table(table, manifest, ["training_seconds"], False)
    assert list(with_devices(costs, table)["device"]) == ["another or cpu", "cpu"]
    shipped = table[table["stored"].notna()]
    assert machines_text(shipped) == ""  # all of one
    alone = table[table["stored"].isna() & (table["device"] == "cpu")].drop(columns="stored")
    assert machines_text(alone) == ""
    assert "device" not in with_devices(costs.drop(columns="device"), alone)


def test_unequal_seeds_of_a_paired_table_are_named_in_a_line(written, capsys, unrendered):
    table = long_table_of_manifest(manifest := read_json(written.manifest()), written.root)
    names = cell_names(table, manifest)
    assert list(unequal_seeds(table, names)) == []
    fewer = table[(table["method"] != "short_run_ot") | (table["seed"] != 1)]
    said = "Unequal seeds on mnist5k: short-run OT has 0, 2 of 0, 1, 2; differences and tests are"
    (line,) = unequal_seeds(fewer, names)
    assert line.startswith(said)
    waiting = fewer.assign(status=fewer["status"].where(fewer["seed"] != 2, "pending"))
    assert list(unequal_seeds(waiting, names)) == []  # the head of the page says what is to come

    record = written.root / "runs/mnist5k/short_run_ot/short_run_ot-cell/seed=1/record.json"
    write_json(record, read_json(record) | {"status": "diverged", "reason": "too hot"})
    folder = write_report(written.root / "ablations/ot-mnist5k.json", written.root.parent)
    assert f"ltvm: {said}" in capsys.readouterr().err
    assert f"- {said}" in (folder / "README.md").read_text()
