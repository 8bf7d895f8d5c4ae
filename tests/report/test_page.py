"""Whole reports from records in the runs' format: complete, reproducible, open to outsiders."""

import pandas as pd
import pytest

import ltvm
from ltvm.errors import InputError
from ltvm.metrics.columns import Column
from ltvm.report.page.write import write_report
from ltvm.report.plots.styles import COLOURS, method_styles
from ltvm.report.sentences.answer import answer
from ltvm.report.values.comparability import Marks
from ltvm.report.values.long_table import long_table_of_manifest, long_table_of_store
from ltvm.runs.ablations.manifest import read_manifest
from ltvm.runtime.files import read_json


def report(written, tmp_path, **fields):
    return write_report(written.manifest(**fields), tmp_path / "reports")


def test_a_report_is_complete_and_the_same_when_rebuilt(written, tmp_path):
    folder = report(written, tmp_path)
    page = (folder / "README.md").read_text()
    for needed in (
        "What does the correction do", "ltvm ablate ablation=ot", "Differences to", "Cost",
        "Provenance", "short-run OT", "ltvm train method=short_run_ot seed=0",
        "ignore its numbers", "Floor of FD, digit features ↓: 4 (test images against training",
        "MSE, unseen images ↓: of codes inferred anew. In squared error per pixel.",
    ):  # fmt: skip
        assert needed in page, needed
    drawn = ("comparison", "learning-curves", "correction")
    for name in (*drawn, "samples", "reconstructions"):
        assert f"]({name}.png)" in page
        assert (folder / f"{name}.png").is_file()
        assert (folder / f"{name}.svg").is_file() == (name in drawn)
    for name in ("table", "cost", "differences"):
        assert all((folder / f"{name}{suffix}").is_file() for suffix in (".md", ".tex", ".csv"))
    again = ltvm.make_report(folder.name, written.root, tmp_path / "again")
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == {
        f.name: f.read_bytes() for f in again.iterdir()
    }


def test_it_begins_with_what_the_page_begins_with(written, tmp_path, undrawn):
    for entry in written.entries:
        entry["about"] = f"What {entry['method']} is,\nin words."
        entry["values"]["method.batchnorm"] = "batch"
    for method, batchnorm in (("abp", "batch"), ("vae", "running")):
        for seed in range(3):
            folder = written.run(method, seed, values={"method.batchnorm": batchnorm})
            written.evaluation(folder, "e1", {"fd_digits": 20.0 + seed, "mse_test": 0.2})
    file = written.manifest(axes=["method", "method.batchnorm"])
    folder = write_report(file, tmp_path / "reports")
    manifest = read_manifest(file)
    table = long_table_of_manifest(manifest, written.root)
    said = answer(table, manifest, Marks(), "t")
    text = (folder / "README.md").read_text()
    begins = text[: text.index("| cell ")]
    assert f"**{said.sentence}**" in begins
    for line in (*said.lines, *said.cost):
        (own,) = [row for row in begins.splitlines() if row.startswith(f"| {line.title} ")]
        cells = [cell.strip() for cell in own.strip("|").split("|")]
        assert cells == [line.title, line.reference, line.own, line.difference, line.said]
    assert len(said.rows) == 2
    for title, of_rows in said.rows:
        assert f"- {title}: {of_rows}\n" in begins
    assert said.significance_text in begins
    assert "- short-run OT: What short_run_ot is, in words.\n" in begins
    assert "All rows have batchnorm = batch unless their names say otherwise." in begins
    assert "12 of 12 runs are done" in begins


def test_headline_columns_come_first_and_floors_and_errors_are_no_columns(
    written, tmp_path, unrendered
):
    table = pd.read_csv(report(written, tmp_path) / "table.csv")
    assert list(table)[2:] == [
        "FD, digit features ↓", "MSE, training images", "MSE, unseen images ↓",
        "sliced W2 to prior ↓",
    ]  # fmt: skip


def test_an_outside_metric_stands_in_table_figure_and_notes(written, tmp_path):
    own = Column("my score", "what an author measures", "others", "", "higher", headline=True)
    for entry in list(written.entries):
        folder = written.root / entry["path"]
        written.evaluation(folder, "e2", {"mine": 1.0 + entry["seed"]}, {"mine": own})
    folder = report(written, tmp_path)
    assert "my score ↑" in (folder / "table.md").read_text()
    assert "my score ↑" in (folder / "differences.csv").read_text()
    assert "- my score ↑: what an author measures." in (folder / "README.md").read_text()
    assert "my score ↑" in (folder / "comparison.svg").read_text()  # as a comment beside the glyphs


def test_two_metrics_of_one_title_are_told_apart(written, tmp_path, unrendered):
    own = Column("FD, digit features", "another's", direction="lower")
    for entry in list(written.entries):
        written.evaluation(written.root / entry["path"], "e2", {"mine": 1.0}, {"mine": own})
    table = pd.read_csv(report(written, tmp_path) / "table.csv")
    assert {"FD, digit features ↓ [fd_digits]", "FD, digit features ↓ [mine]"} <= set(table)


def test_a_second_evaluation_adds_columns_and_the_latest_counts(written, tmp_path, unrendered):
    for entry in list(written.entries):
        folder = written.root / entry["path"]
        written.evaluation(folder, "e2", {"latent_mmd_p": 0.5, "mse_test": 9.0})
    table = pd.read_csv(report(written, tmp_path) / "table.csv", dtype=str)
    assert table["p of MMD"].str.startswith("0.5").all()
    assert table["MSE, unseen images ↓"].str.startswith("9.00").all()
    assert table["runs"].tolist() == ["3", "3"]
    long = pd.read_parquet(tmp_path / "reports" / "ot-mnist5k" / "long.parquet")
    assert set(long[long["metric"] == "mse_test"]["evaluation"]) == {"e2"}
    assert set(long[long["metric"] == "evaluation_seconds"]["value"]) == {6.0}


def test_missing_and_diverged_evaluations_show_in_the_runs(written, tmp_path, unrendered):
    first, second, third = (written.root / e["path"] for e in written.entries[:3])
    written.wants(first, "e2")
    written.evaluation(second, "e2", {}, status="diverged", reason="mse_test is nan")
    written.evaluation(third, "e2", {"latent_mmd_p": 0.5})
    folder = report(written, tmp_path)
    table = pd.read_csv(folder / "table.csv", dtype=str)
    assert table["runs"][0] == "1 of 3 (1 pending, 1 diverged)"
    assert table["p of MMD"].tolist() == ["0.5 (1 seed)", "-"]
    assert "**" not in (folder / "table.md").read_text()  # nothing is best while one is not done
    page = (folder / "README.md").read_text()
    assert "diverged: evaluation digits (e2): mse_test is nan" in page
    assert "pending: evaluation e2 is missing" in page


def test_runs_that_diverged_or_are_missing_keep_their_cell(written, tmp_path, unrendered):
    written.run("vae", 0, status="diverged", reason="codes are not finite")
    folder = report(written, tmp_path)
    assert "0 of 1 (1 diverged)" in (folder / "table.md").read_text()
    assert "diverged: codes are not finite" in (folder / "README.md").read_text()


def test_points_of_a_grid_keep_their_order_in_a_table_of_their_own(written, tmp_path, unrendered):
    grid = {"mse_test_steps8_restarts1": 0.3, "mse_test_steps4_restarts3": 0.4}
    for entry in list(written.entries):
        written.evaluation(written.root / entry["path"], "e2", grid)
    folder = report(written, tmp_path)
    table = pd.read_csv(folder / "points.csv")
    assert list(table) == ["cell", "runs", "K = 8, best of 1 ↓", "K = 4, best of 3 ↓"]
    assert "K = 8" not in (folder / "table.md").read_text()
    assert "MSE of unseen images by steps. n = 1000." in (folder / "README.md").read_text()


def swept(written, key, values, method="vae", data="mnist5k", note=""):
    for value in values:
        for seed in (0, 1):
            cell = f"{method}-{data}-{value}{note}"
            folder = written.run(method, seed, data=data, values={key: value}, cell=cell)
            written.entries[-1]["note"] = note
            written.evaluation(folder, "e1", {"fd_digits": 1.0 + seed, "mse_test": 0.1})


def test_sweeps_are_drawn_against_their_key_with_a_baseline_without_it(written, tmp_path):
    for entry in written.entries:
        entry["values"]["method.alpha"] = None
    swept(written, "method.alpha", [0.0, 0.5])
    folder = report(written, tmp_path, axes=["method.alpha"])
    assert (folder / "sweep-alpha.png").is_file()
    assert "short-run OT" in (folder / "sweep-alpha.svg").read_text()
    assert "vae, alpha = 0.5" in (folder / "table.md").read_text()
    assert set(pd.read_parquet(folder / "long.parquet")["method.alpha"].dropna()) == {0.0, 0.5}


def test_a_sweep_says_that_null_is_on_no_axis(written, tmp_path, unrendered):
    written.entries.clear()
    swept(written, "method.kernel.temperature", [None, 3.0, 30.0])
    text = (report(written, tmp_path, axes=["method.kernel.temperature"]) / "README.md").read_text()
    assert "Metrics against method.kernel.temperature on mnist5k, without null" in text
    written.entries.clear()
    swept(written, "method.alpha", [0.0, 0.5])
    text = (report(written, tmp_path, axes=["method.alpha"]) / "README.md").read_text()
    assert "without null" not in text


def test_swept_names_and_crossed_tables(written, tmp_path, unrendered):
    written.entries.clear()
    for method in ("vae", "abp"):
        swept(written, "method.solver", ["none", "exact"], method)
    folder = report(written, tmp_path, axes=["method", "method.solver"])
    assert (folder / "sweep-solver.png").is_file()
    crossed = pd.read_csv(folder / "crossed-fd-digit-features.csv")
    assert list(crossed) == ["method", "none", "exact"]


@pytest.mark.parametrize("more", ["data", "further", "beyond"])
def test_where_a_place_has_two_cells_methods_and_values_are_not_crossed(written, tmp_path, more):
    """One text would stand for both of them; or for a cell that differs in more than its place."""
    written.entries.clear()
    for data in ("mnist5k", "svhn") if more == "data" else ("mnist5k",):
        for method in ("vae", "abp"):
            swept(written, "model.sigma", [0.3, 0.6], method, data)
    if more != "data":
        values = [0.6, 0.9] if more == "further" else [0.9]
        swept(written, "model.sigma", values, "vae", note="method.solver=bsp")
    axes = ["method", "data", "model.sigma"] if more == "data" else ["method", "model.sigma"]
    folder = report(written, tmp_path, axes=axes)
    assert not list(folder.glob("crossed*"))
    assert len(pd.read_csv(folder / "table.csv")) == {"data": 8, "further": 6, "beyond": 5}[more]


def test_a_method_without_a_style_gets_a_stable_one(written):
    def styles(*methods):
        known = {"ours": {"colour": COLOURS[0], "marker": "P"}}
        runs = [{"method": m, "style": known.get(m, {})} for m in methods]
        return method_styles({"runs": runs})

    alone = styles("outside")["outside"]
    assert styles("ours", "outside", "z")["outside"] == styles("z", "outside", "ours")["outside"]
    assert styles("outside")["outside"] == alone
    many = styles("ours", *[f"m{i}" for i in range(5)])
    assert len(set(many.values())) == 6
    assert many["ours"] == (COLOURS[0], "P")
    assert all(many[f"m{i}"][0] != COLOURS[0] for i in range(5))
    with pytest.raises(InputError, match="style.colour of m=no: allowed"):
        method_styles({"runs": [{"method": "m", "style": {"colour": "no"}}]})
    with pytest.raises(InputError, match="style.marker of m"):
        method_styles({"runs": [{"method": "m", "style": {"marker": "ooo"}}]})


def test_the_table_of_a_store_has_a_row_for_each_evaluation_of_a_value(written):
    folder = written.root / written.entries[0]["path"]
    more = {"name": "thorough", "config": {"name": "thorough", "n": 5}}
    written.evaluation(folder, "e2", {"mse_test": 9.0}, **more)
    table = long_table_of_store(written.root)
    rows = table[(table["metric"] == "mse_test") & (table["path"] == str(folder))]
    assert dict(zip(rows["evaluation"], rows["value"], strict=True)) == {"e1": 0.5, "e2": 9.0}
    assert rows["evaluation.n"].dropna().tolist() == [5]
    assert not [c for c in table if c.startswith("evaluation.") and c != "evaluation.n"]
    costs = table[(table["metric"] == "evaluation_seconds") & (table["path"] == str(folder))]
    assert costs["evaluation"].tolist() == ["e1", "e2"]
    assert (table[table["metric"] == "training_seconds"]["value"] == 3.5).all()
    assert (table[table["metric"] == "curve_seconds"]["value"] == 0.25).all()
    stated = read_json(folder / "evaluations" / "e2.json")["columns"]["mse_test"]
    shown = rows.iloc[0].dropna().to_dict()
    assert {k: v for k, v in stated.items() if v is not None}.items() <= shown.items()
