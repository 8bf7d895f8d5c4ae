"""Ranks from paired differences: known answers, what must not matter, and independent libraries."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ltvm.report.comparisons.statistics import (
    decides,
    paired_p_value,
    probability_of_improvement,
)
from ltvm.report.leaderboard.ranks import (
    SEEDS_OF_AN_INTERVAL,
    errors_needed,
    expected_ranks,
    one_sided,
    ranking,
    rankings,
    separable,
)

DRAW = np.random.default_rng(0)
SEEDS = DRAW.normal(0, 50, 12)  # what all rows of a seed have in common


def row(level, spread=0.1, seeds=range(6), draw=None):
    noise = (draw or np.random.default_rng(int(1000 * level))).normal(0, spread, 12)
    return {seed: float(level + SEEDS[seed] + noise[seed]) for seed in seeds}


def texts(values, direction="lower"):
    return {name: rank.text for name, rank in ranking(values, direction).ranks.items()}


def test_rows_far_apart_have_ranks_of_their_own_although_seeds_differ_more():
    values = {"b": row(2), "c": row(3), "a": row(1)}
    assert texts(values) == {"a": "1", "b": "2", "c": "3"}
    assert list(texts(values, "higher").items()) == [("c", "1"), ("b", "2"), ("a", "3")]
    means = {name: np.mean(list(of.values())) for name, of in values.items()}
    assert np.ptp(list(means.values())) < np.std(list(values["a"].values()))  # not from means


def test_a_method_that_wins_every_seed_is_first_alone_once_seeds_suffice():
    few = {"a": {0: 1.0, 1: 5.0}, "b": {0: 2.0, 1: 6.5}, "c": {0: 3.0, 1: 6.5}}
    assert texts(few)["a"] == "1-3"
    many = {"a": row(1), "b": row(2, 0.5), "c": row(2.01, 0.5)}
    found = ranking(many, "lower").ranks
    assert (found["a"].text, found["b"].text, found["c"].text) == ("1", "2-3", "2-3")
    assert found["a"].better_than == ("b", "c")
    assert found["b"].worse_than == ("a",)
    assert (found["a"].first, found["a"].seeds, found["b"].first) == (6, 6, 0)
    assert (found["a"].expected, found["a"].bounds) == (1.0, (1.0, 1.0))


def test_equal_methods_share_ranks():
    same = row(1)
    found = ranking({"a": same, "b": dict(same), "c": row(9)}, "lower").ranks
    assert (found["a"].text, found["b"].text, found["c"].text) == ("1-2", "1-2", "3")
    assert found["a"].expected == found["b"].expected == 1.5
    assert found["a"].first == found["b"].first == 6  # a tie is both's


def test_the_order_of_rows_and_monotone_changes_of_seeds_change_nothing():
    values = {f"row{i}": row(1 + i / 20, draw=np.random.default_rng(i)) for i in range(7)}
    values["late"] = row(1.1, seeds=range(3, 9))
    turned = dict(reversed(values.items()))
    assert ranking(values, "lower") == ranking(turned, "lower")
    moved = {n: {s: v + 100 * s for s, v in of.items()} for n, of in values.items()}
    assert texts(values) == texts(moved)
    mirrored = {n: {s: -v for s, v in of.items()} for n, of in values.items()}
    assert ranking(values, "lower") == ranking(mirrored, "higher")


def test_intervals_are_those_of_scipy_and_statsmodels():
    values = {f"row{i}": row(1 + i / 12, draw=np.random.default_rng(i)) for i in range(6)}
    names = sorted(values)
    pairs = [(a, b) for a in names for b in names if a != b]
    p = [
        stats.ttest_rel(list(values[a].values()), list(values[b].values()), alternative="less")[1]
        for a, b in pairs
    ]
    told = dict(zip(pairs, multipletests(p, 0.05, "holm")[0], strict=True))
    found = ranking(values, "lower")
    assert found.tests == len(pairs)
    for name, rank in found.ranks.items():
        assert rank.low == 1 + sum(told[other, name] for other in names if other != name)
        assert rank.high == 6 - sum(told[name, other] for other in names if other != name)
    assert 0 < sum(told.values()) < len(pairs) / 2  # neither trivial


def test_the_expected_rank_is_the_mean_rank_over_shared_seeds():
    values = {f"row{i}": row(1, 1.0, draw=np.random.default_rng(i)) for i in range(5)}
    table = np.array([list(values[name].values()) for name in sorted(values)])
    by_seed = stats.rankdata(table, axis=0).mean(axis=1)
    found = ranking(values, "lower").ranks
    for name, mean in zip(sorted(values), by_seed, strict=True):
        assert found[name].expected == pytest.approx(mean)
        low, high = found[name].bounds
        assert low <= mean <= high
    assert sum(rank.first for rank in found.values()) == 6
    two = {name: values[name] for name in ("row0", "row1")}
    share = probability_of_improvement(two["row1"], two["row0"], "lower").probability
    assert ranking(two, "lower").ranks["row0"].expected == pytest.approx(1 + share)


def test_few_seeds_have_no_interval_of_the_rank_at_one():
    """That two rows agree at every seed is no certainty of as few as five."""
    assert (decides(SEEDS_OF_AN_INTERVAL), decides(SEEDS_OF_AN_INTERVAL - 1)) == (True, False)
    found = ranking({"a": row(1, seeds=range(5)), "b": row(2), "c": row(3)}, "lower").ranks
    assert [rank.bounds for rank in found.values()] == [None, (2.0, 2.0), (3.0, 3.0)]
    few = ranking(
        {name: row(level, seeds=range(3)) for name, level in (("a", 1), ("b", 2))}, "lower"
    )
    assert [rank.bounds for rank in few.ranks.values()] == [None, None]


def test_a_ranking_knows_how_many_pairs_it_tells_apart():
    found = ranking({"a": row(1), "b": row(2, 0.5, range(5)), "c": row(2.01, 0.5)}, "lower")
    assert (found.told_apart, found.pairs, found.seeds) == (2, 3, "5 to 6")
    same = ranking({str(i): row(1) for i in range(4)}, "lower")
    assert (same.told_apart, same.pairs, same.seeds) == (0, 6, "6")
    assert (ranking({}, "lower").pairs, ranking({}, "lower").seeds) == (0, "0")


def test_both_ways_to_the_expected_rank_agree():
    draw = np.random.default_rng(3)
    costs = draw.integers(0, 4, (6, 5)).astype(float)  # with ties
    counts = draw.multinomial(5, [0.2] * 5, 8).astype(float)
    absent = np.vstack([costs, np.full(5, np.nan)])  # which no row is told from
    expected = expected_ranks(costs, counts) + 0.5
    assert np.allclose(expected_ranks(absent, counts)[:, :6], expected)


def test_all_metrics_of_a_page_are_corrected_together():
    costs = {"a": {0: 0.0, 1: 0.1, 2: 0.2}, "b": {0: 1.0, 1: 1.2, 2: 1.1}}
    assert {n: r.text for n, r in ranking(costs, "lower").ranks.items()} == {"a": "1", "b": "2"}
    several = rankings({str(i): (costs, "lower") for i in range(20)})
    assert several["0"].tests == 40
    assert several["0"].ranks["a"].text == "1-2"
    mixed = rankings({"x": (costs, "lower"), "y": (costs, "higher")})
    assert list(mixed["x"].ranks) == list(mixed["y"].ranks)[::-1] == ["a", "b"]
    assert rankings({}) == {}


def test_rows_without_two_shared_seeds_are_not_told_apart():
    found = ranking({"a": row(1, seeds=(0, 1)), "b": row(99, seeds=(2, 3))}, "lower")
    assert found.tests == 0
    assert [(r.text, r.expected) for r in found.ranks.values()] == [("1-2", 1.5)] * 2
    (alone,) = ranking({"a": {0: 1.0}}, "lower").ranks.values()
    assert (alone.text, alone.expected, alone.bounds, alone.first) == ("1", 1.0, None, 1)
    assert ranking({}, "lower").ranks == {}
    with pytest.raises(ValueError, match="finite"):
        ranking({"a": {0: float("nan")}}, "lower")


def test_differences_without_spread_are_worth_the_sign_test():
    costs = np.array([[1.0, 2.0], [2.0, 3.0], [1.0, 2.0]])
    assert one_sided(costs[0], costs).tolist() == [1.0, 0.25, 1.0]
    assert one_sided(costs[1], costs).tolist() == [1.0, 1.0, 1.0]
    assert ranking({"a": {0: 1.0, 1: 2.0}, "b": {0: 1.5, 1: 2.5}}, "lower").told_apart == 0


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("step", [-0.1, 0.0, 0.1, 1e-14, -1e-14])
def test_what_is_equal_up_to_rounding_is_so_for_a_page_and_a_leaderboard(n, step):
    """0.3 - 0.4 and 0.4 - 0.5 differ in their last digits."""
    other = 0.3 + np.arange(n) / 10
    own = other + step
    (p,) = one_sided(np.append(own, np.nan), np.append(other, 1e9)[None])
    two_sided = paired_p_value(dict(enumerate(own)), dict(enumerate(other)))
    assert p == (two_sided / 2 if step == -0.1 else 1.0)


def test_intervals_hold_all_true_ranks_nineteen_times_in_twenty():
    draw, missed = np.random.default_rng(1), 0
    for _ in range(300):
        costs = np.array([level + draw.normal(0, 0.4, 5) for level in (0, 0, 1, 1)])
        (better,), _ = separable([costs])
        missed += better[0, 1] or better[1, 0] or better[2, 3] or better[3, 2]
    assert missed <= 0.05 * 300
    assert errors_needed(12, 5) == pytest.approx(stats.t.ppf(1 - 0.05 / 12, 4))
    assert errors_needed(0, 5) is None
