"""What is searched: keys of a method, as distributions."""

import math
from pathlib import Path

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ltvm.cli.tune import print_not_searched
from ltvm.config import choices, resolve
from ltvm.errors import InputError
from ltvm.runs.ablations.found import Wanted, check_space, plain
from ltvm.tuning.search import Search
from ltvm.tuning.space import distribution, rounded, space_of


def test_every_method_says_what_is_searched_of_it():
    for method in choices("method"):
        config = resolve([f"method={method}"])
        space = space_of(config, [])
        assert "protocol.learning_rate" in space
        # the twin's is 0: that is what it is
        assert ("method.alpha" in space) == (config["method"].get("alpha", 0) > 0)


def test_around_follows_the_protocol():
    for protocol, rate in (("small", 3e-3), ("full", 2e-4)):
        space = space_of(resolve(["method=vae", f"protocol={protocol}"]), [])
        found = space["protocol.learning_rate"]
        assert found.log
        assert (found.low, found.high) == pytest.approx((rate / 10, rate * 10))


def test_what_the_user_sets_is_not_searched():
    config = resolve(["method=abp", "method.kernel.size=0.05"])
    left = set(space_of(config, ["method.kernel.size"]))
    assert left == {"protocol.learning_rate", "protocol.batch"}
    with pytest.raises(InputError, match=r"method\.tuning of abp"):
        space_of(config, ["method.kernel.size", *left])


def test_a_batch_that_decides_what_may_be_spent_is_not_searched():
    """In updates an iteration may spend so many a batch."""
    for currency in ("flops", "passes", "updates"):
        config = resolve(["method=vae", f"protocol.equal={currency}"])
        assert ("protocol.batch" in space_of(config, [])) == (currency != "updates")
        ranges = {"protocol.batch": {"low": 20, "high": 30}}
        assert ("protocol.batch" in space_of(config, [], ranges)) == (currency != "updates")
    with pytest.raises(InputError, match="allowed: key: .*, of other keys than protocol.batch"):
        space_of(config, ["protocol.learning_rate"])
    wanted = Wanted(2, "fd_digits", space=ranges)
    with pytest.raises(InputError, match=r"protocol\.batch: allowed: .* protocol\.equal=updates"):
        check_space(wanted, [(config, [])])
    check_space(wanted, [(config, []), (resolve(["method=vae"]), [])])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("method=vae", "protocol.equal=updates"), True),
        (("method=vae", "protocol.equal=updates", "protocol.batch=30"), False),
        (("method=vae",), False),
    ],
)
def test_what_is_not_searched_is_said(capsys, overrides, said):
    config = resolve(overrides)
    place = Path("nowhere")
    search = Search("vae-x", overrides, config, space_of(config, []), "m", "minimize", place)
    print_not_searched([search, search])
    line = "protocol.batch is not searched: with protocol.equal=updates a smaller one buys more"
    assert capsys.readouterr().err == (f"{line} of them\n" if said else "")


def test_other_ranges_are_in_place_of_a_methods_own():
    """For keys that its search has; its twin's alpha stays what it is."""
    ranges = {"method.alpha": {"low": 0.1, "high": 0.4, "log": True}}
    own = space_of(resolve(["method=short_run_ot"]), [])
    space = space_of(resolve(["method=short_run_ot"]), [], ranges)
    assert space == own | {"method.alpha": FloatDistribution(0.1, 0.4, log=True)} != own
    twin = resolve(["method=short_run_uncorrected"])
    assert space_of(twin, [], ranges) == space_of(twin, [])
    with pytest.raises(InputError, match=r"ablation\.tuned\.space: method\.alpha=7: allowed"):
        space_of(resolve(["method=short_run_ot"]), [], {"method.alpha": 7})
    without = space_of(resolve(["method=short_run_ot"]), [], {"method.alpha": None})
    assert set(own) - set(without) == {"method.alpha"}


def test_a_range_counts_as_what_it_says():
    assert plain({"low": 0, "high": 1, "log": False}) == plain({"low": 0.0, "high": 1.0})
    assert plain({"low": 1, "high": 2, "log": True}) != plain({"low": 1, "high": 2})
    assert plain(7) == 7


@pytest.mark.parametrize("method", choices("method"))
def test_every_method_searches_how_many_updates_its_budget_buys(method):
    """Rate and batch, which all have: what some alone may search is their own."""
    space = space_of(resolve([f"method={method}"]), [])
    assert {"protocol.learning_rate", "protocol.batch"} <= set(space)


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ({"low": 1, "high": 10}, 3, IntDistribution(1, 10)),
        ({"low": 1, "high": 10, "log": True}, 3, IntDistribution(1, 10, log=True)),
        ({"low": 1, "high": 10}, 3.0, FloatDistribution(1.0, 10.0)),
        ({"low": 0.1, "high": 1, "log": True}, 0.5, FloatDistribution(0.1, 1.0, log=True)),
        ({"around": 2}, 0.5, FloatDistribution(0.25, 1.0, log=True)),
        ({"around": 4}, 6, IntDistribution(2, 24, log=True)),
        ({"low": 1.0, "high": 10.0}, 3, IntDistribution(1, 10)),
        ({"low": 1.5, "high": 10}, 3, FloatDistribution(1.5, 10.0)),
        ({"low": 1, "high": 10, "log": False}, 3.0, FloatDistribution(1.0, 10.0)),
        ({"choices": ["exact", None, 3]}, "auto", CategoricalDistribution(["exact", None, 3])),
    ],
)
def test_a_declaration_becomes_a_distribution(spec, value, expected):
    assert distribution("k", spec, value) == expected


@pytest.mark.parametrize(
    "spec",
    [3, [1, 2], {}, {"low": 1}, {"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True},
     {"around": 1}, {"around": "x"}, {"choices": []}, {"low": 1, "high": 2, "step": 1},
     {"low": 1, "high": math.inf}, {"low": math.nan, "high": 1}, {"low": True, "high": 2},
     {"low": "1", "high": 2}, {"low": 1, "high": 2, "log": "true"}, {"around": math.inf},
     {"choices": "abc"}, {"choices": [[1, 2]]}, {"choices": [1, 2], "log": True}],
)  # fmt: skip
def test_what_is_no_declaration_is_refused(spec):
    with pytest.raises(InputError, match="^k"):
        distribution("k", spec, 0.5)


def test_numbers_that_are_tried_are_short():
    parameters = {"a": 0.123456, "b": 1.23456e-7, "c": 3, "d": "x", "e": 0.123456}
    number, choice = FloatDistribution(0, 1), CategoricalDistribution([0.123456, 1.0])
    space = {"a": number, "b": number, "c": IntDistribution(1, 9), "e": choice}
    assert rounded(parameters, space) == {
        "a": 0.1235, "b": 1.235e-7, "c": 3, "d": "x", "e": 0.123456,
    }  # fmt: skip
