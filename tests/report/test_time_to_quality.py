"""What it takes to reach a target: closed forms, and what a report says of it."""

import math

import numpy as np
import pandas as pd
import pytest

import ltvm
from ltvm.report.comparisons.time_to_quality import (
    frontier,
    integrated,
    last_quarter,
    profile,
    ratios,
    time_to_target,
    value_at,
)
from ltvm.runtime.files import read_json, write_json


def test_a_target_is_reached_at_the_first_value_as_good_or_never():
    spent, values = [10, 20, 30, 40], [9.0, 5.0, 7.0, 1.0]
    found = [time_to_target(spent, values, target, "lower") for target in (9.0, 5.0, 4.9, 0.9)]
    assert found == [10, 20, 40, None]
    found = [time_to_target(spent, values, target, "higher") for target in (9.0, 9.1)]
    assert found == [10, None]
    assert time_to_target([], [], 1.0, "lower") is None


def test_the_frontier_has_what_nothing_cheaper_is_as_good_as():
    points = [(3, 5.0), (1, 9.0), (2, 9.5), (2, 6.0), (4, 5.0), (5, 1.0)]
    assert frontier(points, "lower") == [(1, 9.0), (2, 6.0), (3, 5.0), (5, 1.0)]
    assert frontier(points, "higher") == [(1, 9.0), (2, 9.5)]
    assert frontier([], "lower") == []


def test_the_last_quarter_is_a_straight_line_between_measurements():
    assert last_quarter([10, 20, 30, 40], [9.0, 8.0, 8.0, 6.0]) == pytest.approx(-0.25)
    assert last_quarter([2, 4], [10.0, 6.0]) == pytest.approx(6 / 8 - 1)  # 8 at 3, half way
    assert last_quarter([1, 5, 8], [8.0, 4.0, 5.0]) == pytest.approx(5 / (4 + 1 / 3) - 1)
    assert last_quarter([3.1, 4], [9.0, 8.0]) is None  # begins too late
    assert last_quarter([1, 4], [-1.0, 1.0]) == pytest.approx(2)  # a third at 3
    assert last_quarter([3, 4], [0.0, 1.0]) is None
    assert last_quarter([], []) is None


TIMES = {
    "a": {"fast": 10.0, "slow": 20.0, "never": None},
    "b": {"fast": 30.0, "slow": 10.0, "never": None},
    "c": {"fast": None, "slow": None, "never": None},
    "d": {"fast": 5.0, "slow": 20.0, "never": None},  # as far as the score counts
}


def test_profiles_are_step_functions_with_known_areas():
    own = ratios(TIMES)
    assert own["fast"] == [1.0, 3.0, math.inf, 1.0]
    assert own["slow"] == [2.0, 1.0, math.inf, 4.0]
    assert own["never"] == [math.inf] * 4
    assert [profile(own["fast"], r) for r in (1.0, 2.9, 3.0, 100.0)] == [0.5, 0.5, 0.75, 0.75]
    # areas of steps over ratios from 1 to 4: of 3 for the best, (4 - r) for a step at r
    assert integrated(own["fast"]) == pytest.approx((3 + 1 + 0 + 3) / 3 / 4)
    assert integrated(own["slow"]) == pytest.approx((2 + 3 + 0 + 0) / 3 / 4)
    assert integrated(own["never"]) == 0
    assert integrated([1.0, 1.0]) == 1
    for steps in own.values():  # the integral, by a sum over a fine grid
        grid = np.arange(1, 4, 1e-3) + 5e-4
        area = np.mean([profile(steps, ratio) for ratio in grid])
        assert integrated(steps) == pytest.approx(area, abs=1e-3)


def test_what_was_not_run_everywhere_has_no_profile_and_no_part_in_others():
    elsewhere = TIMES | {"a": TIMES["a"] | {"some": 1.0}}
    assert ratios(elsewhere) == ratios(TIMES)
    assert ratios({}) == ratios({"a": {}}) == {}


def set_history(results, method, seed, values, data="mnist5k", seconds=True, scale=1.0):
    """A history whose curve of quality is ``values``, an iteration each."""
    entry = next(
        e for e in results.entries
        if (e["method"], e["seed"], e["data"]) == (method, seed, data)
    )  # fmt: skip
    rows = [
        {"iteration": i, "passes": i, "flops": 1e9 * i * scale, "fd_digits_curve": value}
        | ({"inference_seconds": 2.0 * i, "transport_seconds": 0.0, "learning_seconds": 1.0 * i,
            "evaluation_seconds": 99.0} if seconds else {})
        for i, value in enumerate(values, start=1)
    ]  # fmt: skip
    file = results.root / entry["path"] / "history.csv"
    file.write_text(pd.DataFrame(rows).to_csv(index=False))


def report(results):
    return ltvm.make_report("ot-mnist5k", results.root, results.root / "reports")


def test_a_report_says_what_the_references_quality_took_and_who_missed_it(written, unrendered):
    for seed in range(3):
        set_history(written, "short_run_uncorrected", seed, [9.0, 8.0, 7.0])
        set_history(written, "short_run_ot", seed, [9.5, 6.0 + seed / 10, 8.0])
    folder = report(written)
    table = pd.read_csv(folder / "time-to-quality.csv", dtype=str)
    assert list(table["cell"]) == ["short-run OT", "same, no correction"]
    assert list(table["reached"]) == ["3 of 3", "3 of 3"]
    changes = [100 * (8.0 / (6.5 + 0.075 * seed) - 1) for seed in range(3)]  # from 2.25e9 FLOP on
    column = list(table["over its last quarter, %"])
    assert column[0].startswith(f"+{np.mean(changes):.1f} ± ")
    assert column[1] == f"{100 * (7 / 7.75 - 1):.3f} ± 0.000"
    assert list(table["FLOP to it"]) == ["2e9", "3e9"]
    assert list(table["s to it"]) == ["6.000 ± 0.000", "9.000 ± 0.000"]  # no evaluation in it
    assert list(table["FLOP, of the reference's"]) == ["0.6667 ± 0.0000", "1.000 ± 0.000"]
    text = (folder / "README.md").read_text()
    assert "## Cost of the quality of short_run_uncorrected" in text
    assert "![Quality against its cost on mnist5k](time-to-quality.png)" in text
    assert not (folder / "performance-profiles.csv").exists()  # one data set
    set_history(written, "short_run_ot", 1, [9.5, 7.1, 8.0])
    table = pd.read_csv(report(written) / "time-to-quality.csv", dtype=str)
    assert list(table["reached"]) == ["2 of 3", "3 of 3"]
    assert list(table["FLOP to it"]) == ["missed", "3e9"]


def test_differences_along_training_are_of_equal_flops_and_paired(written, unrendered):
    for seed in range(3):
        set_history(written, "short_run_uncorrected", seed, [9.0, 8.0, 7.0, 6.0])
        # two points, at half and at all of the reference's FLOPs: 10 + seed, 4
        set_history(written, "short_run_ot", seed, [10.0 + seed, 4.0], scale=2.0)
    table = pd.read_csv(report(written) / "along-training.csv", dtype=str)
    (row,) = table.to_dict("records")
    shares = [row[f"at {share} %"] for share in (25, 50, 75, 100)]
    assert row["cell"] == "short-run OT"
    assert shares[0] == "-"  # not measured yet
    assert shares[1] == "+3.0 ± 2.5"  # 2, 3, 4: 4.303 / sqrt(3)
    assert shares[2].startswith("+0.5 ± ")  # (10 + seed + 4) / 2 - 7
    assert shares[3] == "-2.000 ± 0.000"
    for seed in range(3):  # one that spends more: the shares are of what the reference spends
        set_history(written, "short_run_ot", seed, [10.0, 5.0], scale=2.5)
    folder = report(written)
    (row,) = pd.read_csv(folder / "along-training.csv", dtype=str).to_dict("records")
    assert row["at 50 %"] == "-"
    assert row["at 75 %"] == "+2.000 ± 0.000"  # 9 - 7, at 3e9 FLOP
    text = (folder / "README.md").read_text()
    assert "## Differences to short_run_uncorrected along training" in text


def test_a_curve_is_read_where_it_was_measured():
    assert value_at([2, 4], [8.0, 4.0], 3) == 6.0
    assert value_at([2, 4], [8.0, 4.0], 1.99) == 8.0
    assert value_at([2, 4], [8.0, 4.0], 1.9) is None
    assert value_at([2, 4], [8.0, 4.0], 4.03) == 4.0  # terms that are equal within a batch
    assert value_at([2, 4], [8.0, 4.0], 4.1) is None
    assert value_at([], [], 1) is None


def test_seconds_of_several_devices_are_not_compared(written, unrendered):
    for seed in range(3):
        for method in ("short_run_ot", "short_run_uncorrected"):
            set_history(written, method, seed, [9.0, 8.0], seconds=seed != 0)
    table = pd.read_csv(report(written) / "time-to-quality.csv", dtype=str)
    assert "FLOP to it" in table
    assert "s to it" not in table


@pytest.fixture
def three_data_sets(written):
    """One that is there at half the reference's cost on all data sets but one, which it misses."""
    for data in ("b", "c"):
        for method in ("short_run_ot", "short_run_uncorrected"):
            for seed in range(3):
                folder = written.run(method, seed, data=data, cell=f"{method}-{data}")
                written.evaluation(folder, "e1", {"fd_digits": 10.0 + seed})
    for data in ("mnist5k", "b", "c"):
        for seed in range(3):
            set_history(written, "short_run_uncorrected", seed, [8.0, 4.0], data)
            curve = [9.0, 9.0] if data == "c" else [4.0, 4.0]
            set_history(written, "short_run_ot", seed, curve, data)
    written.manifest(axes=["data", "method"])
    return written


@pytest.mark.parametrize("status", [None, "failed"])
def test_a_row_that_was_not_run_on_every_data_set_has_no_profile(
    three_data_sets, unrendered, status
):
    for data in ("mnist5k", "b", "c"):
        for seed in range(3):
            done = "done" if data != "b" else status
            if done is not None:
                three_data_sets.run("vae", seed, done, data=data, cell=f"vae-{data}")
                set_history(three_data_sets, "vae", seed, [4.0, 1.0], data, scale=0.1)
    three_data_sets.manifest(axes=["data", "method"])
    folder = report(three_data_sets)
    table = pd.read_csv(folder / "performance-profiles.csv", dtype=str).set_index("row")
    assert set(table.loc["vae"]) == {"-"}
    assert table.loc["short-run OT", "score, FLOP"] == f"{2 / 3:.3f}", "as without it"
    assert "A dash: not run on every data set" in (folder / "README.md").read_text()


def test_rows_of_unequal_budgets_have_no_profile(three_data_sets, unrendered):
    """The same curve for four times as long reaches more targets, and is no better method."""
    for data in ("mnist5k", "b", "c"):
        for seed in range(3):
            folder = three_data_sets.run("vae", seed, data=data, cell=f"vae-{data}")
            set_history(three_data_sets, "vae", seed, [4.0, 1.0], data)
    three_data_sets.manifest(axes=["data", "method"])
    assert (report(three_data_sets) / "performance-profiles.csv").exists()
    record = read_json(folder / "record.json")
    write_json(folder / "record.json", record | {"flops": 4 * record["flops"]})
    assert not (report(three_data_sets) / "performance-profiles.csv").exists()


def test_profiles_of_one_row_are_none(three_data_sets, unrendered):
    for folder in three_data_sets.root.glob("runs/c/short_run_ot/*/*"):
        (folder / "record.json").unlink()
    assert not (report(three_data_sets) / "performance-profiles.csv").exists()


def test_profiles_are_there_with_three_data_sets(three_data_sets, unrendered):
    folder = report(three_data_sets)
    table = pd.read_csv(folder / "performance-profiles.csv", dtype=str).set_index("row")
    # the reference: twice the cost on two data sets, alone on the third, at each of three targets
    assert table.loc["same, no correction", "score, FLOP"] == f"{(2 / 3 + 2 / 3 + 1) / 3:.3f}"
    assert table.loc["short-run OT", "score, FLOP"] == f"{2 / 3:.3f}"
    assert table.loc["short-run OT", "within 1, FLOP"] == "6 of 9"
    assert table.loc["same, no correction", "within 1, FLOP"] == "3 of 9"
    assert table.loc["same, no correction", "within 2, FLOP"] == "9 of 9"
    assert "score, s" in table
