"""Pages say their terms: currencies, temperatures, and how many seeds are done."""

import shutil

import pandas as pd
import pytest

from ltvm.report.comparisons.statistics import Estimate, format_estimate
from ltvm.report.page.write import write_report
from ltvm.report.sentences.terms import searched_text
from ltvm.report.values.long_table import SAMPLER_LABEL, SEEDS, STUDY
from ltvm.runtime.files import read_json, write_json

pytestmark = pytest.mark.usefixtures("unrendered")


def page_of(written, tmp_path, **fields):
    folder = write_report(written.manifest(**fields), tmp_path / "reports")
    return folder, (folder / "README.md").read_text()


def change_records(written, method, **fields):
    for entry in written.entries:
        if entry["method"] == method:
            file = written.root / entry["path"] / "record.json"
            write_json(file, read_json(file) | fields)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(3.1e13, 0.0, 3), "3.1e13"),
        (Estimate(3.1e13, 2.5e12, 3), "(3.100 ± 0.250)e13"),
        (Estimate(3.1e13, None, 3, (3e13, 3.3e13)), "3.100 [3.000, 3.300]e13"),
        (Estimate(-2e6, None, 1), "-2e6 (1 seed)"),
        (Estimate(749250.0, 0.0, 3), "749250 ± 0"),
    ],
)
def test_large_numbers_stand_in_powers_of_ten(estimate, text):
    assert format_estimate(estimate) == text


def test_four_currencies_stand_side_by_side_with_the_one_that_is_equal(written, tmp_path):
    change_records(written, "short_run_ot", flops=31_310_000_000_000)
    folder, page = page_of(written, tmp_path)
    costs = pd.read_csv(folder / "cost.csv", dtype=str)
    assert list(costs)[2:6] == [
        "passes per image", "decoder updates", "training, FLOP", "training, s"
    ]  # fmt: skip
    assert costs["training, FLOP"].tolist() == ["3.131e13", "3.1e13"]
    assert "training, FLOP (`protocol.equal=flops`; rows agree within 1 %)" in page
    assert "rows of one currency only" not in page


def test_rows_that_learn_from_more_images_do_not_disagree(written, tmp_path):
    """What 60,000 images cost is no breach of the terms of 1,000."""
    change_records(written, "short_run_ot", flops=60 * 31_000_000_000_000)
    for entry in written.entries:
        many = 60_000 if entry["method"] == "short_run_ot" else 1_000
        entry["values"]["protocol.train_images"] = many
    page = page_of(written, tmp_path, axes=["method", "protocol.train_images"])[1]
    assert "(`protocol.equal=flops`; rows agree within 0 %)" in page


def test_rows_of_several_currencies_are_told_apart(written, tmp_path):
    change_records(written, "short_run_ot", equal="updates")
    page = page_of(written, tmp_path)[1]
    assert "decoder updates (`protocol.equal=updates`; rows agree within 0 %); training, FLOP" in (
        page
    )
    assert "Compare rows of one currency only." in page


def longer_row(written, flops):
    """A third row, ahead of both others by far, which spent that much."""
    for seed in range(3):
        folder = written.run("abp", seed)
        written.evaluation(
            folder, "e1", {"fd_digits": 1.0 + seed / 9, "mse_test": 0.01 + seed / 999}
        )
    change_records(written, "abp", flops=flops)


def test_a_row_of_a_larger_budget_is_neither_tested_nor_best(written, tmp_path, capsys):
    """Else the row that trained for four times as long is called the better method."""
    longer_row(written, 4 * 31_000_000_000_000)
    folder, page = page_of(written, tmp_path)
    head = page[: page.index("Mean ±")]
    assert (
        "**Not on equal terms** (§), and not tested: “abp” against “same, no correction” "
        "(training, FLOP: 4 times as much)."
    ) in head
    assert "est: “abp”" not in page  # neither "Significantly best" nor "Best by its mean"
    rows = {row["cell"]: row for row in pd.read_csv(folder / "differences.csv").to_dict("records")}
    assert rows["abp"]["FD, digit features ↓"].endswith(" §")
    assert "§" not in rows["short-run OT"]["FD, digit features ↓"]
    tests = pd.read_csv(folder / "tests-primary.csv").set_index("cell")
    assert set(tests.loc["abp"]) == {"-"}
    assert "-" not in set(tests.loc["short-run OT"])
    assert "abp" not in set(pd.read_csv(folder / "power.csv")["cell"])
    assert "**" not in (folder / "table.md").read_text()
    fronts = pd.read_csv(folder / "trade-off.csv").set_index("cell")["of the means"]
    assert fronts["abp"] == "yes"
    assert "yes" in set(fronts.drop("abp"))  # what spent less stays on it beside the longer row
    assert "of rows with another budget up to 4 times as much)" in page
    assert "rows agree within" not in page
    told = capsys.readouterr().err
    assert "ltvm: Not on equal terms (§), and not tested: “abp” against" in told


def test_whole_visits_leave_terms_equal(written, tmp_path):
    longer_row(written, round(1.05 * 31_000_000_000_000))
    folder, page = page_of(written, tmp_path)
    assert "Not on equal terms" not in page
    assert "§" not in page
    assert "Significantly best: “abp”" in page
    assert "**" in (folder / "table.md").read_text()


def test_rows_that_were_each_given_another_currency_are_not_on_equal_terms(written, tmp_path):
    longer_row(written, 31_000_000_000_000)
    change_records(written, "abp", equal="passes")
    page = page_of(written, tmp_path)[1]
    assert "“abp” against “same, no correction” (equal passes and equal flops)." in page
    assert "est: “abp”" not in page


def test_without_a_pair_it_is_said_why_no_row_is_best(written, tmp_path):
    longer_row(written, 4 * 31_000_000_000_000)
    page = page_of(written, tmp_path, reference=None)[1]
    assert "(training, FLOP: up to 4 times as much), so that none of them is best." in page
    assert "est: “" not in page
    change_records(written, "abp", equal="passes")
    page = page_of(written, tmp_path, reference=None)[1]
    assert "Rows have several currencies of equal terms, so that none of them is best." in page


def test_a_row_that_spent_nothing_is_not_on_equal_terms(written, tmp_path):
    longer_row(written, 0)
    page = page_of(written, tmp_path, reference=None)[1]
    assert "(training, FLOP: up to inf times as much), so that none of them is best." in page


def test_a_currency_that_is_not_known_here_is_another_one(written, tmp_path):
    """Of a later version, say: what it is worth in ours nobody knows."""
    longer_row(written, 31_000_000_000_000)
    change_records(written, "abp", equal="joules")
    page = page_of(written, tmp_path)[1]
    assert "“abp” against “same, no correction” (equal joules and equal flops)." in page
    assert "est: “abp”" not in page


def test_equal_seconds_are_those_of_one_device(written, tmp_path):
    longer_row(written, 31_000_000_000_000)
    for method in ("short_run_ot", "short_run_uncorrected", "abp"):
        change_records(written, method, equal="seconds")
    page = page_of(written, tmp_path)[1]
    assert "Significantly best: “abp”" in page
    change_records(written, "abp", device="another")
    page = page_of(written, tmp_path)[1]
    assert "(equal seconds of another and equal seconds of cpu)." in page
    assert "est: “abp”" not in page


def test_unequal_budgets_on_one_data_set_leave_another_its_best(written, tmp_path):
    longer_row(written, 4 * 31_000_000_000_000)
    for method, value in (("short_run_ot", 1.0), ("short_run_uncorrected", 9.0)):
        for seed in range(3):
            folder = written.run(method, seed, data="svhn", cell=f"{method}-svhn")
            values = {"fd_digits": value * (1 + seed / 9), "mse_test": value * (1 + seed / 99)}
            written.evaluation(folder, "e1", values)
    page = page_of(written, tmp_path)[1]
    assert "Significantly best: “svhn, short-run OT”" in page
    assert "est: “mnist5k, abp" not in page


def test_a_claim_says_that_its_rows_have_unequal_budgets(written, tmp_path):
    longer_row(written, 4 * 31_000_000_000_000)
    claim = {
        "name": "C1", "claim": "Longer is better.", "metric": "fd_digits", "smallest": 0.1,
        "row": {"method": "abp"}, "against": {"method": "short_run_uncorrected"},
        "stated": "2026-11-30",
    }  # fmt: skip
    fair = claim | {"name": "C2", "row": {"method": "short_run_ot"}}
    folder, _ = page_of(written, tmp_path, claims=[claim, fair])
    verdicts = pd.read_csv(folder / "claims.csv")["verdict"]
    assert verdicts[0].startswith("supported; not on equal terms")
    assert "terms" not in verdicts[1]


def test_a_temperature_is_said_of_every_row_where_one_is_not_the_posteriors(written, tmp_path):
    assert "temperature" not in page_of(written, tmp_path)[1]
    change_records(written, "short_run_ot", temperature=[30.0, 19.2])
    written.evaluation(written.run("vae", 0), "e1", {"fd_digits": 1.0})
    change_records(written, "vae", temperature=None)
    folder, page = page_of(written, tmp_path)
    for name in ("table", "cost"):
        table = pd.read_csv(folder / f"{name}.csv", dtype=str)
        assert table["chain temperature"].tolist() == ["30 to 19.2", "1", "-"]
    assert "Chain temperature: tau²/(2 eta)" in page
    long = pd.read_parquet(folder / "long.parquet")
    assert set(long[long["method"] == "short_run_ot"]["temperature_last"]) == {19.2}


def test_a_page_made_under_way_says_how_many_seeds_and_which_rows(written, tmp_path):
    for entry in written.entries:
        if entry["seed"] > 0:
            shutil.rmtree(written.root / entry["path"])  # planned, not there
    folder, page = page_of(written, tmp_path)
    head = page[: page.index("|")]
    assert "**1 of 3 seeds**" in head
    assert "short-run OT: 1 of 3 (2 pending); same, no correction: 1 of 3 (2 pending)." in head
    assert "One seed: no interval, and nothing is tested." in head
    assert "**" not in (folder / "table.md").read_text()
    assert "**" not in (folder / "differences.md").read_text()
    assert not list(folder.glob("tests-*"))
    assert "-0.5 (1 seed)" in (folder / "differences.csv").read_text()


def test_without_a_seed_that_is_done_it_is_not_said_that_there_is_one(written, tmp_path):
    for method in ("short_run_ot", "short_run_uncorrected"):
        change_records(written, method, status="interrupted", reason="r")
    _, page = page_of(written, tmp_path)
    assert "**0 of 3 seeds**" in page
    assert "One seed: no interval" not in page


def test_rows_without_any_run_yet_keep_their_place(written, tmp_path):
    for entry in written.entries:
        if entry["seed"] > 1 or entry["method"] == "short_run_uncorrected":
            shutil.rmtree(written.root / entry["path"])
    folder, page = page_of(written, tmp_path)
    assert "**0 of 3 seeds**" in page
    assert "One seed: no interval" not in page  # two seeds of one row are done
    assert "same, no correction: 0 of 3 (3 pending)" in page
    table = pd.read_csv(folder / "table.csv")
    assert table["cell"].tolist() == ["short-run OT", "same, no correction"]
    assert not list(folder.glob("tests-*"))


def test_a_page_of_all_seeds_says_the_last_state_and_no_progress(written, tmp_path):
    page = page_of(written, tmp_path)[1]
    assert "Every value is of the last state of training" in page
    assert "of 3 seeds" not in page
    assert "One seed" not in page


def searched(*rows):
    keys = ("cell", "protocol", STUDY, SAMPLER_LABEL, SEEDS)
    rows = [dict(zip(keys, row, strict=False)) | {"method": "my-vae", "data": "mnist5k"}
            for row in rows]  # fmt: skip
    return searched_text(pd.DataFrame(rows, columns=[*rows[0]]))


def test_a_page_says_where_trials_differ_from_the_runs_that_have_their_settings():
    study = "my-vae-mnist5k-medium-301b5d"
    other = "The trials were at another protocol: medium."
    taken = "Rows with a plus and the same rows without share one search."
    seeds = "x n seeds: each was trained with n seeds, and its value is their mean."
    assert searched(("a", "medium", study, None), ("b", "medium", None, None)) == "\n"
    assert searched(("a", "large", study, None)) == f" {other}\n"
    own = ("b", "large", "my-vae-mnist5k-my-large-0a1b2c", "GMM")  # searched with the density
    both = "The trials were at another protocol: medium, my-large."
    assert searched(("a", "large", study, None), own) == f" {both}\n"
    pair = (("a", "large", study, None), ("b", "large", study, "GMM"))
    assert searched(*pair) == f" {other} {taken}\n"
    assert searched(("a", "medium", study, None, 2), ("b", "medium", study, None)) == f" {seeds}\n"
