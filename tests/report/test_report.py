"""Statistics against scipy; tables that never lack a cell; figures that are reproducible."""

import math

import pandas as pd
import pytest
from scipy import stats

import ltvm
from ltvm.report.against_reference import differences_table
from ltvm.report.comparability import Marks
from ltvm.report.figures import correction_effects, interval_rows, sweep, sweeps_of
from ltvm.report.notes import notes
from ltvm.report.page import published_frame
from ltvm.report.published import published
from ltvm.report.statistics import (
    Estimate,
    best_keys,
    format_estimate,
    mean_interval,
    paired_difference,
)
from ltvm.report.tables import (
    FAMILIES,
    by_family,
    cell_names,
    crossed_key,
    crossed_table,
    estimates_table,
    title,
    to_latex,
)


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


def test_best_is_marked_only_where_the_interval_allows():
    clear = {"a": {0: 1.0, 1: 1.1, 2: 0.9}, "b": {0: 5.0, 1: 5.1, 2: 5.2}}
    assert best_keys(clear, lower_is_better=True) == ["a"]
    assert best_keys(clear, lower_is_better=False) == ["b"]
    unclear = {"a": {0: 1.0, 1: 3.0, 2: 2.0}, "b": {0: 2.0, 1: 1.5, 2: 3.0}}
    assert best_keys(unclear, lower_is_better=True) == []
    assert best_keys({"a": {0: 1.0}, "b": {0: 9.0}}, lower_is_better=True) == []  # single seeds


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


def long_rows(values, **keys):
    return [
        {"data": "d", "label": keys["method"], "cell": keys["method"], "seed": seed,
         "metric": "fd_digits", "value": value, "lower_is_better": True, "status": "done",
         **keys}
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


def test_published_figures_carry_their_sources():
    rows = published("svhn")
    assert rows["source"].notna().all()
    vae = rows[(rows["our_method"] == "vae") & (rows["metric"] == "fid")]
    assert vae["value"].tolist() == [59.07]
    assert sorted(rows[(rows["our_method"] == "abp")]["value"]) == [49.71, 98.63]
    minutes = rows[rows["metric"] == "minutes_inference_per_iteration"]
    assert minutes["value"].tolist() == [124]
    assert published("mnist5k").empty


TINY = [
    "ablation.seeds=[0,1]", "protocol=smoke", "protocol.train_images=40",
    "protocol.test_images=12", "protocol.batch=20", "protocol.evaluation.unseen_images=4",
    "protocol.evaluation.codes=40",
]  # fmt: skip


def test_a_report_is_complete_and_the_same_when_rebuilt(tmp_path):
    folder = ltvm.ablate(
        ["ablation=ot", "ablation.axes.method=[short_run_ot,short_run_uncorrected]", *TINY]
    )
    page = (folder / "README.md").read_text()
    for needed in (
        "What does the optimal-transport correction do", "ltvm ablate ablation=ot",
        "Differences to short_run_uncorrected", "Cost", "Provenance", "short-run OT",
        "ltvm train data=mnist5k method=short_run_ot protocol=smoke", "ignore its numbers",
    ):  # fmt: skip
        assert needed in page, needed
    for name in ("comparison", "learning-curves", "samples", "reconstructions"):
        assert f"]({name}.png)" in page
        assert (folder / f"{name}.png").stat().st_size > 5_000
        assert (folder / f"{name}.svg").is_file() == (name in ("comparison", "learning-curves"))
    for name in ("table", "cost", "differences"):
        assert {(folder / f"{name}{suffix}").is_file() for suffix in (".md", ".tex", ".csv")} == {
            True
        }
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rebuilt = ltvm.make_report(folder.name, folder.parents[1] / "results", tmp_path / "again")
    after = {path.name: path.read_bytes() for path in rebuilt.iterdir()}
    assert before == after


def test_sweeps_are_drawn_against_their_key():
    folder = ltvm.ablate(["ablation=alpha", "ablation.axes={method.alpha:[0.0,0.5]}", *TINY])
    assert (folder / "sweep-alpha.png").is_file()
    table = pd.read_parquet(folder / "long.parquet")
    assert set(table["method.alpha"]) == {0.0, 0.5}
    solvers = ltvm.ablate(["ablation=solver", "ablation.axes={method.solver:[none,exact]}", *TINY])
    assert (solvers / "sweep-solver.png").is_file()
    factors = ltvm.ablate(
        ["ablation=step_size", "ablation.axes.method.step.size=[0.05,0.1]",
         "ablation.axes.method.step.noise=[false]", *TINY]
    )  # fmt: skip
    assert (factors / "sweep-step-noise.png").is_file()


def test_a_baseline_without_the_swept_key_joins_a_sweep():
    folder = ltvm.ablate(
        [
            "ablation=alpha",
            "ablation.axes.method.alpha=[0.0,0.5]",
            "ablation.extra=[['method=vae']]",
            *TINY,
        ]
    )
    table = (folder / "table.md").read_text()
    assert "short-run OT, alpha = 0.5" in table
    assert "VAE" in table
    assert (folder / "sweep-alpha.svg").read_text().count("VAE") >= 1


def test_no_report_without_records(tmp_path):
    with pytest.raises(ltvm.InputError, match="run `ltvm ablate` first"):
        ltvm.make_report("ot-mnist5k", tmp_path, tmp_path)


def manifest_of(table, axes, reference="b", combine="product"):
    cells = table.drop_duplicates("cell")
    runs = [
        {"cell": row["cell"], "values": {k: row.get(k) for k in axes}}
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
    assert found.iloc[:, 1].tolist() == ["**+2.000 ± 0.000**", "**+5.000 ± 0.000**"]
    names = cell_names(table, manifest)
    assert len(set(names.values())) == 5  # b1 and b3 share method and alpha


def test_nothing_is_best_while_a_cell_is_not_done():
    rows = long_rows([1.0, 1.1], method="a") + long_rows([5.0, 5.1], method="b")
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
    sweep(table, "size", ["size", "noise"], {"fd_digits": "FD"}, tmp_path / "x")  # a line per noise
    assert (tmp_path / "x.png").is_file()
    manifest = manifest_of(table, ["size", "noise"], combine="one_factor")
    done = table[table["cell"] != "0.1True"]  # the base cell failed
    shown = {key: sorted(set(rows["cell"])) for key, rows in sweeps_of(manifest, done)}
    assert shown == {"size": ["0.2True"], "noise": ["0.1False"]}


def test_wide_tables_are_split_by_family_and_lose_nothing():
    names = ["fd_digits", "kid_digits", "mse_test", "psnr_test", "latent_energy", "transport_cost",
             "ais_log_likelihood", "auprc_heldout", "mse_train", "coverage_digits"]  # fmt: skip
    rows = [row | {"metric": name} for name in names for row in long_rows([1.0, 2.0], method="a")]
    table, manifest = pd.DataFrame(rows), {"axes": ["method"]}
    assert list(by_family(estimates_table(table, manifest, names, False), names)) == [""]
    more = [*names, "mine"]
    rows += [row | {"metric": "mine"} for row in long_rows([1.0, 2.0], method="a")]
    families = by_family(estimates_table(pd.DataFrame(rows), manifest, more, False), more)
    assert list(families) == [*FAMILIES, "others"]
    assert list(families["others"]) == ["cell", "runs", "mine"]
    shown = [column for frame in families.values() for column in frame.columns[2:]]
    assert sorted(shown) == sorted(title(name) for name in more)


def test_a_method_by_value_table_has_every_cell_in_its_place():
    rows = []
    for method, digits in (("a", (1, 4)), ("b", (1, 4))):
        for digit in digits:
            value = 10 * digit + (method == "b")
            for row in long_rows([value, value + 0.5], method=method):
                rows.append(row | {"cell": f"{method}{digit}", "data.load.digit": digit})
    table = pd.DataFrame(rows)
    manifest = {"axes": {"method": 0, "data.load.digit": 0}, "combine": "product", "extra": []}
    estimates = estimates_table(table, manifest, ["fd_digits"], mark_best=False)
    crossed = crossed_table(table, manifest, estimates, "fd_digits").set_index("method")
    assert list(crossed.columns) == ["1", "4"]
    assert crossed.loc["a", "4"].startswith("40.")
    assert crossed.loc["b", "1"].startswith("11.")
    assert crossed_key(manifest | {"combine": "one_factor"}) is None
    assert crossed_key({"axes": {"method": 0}, "combine": "product"}) is None


def test_spreads_and_p_values_are_not_subtracted():
    names = ["fd_digits", "kid_digits_sd", "latent_mmd_p", "ais_acceptance"]
    rows = [
        row | {"metric": name}
        for name in names
        for method in "ab"
        for row in long_rows([1.0, 2.0], method=method)
    ]
    table = pd.DataFrame(rows)
    found = differences_table(table, manifest_of(table, ["method"]), names)
    assert list(found.columns) == ["cell", title("fd_digits")]


def test_codes_before_and_after_are_drawn_where_a_history_has_them(tmp_path):
    rows = [
        {"cell": "a", "method": "a", "seed": seed, "iteration": i, "passes": 3 * i,
         "codes_sliced_w2_before": 1.0 + seed, "codes_sliced_w2_after": 0.5 + seed}
        for seed in (0, 1) for i in (1, 2)
    ]  # fmt: skip
    assert correction_effects(pd.DataFrame(rows), {"a": "A"}, tmp_path / "correction")
    assert (tmp_path / "correction.png").is_file()
    plain = pd.DataFrame(rows)[["cell", "method", "seed", "iteration", "passes"]]
    assert not correction_effects(plain, {"a": "A"}, tmp_path / "none")


def test_published_detections_stand_by_digit_with_their_digits():
    frame = published_frame(published("mnist5k_without"))
    lebm = frame.set_index("method").loc["LEBM"]
    assert lebm["auprc_heldout_4"] == "0.630 ± 0.017"
    assert frame.set_index("method").loc["VAE", "auprc_heldout_1"] == "0.063"


def test_floors_and_sizes_are_said_for_every_swept_key_of_the_data():
    rows = []
    for digit, share in ((1, 0.1), (4, 0.3)):
        for metric, value in (("auprc_heldout", 0.5), ("auprc_heldout_floor", share)):
            for row in long_rows([value, value], method="a"):
                split = "chance" if "floor" in metric else "test"
                rows.append(row | {
                    "cell": f"a{digit}", "metric": metric, "n": 100, "split": split,
                    "data.load.digit": digit, "protocol": "small", "extractor": None,
                    "checksum": None, "device": "x", "execution": "x", "torch": "x",
                    "fingerprint": digit, "commit": "x", "path": "p", "reason": None,
                })  # fmt: skip
    text = "\n".join(notes(pd.DataFrame(rows), Marks(), {"a1": "a", "a4": "a"}))
    assert "data.load.digit = 1: 0.1 (the share of positives: a random score, n = 100)" in text
    assert "data.load.digit = 4: 0.3 (" in text
    assert "- n = 100, test split: AUPRC, digit left out ↑." in text
    assert "Mixed fingerprint" not in text
