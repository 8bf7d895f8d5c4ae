"""What seeds could have shown: against statsmodels, by simulation, and in a page."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from ltvm.report.comparisons.power import (
    MOST,
    deviation_bounds,
    equivalence_p_value,
    power,
    seeds_needed,
    sensitivity,
    smallest_difference,
)
from ltvm.report.page.write import write_report


@pytest.mark.parametrize("n", [2, 3, 5, 20])
@pytest.mark.parametrize("effect", [0.1, 0.8, 3.0])
def test_power_is_that_of_statsmodels(n, effect):
    upper, lower = (
        TTestPower().power(sign * effect, n, 0.025, alternative="larger") for sign in (1, -1)
    )
    expected = upper + lower
    assert power(effect * 7, 7, n) == pytest.approx(expected, abs=1e-6)
    assert power(-effect * 7, 7, n) == pytest.approx(expected, abs=1e-6)


def test_power_is_the_share_of_experiments_that_find_a_difference():
    rng = np.random.default_rng(0)
    draws = rng.normal(1.5, 1.0, (20_000, 4))
    t = draws.mean(1) / (draws.std(1, ddof=1) / 2)
    assert power(1.5, 1.0, 4) == pytest.approx((abs(t) > 3.182446).mean(), abs=0.01)


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_the_smallest_difference_is_found_four_times_in_five(n):
    assert power(smallest_difference(2.0, n), 2.0, n) == pytest.approx(0.8, abs=1e-6)


def test_seeds_needed_are_the_fewest_that_suffice():
    needed = seeds_needed(1.0, 1.0)
    assert needed == 10  # as G*Power 3 has it for matched pairs, dz = 1
    assert power(1.0, 1.0, needed) >= 0.8 > power(1.0, 1.0, needed - 1)
    assert seeds_needed(100.0, 1.0) == 2
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(1e-3, 1.0) is None


def test_the_bounds_of_a_deviation_hold_it_in_19_of_20_samples():
    samples = np.random.default_rng(1).normal(0, 3.0, (4_000, 3)).std(1, ddof=1)
    low, high = np.array([deviation_bounds(s, 3) for s in samples]).T
    assert ((low < 3.0) & (high > 3.0)).mean() == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("margin", [0.1, 0.5, 2.0])
def test_equivalence_is_that_of_statsmodels(margin):
    first, second = np.array([1.0, 1.4, 0.8, 1.1]), np.array([0.9, 1.5, 0.9, 1.3])
    expected = ttost_paired(first, second, -margin, margin)[0]
    assert equivalence_p_value(list(first - second), margin) == pytest.approx(expected)


@pytest.mark.parametrize("difference", [1e5, 1e8, 1e9, 1e12])
def test_what_cannot_be_missed_needs_two_seeds(difference):
    """Far out the noncentral law is not a number to scipy; chances are 1 there."""
    assert seeds_needed(difference, 1.0) == 2
    assert power(difference, 1.0, 1_000) == pytest.approx(1.0)


def test_no_spread_tells_nothing():
    assert sensitivity([1.0], 1.0) is None
    assert sensitivity([2.0, 2.0], 1.0) is None
    assert sensitivity([2.0, 2.5], 1.0) is not None


def test_a_page_says_what_its_seeds_could_not_tell(written, tmp_path):
    folder = write_report(written.manifest(margin=0.2), tmp_path / "reports")
    assert "What these seeds can tell" in (folder / "README.md").read_text()
    shown = pd.read_csv(folder / "power.csv", dtype=str).set_index("metric")
    first = shown.loc["FD, digit features ↓"]
    # -0.5, 0.4, -0.2: mean -0.1, s = 0.4583, so 1.4957 by the noncentral t; reference 11.1
    assert first["difference"] == "-0.1 ± 1.1"
    assert first["detectable"] == "1.5 (13 %)"
    assert first["seeds needed"] == f"167 [47, >{MOST}]"
    assert first["equivalent within 20 %, p"] == "0.0076"


def test_nothing_is_told_without_two_shared_seeds(written, tmp_path):
    written.entries[:] = [entry for entry in written.entries if entry["seed"] == 0]
    folder = write_report(written.manifest(), tmp_path / "reports")
    assert not (folder / "power.csv").exists()
    assert "What these seeds can tell" not in (folder / "README.md").read_text()
