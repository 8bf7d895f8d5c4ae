"""Intervals, tests and corrections against scipy, closed forms, and coverage by simulation."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ltvm.metrics.columns import Column
from ltvm.report.comparisons.differences import (
    differences_table,
    improvement_table,
    pairs,
    signed,
)
from ltvm.report.comparisons.statistics import (
    Estimate,
    bootstrap_interval,
    decides,
    format_estimate,
    holm,
    mean_interval,
    paired_p_value,
    probability_of_improvement,
)
from ltvm.report.sentences.notes import NOTED_COLUMNS, mixed_values
from ltvm.report.tables.resampling_table import resampling_table


def by_seed(values):
    return dict(enumerate(map(float, values)))


def test_a_bootstrap_interval_is_the_same_every_time_and_near_the_normal_one():
    values = np.random.default_rng(1).normal(5, 2, 200)
    estimate = bootstrap_interval(values)
    assert estimate == bootstrap_interval(values)
    assert estimate.bounds == pytest.approx(
        (values.mean() - 1.96 * values.std() / 200**0.5,
         values.mean() + 1.96 * values.std() / 200**0.5), rel=0.01,
    )  # fmt: skip
    assert estimate.errors == pytest.approx((mean_interval(values).half_width,) * 2, rel=0.1)


def test_a_bootstrap_interval_leans_to_the_long_tail_as_bca_does():
    """Hall, "Theoretical comparison of bootstrap confidence intervals", Annals 1988: to second
    order the BCa interval's middle is skewness (2 z^2 + 1) / (6 sqrt n) standard errors above the
    mean; the percentile interval's has z^2 - 1 there, a third of it."""
    values = stats.expon.ppf((np.arange(100) + 0.5) / 100)
    below, above = bootstrap_interval(values).errors
    error, z = values.std() / 100**0.5, 1.96
    shift = stats.skew(values) * (2 * z**2 + 1) / (6 * 100**0.5)
    assert (above - below) / 2 / error == pytest.approx(shift, rel=0.25)


def test_bootstrap_covers_with_many_seeds_and_not_with_three():
    """What the page says: too narrow for a handful. 95 % +- 3 would be luck at 300 draws."""
    draws = np.random.default_rng(2)

    def coverage(n):
        found = [bootstrap_interval(draws.normal(1, 1, n)).bounds for _ in range(300)]
        return np.mean([low <= 1 <= high for low, high in found])

    assert coverage(25) > 0.9
    assert coverage(3) < 0.85


def test_bootstrap_of_values_without_spread():
    assert bootstrap_interval([2.0]) == Estimate(2.0, None, 1)
    assert bootstrap_interval([2.0, 2.0, 2.0]).bounds == (2.0, 2.0)
    assert bootstrap_interval([1.0, 1.5, 2.0]).excludes_zero
    assert not bootstrap_interval([-1.0, 1.5, 2.0]).excludes_zero
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval([np.nan])
    assert format_estimate(bootstrap_interval([2.0])) == "2 (1 seed)"


def test_an_interval_with_bounds_shows_both():
    assert format_estimate(Estimate(457.1, None, 9, (446.0, 471.0)), signs="†") == (
        "457 [446, 471] †"
    )
    assert format_estimate(Estimate(457.1, 12.3, 9), mark=True, signs="†") == "**457 ± 12 †**"


def test_p_values_equal_scipy():
    draws = np.random.default_rng(3)
    first, second = draws.normal(0, 1, 7), draws.normal(1, 1, 7)
    expected = stats.ttest_rel(first, second).pvalue
    assert paired_p_value(by_seed(first), by_seed(second)) == pytest.approx(expected)
    assert paired_p_value({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}) == 1
    assert paired_p_value({0: 1.0}, {0: 2.0}) is None


@pytest.mark.parametrize("seeds", [2, 5, 8])
def test_equal_differences_are_worth_what_their_signs_are(seeds):
    """A metric in eighths: two equal differences decide nothing."""
    first = by_seed(np.arange(seeds) / 8)
    second = {seed: value + 0.125 for seed, value in first.items()}
    exact = stats.binomtest(seeds, seeds).pvalue
    assert paired_p_value(first, second) == pytest.approx(exact)
    rounded = {seed: value + 0.1 for seed, value in first.items()}  # equal but for rounding
    assert paired_p_value(first, rounded) == pytest.approx(exact)
    same = {seed: value + 0.1 - 0.1 for seed, value in first.items()}
    assert paired_p_value(first, same) == 1


def test_seeds_that_are_not_shared_have_no_part_in_a_test():
    first, second = {0: 10.0, 1: 11.0, 2: 12.0}, {0: 20.0, 1: 21.5, 2: 22.3}
    alone = paired_p_value(first, second)
    assert paired_p_value(first | {3: 1e14}, second) == alone
    assert paired_p_value(first, {4: -1e14} | second) == alone


def test_holm_by_hand_and_by_its_closure():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
    # Holm is the closed test of Bonferroni's: the largest adjusted p over all sets of
    # hypotheses that contain this one.
    p = np.random.default_rng(4).beta(0.5, 3, 6)
    for i, adjusted in enumerate(holm(list(p))):
        others = [j for j in range(6) if j != i]
        closed = max(
            min(1, (1 + size) * min(p[list(chosen)].min(initial=1), p[i]))
            for size in range(6)
            for chosen in itertools.combinations(others, size)
        )
        assert adjusted == pytest.approx(closed)


def test_improvement_is_the_binomial_proportion_of_scipy():
    first, second = by_seed([1, 2, 3, 4, 9, 1, 1]), by_seed([2, 3, 4, 5, 1, 2, 2])
    found = probability_of_improvement(first, second, direction="lower")
    exact = stats.binomtest(6, 7).proportion_ci(0.95, "exact")
    assert (found.probability, found.n) == (pytest.approx(6 / 7), 7)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    other = probability_of_improvement(first, second, direction="higher")
    assert other.probability == pytest.approx(1 / 7)
    assert (other.low, other.high) == pytest.approx((1 - exact.high, 1 - exact.low))
    assert probability_of_improvement({0: 1.0}, {1: 1.0}, "lower") is None


def test_improvement_counts_ties_half_as_mann_and_whitney_do():
    first, second = by_seed([1, 2, 3]), by_seed([1, 3, 2])
    found = probability_of_improvement(first, second, direction="higher")
    strata = [stats.mannwhitneyu([first[s]], [second[s]]).statistic for s in first]
    assert found.probability == pytest.approx(np.mean(strata)) == 0.5
    assert found.low == pytest.approx(stats.binomtest(1, 3).proportion_ci(0.95, "exact").low)
    assert found.high == pytest.approx(stats.binomtest(2, 3).proportion_ci(0.95, "exact").high)


@pytest.mark.parametrize("n", [1, 3, 5, 10])
def test_improvement_covers_exactly_at_any_number_of_seeds(n):
    """Closed form: the binomial weight of all outcomes whose interval holds p is 95 % or more."""
    outcomes = [
        probability_of_improvement(
            by_seed([0.0] * wins + [2.0] * (n - wins)), by_seed([1.0] * n), direction="lower"
        )
        for wins in range(n + 1)
    ]
    assert [o.probability for o in outcomes] == pytest.approx(np.arange(n + 1) / n)
    for p in np.linspace(0, 1, 101):
        weights = stats.binom.pmf(np.arange(n + 1), n, p)
        covered = [o.low <= p <= o.high for o in outcomes]
        assert weights[covered].sum() >= 0.95


def test_six_seeds_are_the_fewest_that_decide():
    for n in range(1, 9):
        every = probability_of_improvement(by_seed([0.0] * n), by_seed([1.0] * n), "lower")
        assert (every.low > 0.5) == decides(n) == (n >= 6)


FD = Column("FD, digit features", "of samples", "generation", direction="lower")
ERROR = Column("error of FD", "jackknife", "generation", role="error", of="fd_digits")


def long_table(cells, direction="lower", **columns):
    fields = FD.as_dict() | {"direction": direction}
    rows = [
        {"data": "d", "label": cell, "method": cell, "cell": cell, "seed": seed, "status": "done",
         "metric": "fd_digits", "value": value, **fields, **columns}
        for cell, values in cells.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows), {"axes": ["method"], "reference": "base"}


def test_differences_with_a_bootstrap_interval():
    base = np.array([5.0, 6.0, 8.0, 7.0])
    table = differences_table(
        *long_table({"base": base, "a": base - np.array([1.0, 1.2, 1.1, 4.5])}), ["fd_digits"],
        interval="bootstrap",
    )  # fmt: skip
    assert table.iloc[0, 1].startswith("-1.9 [-3.")  # the t interval holds zero: not bold


def test_improvement_is_shown_where_it_could_decide():
    base = np.arange(6.0)
    assert improvement_table(*long_table({"base": base[:5], "a": base[:5] - 1}), ["fd_digits"]) is (
        None
    )
    table = improvement_table(*long_table({"base": base, "a": base - 1}), ["fd_digits"])
    assert table.iloc[0, 1] == "1.00 [0.54, 1.00]"
    table = improvement_table(*long_table({"base": base, "a": base - 1}, "higher"), ["fd_digits"])
    assert table.iloc[0, 1] == "0.00 [0.00, 0.46]"
    assert improvement_table(*long_table({"base": base, "a": base}, None), ["fd_digits"]) is None


def test_two_kinds_of_spread_are_shown_apart():
    table, manifest = long_table({"a": [1.0, 2.0, 3.0], "b": [5.0]})
    assert resampling_table(table, manifest) is None
    errors = {"a": [3.0, 4.0, 0.0], "b": [2.0]}
    beside = long_table(errors)[0].assign(metric="fd_digits_error", **ERROR.as_dict())
    found = resampling_table(pd.concat([table, beside]), manifest)
    assert list(found) == [
        "cell", "FD, digit features ↓: sd over seeds", "FD, digit features ↓: sd over draws"
    ]  # fmt: skip
    assert found.iloc[:, 1].tolist() == ["1", "-"]
    assert found.iloc[:, 2].tolist() == [f"{(25 / 3) ** 0.5:.3g}", "2"]


def test_what_is_rounded_to_zero_has_no_sign():
    assert format_estimate(Estimate(-0.2, 21.0, 3)) == "0 ± 21"
    assert signed(Estimate(-0.0002, 0.015, 3), False) == "0.000 ± 0.015"
    assert signed(Estimate(0.2, 21.0, 3), False) == "0 ± 21"
    assert signed(Estimate(-0.6, 2.1, 3), False) == "-0.6 ± 2.1"
    assert signed(Estimate(4.0, 2.1, 3), True) == "**+4.0 ± 2.1**"
    assert signed(Estimate(0.0, 0.0, 3), False) == "0 ± 0"
    assert signed(Estimate(3.1e13, 1e12, 3), False) == "+(3.100 ± 0.100)e13"
    assert signed(Estimate(-3.1e13, 1e12, 3), False) == "(-3.100 ± 0.100)e13"
    assert format_estimate(Estimate(3.1e-8, 1e-9, 3)) == "(3.100 ± 0.100)e-8"  # KID, say
    assert signed(Estimate(1e-9, 4e-8, 3), False) == "+(0.100 ± 4.000)e-8"
    assert signed(Estimate(-4e-8, 1e-9, 3), True) == "**(-4.000 ± 0.100)e-8**"
    assert format_estimate(Estimate(0.0, 0.0, 3)) == "0 ± 0"


def test_a_row_is_compared_with_the_reference_of_its_own_precision():
    methods = {"r16": "base", "r32": "base", "again": "base", "a16": "a", "a32": "a", "other": "a"}
    table, manifest = long_table({cell: [1.0, 2.0] for cell in methods})
    table = table.assign(method=table["cell"].map(methods))
    manifest = manifest | {"reference": "base"}
    alike = dict(pairs(table, manifest))
    assert alike == dict.fromkeys(list(methods)[1:], "r16")
    precisions = {"r16": "bfloat16", "r32": "float32", "again": "float32", "a16": "bfloat16",
                  "a32": "float32", "other": "float64"}  # fmt: skip
    mixed = table.assign(precision=table["cell"].map(precisions))
    assert dict(pairs(mixed, manifest)) == {
        "again": "r32", "a16": "r16", "a32": "r32", "other": "r16",
    }  # fmt: skip
    unknown = mixed.assign(precision=mixed["precision"].mask(mixed["cell"] == "r16"))
    assert dict(pairs(unknown, manifest)) == alike
    assert list(mixed_values(mixed, "precision").values()) == [["bfloat16", "float32", "float64"]]
    assert "precision" in NOTED_COLUMNS
