"""Corrections over families of metrics: against statsmodels, by hand, and by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ltvm.metrics.columns import Column
from ltvm.report.comparisons.differences import difference_tests, differences_table, p_value_tables
from ltvm.report.comparisons.hypotheses import best_cells, correct, families_of_tests
from ltvm.report.comparisons.statistics import leader, leader_p_value, paired_p_value
from ltvm.report.page.write import write_report
from ltvm.report.values.comparability import Marks, differences
from ltvm.runtime.files import read_json

MANIFEST = {"axes": ["method"], "reference": "base"}
HEADLINE = Column("head", "", direction="lower", headline=True)
FURTHER = Column("further", "", direction="higher")


def by_seed(values):
    return dict(enumerate(map(float, values)))


def long_table(values, columns, **fields):
    """``values``: metric -> cell -> values by seed."""
    return pd.DataFrame([
        {"data": "d", "label": cell, "method": cell, "cell": cell, "seed": seed, "status": "done",
         "metric": metric, "value": float(value), **columns[metric].as_dict(), **fields}
        for metric, cells in values.items()
        for cell, numbers in cells.items()
        for seed, value in enumerate(numbers)
    ])  # fmt: skip


def drawn(draws, columns, cells=("base", "a", "b"), seeds=5, shift=0.0):
    return {
        metric: {c: draws.normal(shift * (c == "a"), 1, seeds) for c in cells} for metric in columns
    }


def test_headline_values_are_primary_and_undirected_ones_are_not_tested():
    columns = {
        "head": HEADLINE,
        "further": FURTHER,
        "undirected": Column("x", "", headline=True),
        "p": Column("p", "", direction="lower", role="diagnostic"),
        "point": Column("k", "", direction="lower", role="point"),
    }
    found = families_of_tests(columns, list(columns))
    assert found == {"primary": ["head"], "exploratory": ["further"]}


def test_each_family_is_corrected_over_its_metrics_and_comparisons_as_statsmodels_does():
    columns = {"h1": HEADLINE, "h2": HEADLINE, "f1": FURTHER, "f2": FURTHER, "f3": FURTHER}
    values = drawn(np.random.default_rng(0), columns, shift=2.0)
    table = long_table(values, columns)
    tests = difference_tests(table, MANIFEST, list(columns))
    assert len(tests) == 10
    for family in ("h", "f"):
        keys = [key for key in tests if key[0].startswith(family)]
        alone = [
            paired_p_value(by_seed(values[m][cell]), by_seed(values[m]["base"])) for m, cell in keys
        ]
        _, expected, _, _ = multipletests(alone, method="holm")
        assert [tests[key].p for key in keys] == pytest.approx(alone)
        assert [tests[key].corrected for key in keys] == pytest.approx(list(expected))


def test_correction_by_hand():
    families = {"primary": ["a", "b"], "exploratory": ["c"]}
    p = {("a", "x"): 0.01, ("b", "x"): 0.03, ("a", "y"): 0.02, ("b", "y"): None, ("c", "x"): 0.04}
    found = correct(p, families)
    assert {key: test.corrected for key, test in found.items()} == pytest.approx(
        {("a", "x"): 0.03, ("a", "y"): 0.04, ("b", "x"): 0.04, ("c", "x"): 0.04}
    )
    assert all(test.stands for test in found.values())
    assert not correct({**p, ("c", "y"): 0.9}, families)["c", "x"].stands  # 0.08


def test_many_metrics_of_nothing_find_nothing_95_times_in_a_hundred():
    draws = np.random.default_rng(5)
    families = {"primary": ["h0", "h1", "h2"], "exploratory": [f"f{i}" for i in range(6)]}
    keys = [(m, cell) for metrics in families.values() for m in metrics for cell in "ab"]
    wrong = {"h": 0, "f": 0, "alone": 0}
    for _ in range(40):
        shared = draws.normal(0, 1, (5, 1))  # metrics and comparisons depend on each other
        differences = shared + draws.normal(0, 1, (5, len(keys)))
        p_values = stats.ttest_1samp(differences, 0).pvalue
        tests = correct(dict(zip(keys, map(float, p_values), strict=True)), families)
        for family in ("h", "f"):
            wrong[family] += any(t.stands for k, t in tests.items() if k[0].startswith(family))
        wrong["alone"] += any(test.p < 0.05 for test in tests.values())
    assert max(wrong["h"], wrong["f"]) <= 40 * 0.05 + 4
    assert wrong["alone"] > 40 * 0.2


def test_bold_is_what_stands_over_the_metrics_and_both_p_are_shown():
    base, shift = np.array([5.0, 6.0, 8.0]), np.array([1.0, 1.4, 1.9])  # p about 0.03
    near = base + np.array([0.1, -0.2, 0.1])
    alone = long_table({"f": {"base": base, "a": base + shift}}, {"f": FURTHER})
    assert differences_table(alone, MANIFEST, ["f"]).iloc[0, 1] == "**+1.4 ± 1.1**"
    values = {"f": {"base": base, "a": base + shift}, "g": {"base": base, "a": near}}
    columns = {"f": FURTHER, "g": FURTHER, "h": HEADLINE}
    more = long_table(values | {"h": values["f"]}, columns)
    found = differences_table(more, MANIFEST, list(columns))
    assert found.iloc[0, 1] == "+1.4 ± 1.1"  # 0.031 alone, and one of two
    assert found.iloc[0, 3].startswith("**")  # the primary family has this one test
    shown = p_value_tables(more, MANIFEST, list(columns))
    assert shown["primary"].iloc[0, 1] == "**0.031 (0.031)**"
    assert shown["exploratory"].iloc[0, 1] == "0.031 (0.063)"


def test_the_best_differs_from_every_other_and_is_corrected_over_columns():
    clear = {"a": by_seed([1.0, 1.1, 0.9]), "b": by_seed([5.0, 5.1, 5.2])}
    assert (leader(clear, "lower"), leader(clear, "higher")) == ("a", "b")
    assert leader_p_value(clear, "a", "lower") == paired_p_value(clear["a"], clear["b"]) < 0.01
    third = clear | {"c": by_seed([1.0, 1.2, 1.0])}
    assert leader_p_value(third, "a", "lower") == paired_p_value(third["a"], third["c"]) > 0.05
    assert leader_p_value({"a": {0: 1.0}, "b": {0: 9.0}}, "a", "lower") is None
    assert leader_p_value({"a": {0: 1.0}}, "a", "lower") is None
    base, shift = np.array([5.0, 6.0, 8.0]), np.array([1.0, 1.4, 1.9])
    columns = {"f": FURTHER, "g": FURTHER}
    pair = {"base": base, "a": base + shift}
    alone = long_table({"f": pair}, columns)
    assert best_cells(alone, ["f"], columns, Marks()) == {("f", "a")}
    noise = {"base": base, "a": base + np.array([0.1, -0.2, 0.1])}
    both = long_table({"f": pair, "g": noise}, columns)
    assert best_cells(both, ["f", "g"], columns, Marks()) == set()


def test_cells_with_runs_to_come_and_single_seeds_are_not_tested():
    values = {"f": {"base": [5.0, 6.0, 8.0], "a": [1.0, 2.0, 4.1], "b": [1.0, 2.0, 4.1]}}
    table = long_table(values, {"f": FURTHER})
    table.loc[table.index[-1], ["status", "metric", "value"]] = ["pending", None, None]
    assert set(difference_tests(table, MANIFEST, ["f"])) == {("f", "a")}
    single = long_table({"f": {"base": [5.0], "a": [1.0]}}, {"f": FURTHER})
    assert p_value_tables(single, MANIFEST, ["f"]) == {}
    assert differences_table(single, MANIFEST, ["f"]).iloc[0, 1] == "-4 (1 seed)"


def of_digits(values, **fields):
    """``values``: digit -> cell -> values by seed, as of a sweep of the digit that is left out."""
    parts = [
        long_table({"f": cells}, {"f": FURTHER}, **{"data.load.digit": digit}, **fields)
        for digit, cells in values.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    table["cell"] += table["data.load.digit"].map("{:.0f}".format)
    return table


def test_rows_on_other_digits_do_not_compete_and_are_of_a_kind_of_their_own():
    """Provenance follows the digit, so that no two numbers of different digits are of one kind."""
    good, bad = [0.9, 0.91, 0.905], [0.1, 0.12, 0.11]
    table = of_digits({1: {"a": good, "b": bad}, 7: {"a": bad, "b": good}})
    stated = table["data.load.digit"].map(lambda digit: f'{{"trained_on": "without {digit}"}}')
    table = table.assign(provenance=stated)
    names = {cell: cell for cell in table["cell"].unique()}
    marks = Marks(differences(table, names, ["data.load.digit"]))
    assert best_cells(table, ["f"], {"f": FURTHER}, marks) == {("f", "a1"), ("f", "b7")}
    mixed = table.assign(provenance=[f'{{"n": {n}}}' for n in range(len(table))])
    marks = Marks(differences(mixed, names, ["data.load.digit"]))
    assert best_cells(mixed, ["f"], {"f": FURTHER}, marks) == set()


def test_a_row_from_elsewhere_stands_beside_the_rows_on_every_digit():
    good, bad = [0.9, 0.91, 0.905], [0.1, 0.12, 0.11]
    table = of_digits({1: {"a": good, "b": bad}}, external=None)
    outside = table[table["seed"] == 0].tail(1).assign(cell="gan", external="gan", value=0.2)
    outside["data.load.digit"] = None
    every = pd.concat([table, outside], ignore_index=True)
    assert best_cells(every, ["f"], {"f": FURTHER}, Marks()) == {("f", "a1")}
    better = every.assign(value=every["value"].where(every["cell"] != "gan", 0.99))
    assert best_cells(better, ["f"], {"f": FURTHER}, Marks()) == set()


def test_a_row_that_samples_from_a_density_competes_where_it_has_a_value():
    values = {
        "f": {"a": [5.0, 5.1, 5.2], "b": [1.0, 1.2, 1.3], "a+gmm": [9.0, 9.2, 9.1]},
        "g": {"a": [5.0, 5.1, 5.2], "b": [1.0, 1.2, 1.3]},  # samples have no part in it
    }
    columns = {"f": FURTHER, "g": FURTHER}
    table = long_table(values, columns)
    table["sampler_label"] = table["cell"].map({"a+gmm": "GMM"})
    assert best_cells(table, ["f", "g"], columns, Marks()) == {("f", "a+gmm"), ("g", "a")}
    none = table.assign(sampler_label=None)  # a row that lacks a value for no reason
    assert best_cells(none, ["f", "g"], columns, Marks()) == {("f", "a+gmm")}


def test_more_seeds_of_one_row_make_no_other_best():
    """By its own seeds the second row is far behind; at those of both it is the better one."""
    own, more = [10.0, 11.0, 12.0], [9.0, 10.02, 10.99, 30.0, 31.0, 32.0]
    assert leader({"a": by_seed(own), "b": by_seed(more)}, "lower") == "b"
    assert leader({"a": {0: 1.0}, "b": {1: 2.0}}, "lower") is None
    columns = {"f": Column("f", "", direction="lower")}
    table = long_table({"f": {"a": own, "b": more}}, columns)
    assert best_cells(table, ["f"], columns, Marks()) == {("f", "b")}
    # c, at the seeds of all three ahead of a, is behind it where these two meet
    late = [8.0, 9.0, 9.9, 60.0, 61.0, 62.0]
    values = {"a": by_seed(more), "b": by_seed(own), "c": by_seed(late)}
    assert leader(values, "lower") == "c"
    assert leader_p_value(values, "c", "lower") == 1


def test_the_page_says_what_was_looked_at_first_and_shows_both_p(written, tmp_path, unrendered):
    folder = write_report(written.manifest(), tmp_path / "reports")
    page = (folder / "README.md").read_text()
    for needed in (
        "## Tests of the differences to short_run_uncorrected",
        "Primary, looked at first: the headline metrics, declared in their code "
        "(FD, digit features ↓; MSE, unseen images ↓), at every comparison: 2 tests.",
        "Exploratory: all other values with a better direction, 1 test;",
        "### Primary", "### Exploratory",
    ):  # fmt: skip
        assert needed in page, needed
    primary = pd.read_csv(folder / "tests-primary.csv")
    assert list(primary)[1:] == ["FD, digit features ↓", "MSE, unseen images ↓"]
    values = [float(text.split()[0]) for text in primary.iloc[0, 1:]]
    corrected = [float(text.split("(")[1].rstrip(")")) for text in primary.iloc[0, 1:]]
    assert corrected == pytest.approx(list(multipletests(values, method="holm")[1]), rel=0.1)
    assert "MSE, training images" not in "".join(primary)  # no better direction: not tested


def test_the_very_same_comparison_is_one_test(written, tmp_path):
    """A run that two rows share is tested once, and both rows have its outcome."""
    alone = told_of(written, tmp_path / "alone")
    for seed in range(3):
        first = written.root / written.entries[seed]["path"] / "evaluations" / "e1.json"
        values = {name: own["value"] for name, own in read_json(first)["values"].items()}
        written.evaluation(written.run("short_run_ot", seed, cell="again"), "e1", values)
    found = told_of(written, tmp_path / "both")
    assert list(found) == ["short-run OT [short_run_ot-cell]", "short-run OT [again]"]
    first, second = found.values()
    assert first == alone["short-run OT"]
    assert second == {name: f"= {text}" for name, text in first.items()}
    page = (tmp_path / "both" / "ot-mnist5k" / "README.md").read_text()
    assert "at every comparison: 2 tests." in page
    assert "=: the very values of an earlier comparison, which are one test." in page


def told_of(results, reports):
    folder = write_report(results.manifest(), reports)
    frame = pd.read_csv(folder / "tests-primary.csv", dtype=str).set_index("cell")
    return {str(name): dict(row) for name, row in frame.iterrows()}
