"""A run that diverged is a miss: what is left of its row is told, and neither tested nor best."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import ltvm
from ltvm.metrics.columns import Column
from ltvm.report.comparisons.along_training import along_table
from ltvm.report.comparisons.differences import difference_tests, improvement_table
from ltvm.report.comparisons.hypotheses import best_cells
from ltvm.report.comparisons.power import sensitivity_table
from ltvm.report.comparisons.time_to_quality import measured, time_table
from ltvm.report.interactive.contents import curves_of
from ltvm.report.plots.history_figures import ENDED, learning_curves, shared_iterations
from ltvm.report.values.comparability import Marks
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.manifest import read_manifest
from ltvm.runtime.files import read_json, write_json

CLAIM = {
    "name": "C1", "claim": "It is worse.", "metric": "mse_test", "expected": "worse",
    "row": {"method": "short_run_ot"}, "against": {"method": "short_run_uncorrected"},
    "smallest": 0.1, "stated": "2026-11-29",
}  # fmt: skip
HEADS = {"head": Column("head", "", "generation", direction="lower", headline=True)}
CURVE = {"curve": Column("curve", "", "generation", direction="lower", headline=True)}
MANIFEST = {"axes": ["method"], "reference": "base"}


def diverge(results, method, seed):
    """Have a run end with too large a code, after its first iteration."""
    for entry in results.entries:
        if (entry["method"], entry["seed"]) == (method, seed):
            folder = results.root / entry["path"]
            record = read_json(folder / "record.json")
            write_json(folder / "record.json", record | {"status": "diverged", "reason": "codes"})
            (folder / "evaluations" / "e1.json").unlink()
            rows = (folder / "history.csv").read_text().splitlines()
            (folder / "history.csv").write_text("\n".join(rows[:2]) + "\n")


def page(results, name, **fields):
    results.manifest(**fields)
    folder = ltvm.make_report("ot-mnist5k", results.root, results.root / "reports")
    return pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)


@pytest.mark.parametrize("method", ["short_run_ot", "short_run_uncorrected"])
def test_a_claim_of_a_row_that_diverged_is_undecided(written, unrendered, method):
    assert page(written, "claims", claims=[CLAIM]).loc[0, "verdict"] == "supported"
    diverge(written, method, 2)
    found = page(written, "claims", claims=[CLAIM]).iloc[0]
    assert found["verdict"] == "undecided here; runs diverged: 2 of 3 (1 diverged)"


def test_a_claim_pairs_no_row_from_elsewhere(written, unrendered):
    for entry in written.entries[:3]:
        file = written.root / entry["path"] / "record.json"
        card = {"external": {"source": "s", "n": 9, "cost": {"text": "a day"}}}
        write_json(file, read_json(file) | card)
    found = page(written, "claims", claims=[CLAIM]).iloc[0]
    assert found["verdict"] == "not asked here; a row from elsewhere shares no seed"


def page_curve(results, method, values):
    """The curve of a method's cell as the page has it, of ``values`` by seed and iteration."""
    for entry in results.entries:
        if entry["method"] == method:
            rows = [
                {"iteration": i, "passes": i, "flops": 1e9 * i, "fd_digits_curve": value}
                for i, value in enumerate(values[entry["seed"]], 1)
            ]
            file = results.root / entry["path"] / "history.csv"
            file.write_text(pd.DataFrame(rows).to_csv(index=False))
    manifest = read_manifest(results.manifest())
    table = long_table_of_manifest(manifest, results.root)
    found = curves_of(manifest, table, "t", results.root)
    return found["of"]["fd_digits_curve"]["cells"][f"{method}-cell"], found.get("ended")


def test_a_run_that_diverged_has_no_part_in_a_curve(written):
    """At 900 it would, and the mean would fall where it ends, though no seed improves."""
    diverge(written, "short_run_ot", 2)
    points, ended = page_curve(written, "short_run_ot", [[101, 102], [101, 102], [900]])
    assert [(point["mean"], point["seeds"]) for point in points] == [
        (101, [101, 101]), (102, [102, 102]),
    ]  # fmt: skip
    assert ended is None


def test_a_curve_ends_where_the_first_of_its_seeds_does(written, unrendered):
    """Of equal seconds, one does fewer iterations than another."""
    points, ended = page_curve(written, "short_run_ot", [[101, 102], [101, 102], [900]])
    assert [point["seeds"] for point in points] == [[101, 101, 900]]
    assert ended == ENDED
    folder = ltvm.make_report("ot-mnist5k", written.root, written.root / "reports")
    text = (folder / "README.md").read_text()
    assert f"## Learning curves on mnist5k, {ENDED}\n" in text
    assert f"A mean is drawn {ENDED}." in (folder / "index.html").read_text()
    page_curve(written, "short_run_ot", [[101, 102], [101, 102], [900, 900]])
    folder = ltvm.make_report("ot-mnist5k", written.root, written.root / "reports")
    assert all(ENDED not in (folder / name).read_text() for name in ("README.md", "index.html"))


def test_a_figure_has_the_same_curves(tmp_path, monkeypatch):
    rows = [(0, 1, 101.0), (0, 2, 102.0), (1, 1, 101.0), (1, 2, 102.0), (2, 1, 901.0)]
    table = pd.DataFrame(rows, columns=["seed", "iteration", "x"])
    table = table.assign(cell="a", method="a", flops=1e9 * table["iteration"])
    drawn = []
    monkeypatch.setattr(Axes, "errorbar", lambda _, *about, **__: drawn.append(about))
    monkeypatch.setattr("ltvm.report.plots.history_figures.add_legend", lambda *_: None)
    learning_curves(table, {"a": "A"}, {"x": "X"}, {"a": ("#000000", "o")}, tmp_path / "curves")
    ((spent, mean, _),) = drawn
    assert (list(spent), list(mean)) == ([1e9], [pytest.approx(1103 / 3)])


def test_a_seed_that_was_never_measured_ends_no_curve():
    rows = [(0, 1, 5.0), (0, 2, 4.0), (1, 1, 6.0), (1, 3, 3.0), (2, 1, None)]
    table = pd.DataFrame(rows, columns=["seed", "iteration", "x"]).assign(cell="a")
    assert shared_iterations(table, "x")["x"].tolist() == [5.0, 6.0]
    assert shared_iterations(table.assign(cell=table["seed"].map(str)), "x")["x"].count() == 4


def long_table(values):
    """``values``: cell -> values by seed; None: diverged."""
    return pd.DataFrame([
        {"data": "d", "label": cell, "method": cell, "cell": cell, "seed": seed,
         "path": f"{cell}{seed}", "status": "diverged" if value is None else "done",
         "metric": None if value is None else "head", "value": value, **HEADS["head"].as_dict()}
        for cell, numbers in values.items()
        for seed, value in enumerate(numbers)
    ])  # fmt: skip


def test_survivors_are_neither_tested_nor_best():
    values = {"base": [9.0, 9.1, 9.3], "a": [1.0, 1.2, 1.1], "b": [5.0, 5.1, 4.9]}
    table = long_table(values)
    assert set(difference_tests(table, MANIFEST, ["head"])) == {("head", "a"), ("head", "b")}
    assert best_cells(table, ["head"], HEADS, Marks()) == {("head", "a")}
    table = long_table(values | {"a": [1.0, 1.2, None]})
    assert set(difference_tests(table, MANIFEST, ["head"])) == {("head", "b")}
    assert best_cells(table, ["head"], HEADS, Marks()) == set()


@pytest.mark.parametrize("status", ["diverged", "interrupted"])
def test_nothing_is_inferred_of_what_is_left_of_a_row(status):
    """Neither equivalence to the reference nor a probability to be better."""
    levels = np.arange(8.0)
    values = {"base": levels, "a": levels - 1 + 0.01 * levels**2, "b": levels + 0.1 * levels**2}
    table = long_table(values)
    shown = [sensitivity_table, improvement_table]
    every = [of(table, MANIFEST, ["head"])["cell"].tolist() for of in shown]
    assert every == [["a", "b"], ["a", "b"]]
    table = long_table(values | {"a": [*values["a"][:7], None]}).replace("diverged", status)
    left = [of(table, MANIFEST, ["head"])["cell"].tolist() for of in shown]
    assert left == [["b"], ["b"]]
    table = long_table(values | {"base": [*levels[:7], None]}).replace("diverged", status)
    assert [of(table, MANIFEST, ["head"]) for of in shown] == [None, None]


def curves(values):
    """``values``: cell -> per seed, values after iterations 1, 2, ..., a GFLOP each."""
    return pd.DataFrame([
        {"cell": cell, "seed": seed, "iteration": i, "flops": 1e9 * i, "curve": value}
        for cell, seeds in values.items()
        for seed, own in enumerate(seeds)
        for i, value in enumerate(own, start=1)
    ])  # fmt: skip


def test_who_diverged_has_missed_the_target_and_a_reference_that_did_sets_none():
    of_curves = {
        "base": [[9.0, 8.0], [9.0, 8.0], [99.0]],
        "a": [[7.0, 6.0], [7.0], [7.0, 6.0]],
    }
    table = long_table({"base": [8.0, 8.0, None], "a": [6.0, None, 6.0]})
    found = measured(curves(of_curves), CURVE, table)
    assert found.finals("base") == {0: 8.0, 1: 8.0}  # not 99: that run has no end
    assert found.times("a", found.finals("base"), "flops") == {0: 1e9, 1: None}
    rows = time_table(found, table, MANIFEST).set_index("cell")
    assert rows["reached"].to_dict() == {"base": "2 of 2", "a": "1 of 2"}
    assert rows.loc["a", "FLOP to it"] == "missed"
    along = along_table(found, table, MANIFEST).set_index("cell")
    assert along.loc["a", "at 100 %"] == "-2 (1 seed) (1 of 3 seeds)"


def test_a_row_that_diverged_counts_its_miss_on_the_frontier(written, unrendered):
    best = {"fd_digits": 1.0, "mse_test": 0.01}
    for seed in range(3):
        written.evaluation(written.run("vae", seed), "e1", best)
    before = page(written, "trade-off").set_index("cell").loc["vae"]
    assert list(before[["on the frontier", "of the means"]]) == ["3 of 3 seeds", "yes"]
    diverge(written, "vae", 1)
    after = page(written, "trade-off").set_index("cell").loc["vae"]
    assert list(after[["on the frontier", "of the means"]]) == ["2 of 3 seeds", "-"]
    assert np.isclose(float(after["FD, digit features ↓"].split()[0]), 1.0)


def test_an_ablation_without_any_value_has_its_report(tmp_path, undrawn):
    """All rows diverged, among them one that samples from a density: still a page that says so."""
    given = ["ablation=ot", "protocol=smoke", "protocol.learning_rate=100000"]
    given += ["ablation.seeds=[0]", "ablation.axes.method=[vae]", "ablation.reference=vae"]
    given += ["ablation.union=[{axes: {method: [vae], sampler: [gmm]}}]"]
    ltvm.ablate([*given, f"paths.results={tmp_path}"])
    (folder,) = (tmp_path / "ablations").glob("*.json")
    made = ltvm.make_report(folder.stem, tmp_path, tmp_path / "reports")
    assert "0 of 1 (1 diverged)" in (made / "README.md").read_text()
