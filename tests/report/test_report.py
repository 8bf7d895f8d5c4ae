"""Statistics against scipy; tables that never lack a cell; figures that are reproducible."""

import math

import pandas as pd
import pytest
from scipy import stats

import ltvm
from ltvm.metrics.columns import FAMILIES, Column
from ltvm.report.comparisons.differences import differences_table
from ltvm.report.comparisons.statistics import (
    Estimate,
    format_estimate,
    mean_interval,
    paired_difference,
)
from ltvm.report.plots.figures import (
    interval_rows,
    set_title,
    subplots,
    sweep,
    sweeps_of,
    with_lines,
)
from ltvm.report.plots.history_figures import (
    correction_effects,
    corrections,
    learning_curve_headings,
)
from ltvm.report.sentences.notes import notes
from ltvm.report.tables.texts import by_family, crossed_table, estimates_table
from ltvm.report.tables.writers import to_latex
from ltvm.report.values.cells import cell_names, crossed_key
from ltvm.report.values.comparability import Marks
from ltvm.report.values.declared import columns_of, compared_metrics, main_metrics
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.manifest import read_manifest
from tests.report.conftest import Results

STYLES = {"a": ("#000000", "o")}


def test_interval_equals_scipy():
    values = [3.1, 2.7, 3.6, 3.0]
    low, high = stats.t.interval(0.95, 3, loc=stats.tmean(values), scale=stats.sem(values))
    estimate = mean_interval(values)
    assert estimate.mean - estimate.half_width == pytest.approx(low)
    assert estimate.mean + estimate.half_width == pytest.approx(high)


def test_one_seed_has_no_interval_and_says_so():
    assert mean_interval([2.0]) == Estimate(2.0, None, 1)
    assert format_estimate(mean_interval([2.0])) == "2 (1 seed)"
    assert not mean_interval([2.0]).excludes_zero


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_no_interval_without_numbers(values):
    with pytest.raises(ValueError, match="finite"):
        mean_interval(values)


def test_paired_difference_uses_shared_seeds_alone():
    first, second = {0: 10.0, 1: 20.0, 2: 31.0, 9: 5.0}, {0: 9.0, 1: 19.0, 2: 30.5, 7: 0.0}
    difference = paired_difference(first, second)
    assert difference.n == 3
    assert difference.mean == pytest.approx((1 + 1 + 0.5) / 3)
    assert difference.excludes_zero  # though the seeds themselves spread over 20
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(457.123, 12.3, 3), "457 ± 12"),
        (Estimate(0.0612, 0.00234, 3), "0.0612 ± 0.0023"),
        (Estimate(28.0, 0.0, 3), "28.00 ± 0.00"),
        (Estimate(0.0, 0.0, 3), "0 ± 0"),
    ],
)
def test_digits_follow_the_interval(estimate, text):
    assert format_estimate(estimate) == text


def long_rows(values, metric="fd_digits", role="value", **keys):
    column = Column(metric, f"what {metric} is", direction="lower", role=role)
    return [
        {"data": "d", "label": keys["method"], "cell": keys["method"], "seed": seed,
         "metric": metric, "value": value, "status": "done", **column.as_dict(), **keys}
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_a_cell_without_a_value_keeps_its_row():
    rows = long_rows([1.0, 1.1], method="a")
    rows += [
        {**row, "metric": None, "value": None, "status": status}
        for row, status in zip(long_rows([0, 0], method="b"), ("diverged", "pending"), strict=True)
    ]
    table = estimates_table(pd.DataFrame(rows), {"axes": ["method"]}, ["fd_digits"], mark_best=True)
    assert table["cell"].tolist() == ["a", "b"]
    assert table["runs"].tolist() == ["2", "0 of 2 (1 diverged, 1 pending)"]
    assert table.iloc[1, 2] == "-"


def test_latex_escapes_and_marks():
    text = to_latex(pd.DataFrame({"a_b": ["**1 ± 2**"]}), "50 % of x_y")
    assert r"\textbf{1 $\pm$ 2}" in text
    assert r"a\_b" in text
    assert r"\caption{50 \% of x\_y}" in text


def test_no_report_without_records(tmp_path):
    with pytest.raises(ltvm.InputError, match="run `ltvm ablate` first"):
        ltvm.make_report("ot-mnist5k", tmp_path, tmp_path)


def manifest_of(table, axes, reference="b", combine="product"):
    cells = table.drop_duplicates("cell")
    runs = [
        {"cell": row["cell"], "method": row["method"], "values": {k: row.get(k) for k in axes}}
        for _, row in cells.iterrows()
    ]
    return {"axes": axes, "reference": reference, "combine": combine, "runs": runs}


def test_differences_survive_missing_keys_and_further_cells():
    rows = []
    for cell, method, alpha, value in (
        ("a1", "a", 0.1, 5.0), ("b1", "b", 0.1, 3.0), ("a2", "a", None, 9.0),
        ("b2", "b", None, 4.0), ("b3", "b", 0.1, 3.5),
    ):  # fmt: skip
        found = long_rows([value, value + 0.1], method=method, alpha=alpha)
        rows += [{**row, "cell": cell} for row in found]
    table = pd.DataFrame(rows)
    manifest = manifest_of(table, ["method", "alpha"])
    found = differences_table(table, manifest, ["fd_digits"])
    told = ["+2.000 ± 0.000", "+5.000 ± 0.000", "+0.5000 ± 0.0000"]
    assert found.iloc[:, 1].tolist() == told  # b3 to b1, the first one of the reference there
    names = cell_names(table, manifest)
    assert len(set(names.values())) == 5  # b1 and b3 share method and alpha


def test_nothing_is_best_while_a_cell_is_not_done():
    rows = long_rows([1.0, 1.1], method="a") + long_rows([5.0, 5.2], method="b")
    manifest = {"axes": ["method"]}
    marked = estimates_table(pd.DataFrame(rows), manifest, ["fd_digits"], mark_best=True)
    assert marked.iloc[0, 2].startswith("**")
    rows[-1] |= {"status": "failed", "metric": None, "value": None}
    unmarked = estimates_table(pd.DataFrame(rows), manifest, ["fd_digits"], mark_best=True)
    assert "**" not in "".join(unmarked.iloc[:, 2])


def test_intervals_are_over_seeds_alone(tmp_path):
    rows = []
    for size, noise in ((0.1, True), (0.1, False), (0.2, True), (0.2, False)):
        found = long_rows([1.0, 2.0, 3.0], method="a", size=size, noise=noise)
        rows += [{**row, "cell": f"{size}{noise}"} for row in found]
    table = pd.DataFrame(rows)
    with pytest.raises(AssertionError, match="seeds alone"):
        interval_rows(table, ["size"])
    lines, number = with_lines(table, "size", ["size", "noise"], 12)  # a line per noise
    assert number == lines["line"].nunique() == 2
    sweep(lines, "size", {"fd_digits": "FD"}, STYLES, tmp_path / "x")
    assert (tmp_path / "x.png").is_file()
    manifest = manifest_of(table, ["size", "noise"], combine="one_factor")
    done = table[table["cell"] != "0.1True"]  # the base cell failed
    shown = {key: sorted(set(rows["cell"])) for key, rows in sweeps_of(manifest, done)}
    assert shown == {"size": ["0.2True"], "noise": ["0.1False"]}


def test_wide_tables_are_split_by_family_and_lose_nothing():
    manifest, kinds = {"axes": ["method"]}, [*FAMILIES, *FAMILIES[:3], "others"]
    rows = [
        row | {"family": family}
        for i, family in enumerate(kinds)
        for row in long_rows([1.0, 2.0], method="a", metric=f"m{i}")
    ]
    names = [f"m{i}" for i in range(len(kinds))]
    few, columns = names[:10], columns_of(pd.DataFrame(rows))
    frame = estimates_table(pd.DataFrame(rows), manifest, few, False)
    assert list(by_family(frame, few, columns)) == [""]
    frame = estimates_table(pd.DataFrame(rows), manifest, names, False)
    families = by_family(frame, names, columns)
    assert list(families) == list(FAMILIES)
    assert list(families["others"]) == ["cell", "runs", "m6 ↓", "m10 ↓"]
    shown = [column for part in families.values() for column in part.columns[2:]]
    assert sorted(shown) == sorted(frame.columns[2:])


def test_a_method_by_value_table_has_every_cell_in_its_place():
    rows = []
    for method, digits in (("a", (1, 4)), ("b", (1, 4))):
        for digit in digits:
            value = 10 * digit + (method == "b")
            for row in long_rows([value, value + 0.5], method=method):
                rows.append(row | {"cell": f"{method}{digit}", "data.load.digit": digit})
    table = pd.DataFrame(rows)
    manifest = {"axes": {"method": 0, "data.load.digit": 0}, "combine": "product"}
    estimates = estimates_table(table, manifest, ["fd_digits"], mark_best=False)
    crossed = crossed_table(table, manifest, estimates, "fd_digits ↓").set_index("method")
    assert list(crossed.columns) == ["1", "4"]
    assert crossed.loc["a", "4"].startswith("40.")
    assert crossed.loc["b", "1"].startswith("11.")
    assert crossed_key(manifest | {"combine": "one_factor"}) is None
    assert crossed_key({"axes": {"method": 0}, "combine": "product"}) is None


def test_diagnostics_are_shown_and_not_subtracted():
    rows = [
        row
        for name, role in (("fd", "value"), ("p", "diagnostic"), ("spread", "diagnostic"))
        for method in "ab"
        for row in long_rows([1.0, 2.0], method=method, metric=name, role=role)
    ]
    columns = columns_of(pd.DataFrame(rows))
    assert main_metrics(columns) == ["fd", "p", "spread"]
    assert compared_metrics(columns) == ["fd"]


def test_codes_before_and_after_are_drawn_where_a_record_declares_both(tmp_path):
    rows = [
        {"cell": "a", "method": "a", "seed": seed, "iteration": i, "flops": 1e9 * i,
         "x_before": 1.0 + seed, "x_after": 0.5 + seed}
        for seed in (0, 1) for i in (1, 2)
    ]  # fmt: skip
    curves = {
        f"x_{when}": Column(f"W2 of codes, {when} it", "", "codes", headline=True)
        for when in ("before", "after")
    }
    effects = corrections(curves)
    assert effects == {"x": "W2 of codes"}
    correction_effects(pd.DataFrame(rows), {"a": "A"}, effects, STYLES, tmp_path / "correction")
    assert (tmp_path / "correction.png").is_file()
    assert learning_curve_headings(curves) == {}
    alone = {"x_before": curves["x_before"]}
    assert corrections(alone) == {}
    assert learning_curve_headings(alone) == {"x_before": "W2 of codes, before it"}


def test_floors_and_sizes_are_said_for_every_swept_key_of_the_data():
    chance = Column("AUPRC", "the share of positives.", role="floor", of="auprc")
    rows = []
    for digit, share in ((1, 0.1), (4, 0.3)):
        for metric, value in (("auprc", 0.5), ("floor", share)):
            for row in long_rows([value, value], method="a", metric=metric):
                rows.append(row | (chance.as_dict() if metric == "floor" else {}) | {
                    "cell": f"a{digit}", "n": 100, "split": "test",
                    "data.load.digit": digit, "protocol": "small", "extractor": None,
                    "checksum": None, "device": "x", "execution": "x", "torch": "x",
                    "fingerprint": digit, "commit": "x", "path": "p", "reason": None,
                })  # fmt: skip
    text = "\n".join(notes(pd.DataFrame(rows), Marks(), {"a1": "a", "a4": "a"}))
    assert "Floor of auprc ↓, data.load.digit = 1: 0.1 (the share of positives, n = 100)" in text
    assert "data.load.digit = 4: 0.3 (" in text
    assert "- n = 100, test split: auprc ↓." in text
    assert "- auprc ↓: what auprc is." in text
    assert "Mixed fingerprint" not in text


def test_a_null_number_of_images_is_named_by_how_many_there_were(tmp_path):
    results = Results(tmp_path)
    for n in (5, None):
        cell = f"cell-{n}"
        folder = results.run("short_run_ot", 0, values={"protocol.train_images": n}, cell=cell)
        results.evaluation(folder, "e1", {"fd_digits": 1.0})
    manifest = read_manifest(results.manifest(axes=["protocol.train_images"]))
    table = long_table_of_manifest(manifest, results.root)
    assert list(cell_names(table, manifest).values()) == ["train_images = 5", "train_images = 9"]


def test_a_long_title_of_a_panel_is_no_wider_than_the_panel():
    figure, (axis,) = subplots(1, 1, (4, 3))
    long = "data-copying (copies 0, fresh 0.5), digit features"
    set_title(axis, long)
    assert " ".join(axis.get_title().splitlines()) == long
    figure.canvas.draw()
    assert axis.title.get_window_extent().width < axis.get_window_extent().width * 1.3
    set_title(axis, "FD, digit features ↓")
    assert axis.get_title() == "FD, digit features ↓"


@pytest.mark.parametrize(
    ("sizes", "scale"), [((1000, 60000), "log"), ((0, 60000), "linear"), ((1, 30), "linear")]
)
def test_a_key_swept_over_decades_has_a_logarithmic_axis(tmp_path, monkeypatch, sizes, scale):
    drawn = []
    monkeypatch.setattr("ltvm.report.plots.figures.save", lambda figure, _: drawn.append(figure))
    rows = [row for size in sizes for row in long_rows([1.0, 2.0], method="a", size=size)]
    lines, _ = with_lines(pd.DataFrame(rows), "size", ["size"], 9)
    sweep(lines, "size", {"fd_digits": "FD"}, STYLES, tmp_path / "x")
    assert drawn[0].axes[0].get_xscale() == scale
