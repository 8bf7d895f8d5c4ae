"""Cells that an ablation adds one by one, drawn against the number that they set."""

import pytest
import yaml

from ltvm.report.page.write import write_report
from ltvm.report.plots.added_cells import added_sweeps
from ltvm.report.values.cells import note_texts
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.manifest import read_manifest
from ltvm.runs.files.reading import DISK
from ltvm.runtime.files import write_text

ADDED = {  # note -> alpha, solver
    "": (0.5, "auto"),
    "method.alpha=0.3": (0.3, "auto"),
    "method.alpha=1.0": (1.0, "auto"),
    "method.solver=bsp, method.alpha=0.3": (0.3, "bsp"),
    "method.solver=bsp, method.alpha=0.5": (0.5, "bsp"),
    "method.batchnorm=running": (0.5, "auto"),
}


def set_in_config(folder, **method):
    file = folder / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["method"] |= method
    write_text(file, yaml.safe_dump(config))


@pytest.fixture
def added(written):
    """What the fixture has, and further cells of a method with their notes."""
    for at, (note, (alpha, solver)) in enumerate(ADDED.items()):
        for seed in (0, 1):
            folder = written.run("short_run_fresh", seed, cell=f"added{at}")
            written.entries[-1]["note"] = note
            norm = "running" if "running" in note else "batch"
            set_in_config(folder, alpha=alpha, solver=solver, batchnorm=norm)
            written.evaluation(folder, "e1", {"fd_digits": 100 * alpha + seed})
    return written


def sweeps(written, **fields):
    manifest = read_manifest(written.manifest(**fields))
    table = long_table_of_manifest(manifest, written.root)
    return list(added_sweeps(manifest, table[table["metric"].notna()], written.root, DISK))


def test_the_number_that_added_cells_set_is_swept_with_the_cell_they_are_added_to(added):
    (found,) = sweeps(added)
    assert (found.key, found.others) == ("method.alpha", ["method.solver", "method.batchnorm"])
    own = found.rows[found.rows["method"] == "short_run_fresh"].drop_duplicates("cell")
    values = list(zip(own["method.alpha"], own["method.solver"], strict=True))
    assert values == list(ADDED.values())
    (reference,) = found.rows[found.rows["method"] != "short_run_fresh"]["method"].unique()
    assert reference == "short_run_uncorrected"
    beside = found.rows[found.rows["method"] == reference]
    assert beside["method.alpha"].isna().all()


def test_two_values_are_no_sweep_nor_are_cells_at_other_values_of_an_axis(added):
    for entry in added.entries:
        if entry["note"] == "method.alpha=1.0":
            entry["values"]["method.steps"] = 5  # of another grid: joins none of these
    added.entries = [e for e in added.entries if e["note"] != "method.batchnorm=running"]
    assert sweeps(added, axes=["method", "method.steps"]) == []
    added.entries = [e for e in added.entries if e["note"] not in ("method.alpha=0.3",
                     "method.solver=bsp, method.alpha=0.3", "method.alpha=1.0")]  # fmt: skip
    assert sweeps(added) == []


def test_a_configuration_that_cannot_be_read_leaves_its_cell_out(added):
    (entry,) = [e for e in added.entries if e["note"] == "method.alpha=0.3" and e["seed"] == 0]
    (added.root / entry["path"] / "config.yaml").write_text("[")
    (found,) = sweeps(added)
    assert entry["cell"] not in set(found.rows["cell"])


def test_their_names_say_what_they_set_but_for_the_method():
    note = "method=short_run_corrected, method.solver=bsp, method.kernel.size=0.3"
    assert note_texts({"note": note}) == ["solver = bsp", "kernel.size = 0.3"]
    assert note_texts({"note": "method.solver=gaussian, sampler=gmm"}) == ["solver = gaussian"]
    assert note_texts({"note": "from elsewhere"}) == ["from elsewhere"]
    assert note_texts({"note": ""}) == note_texts({"note": None}) == note_texts({}) == []


def test_a_report_draws_them(added, tmp_path):
    folder = write_report(added.manifest(), tmp_path / "reports")
    assert (folder / "sweep-short_run_fresh-alpha.png").is_file()
    assert "metrics against method.alpha" in (folder / "README.md").read_text()
