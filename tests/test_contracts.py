"""Parts that break their contract: ``ltvm check`` says which sentence does not hold."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from ltvm.config import resolve
from ltvm.data.image_set import DataSet
from ltvm.errors import InputError
from ltvm.methods.vae import VariationalAutoEncoder
from ltvm.metrics.base import Context, Measurement, Metric
from ltvm.metrics.columns import Column
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.models.prior import StandardNormal
from ltvm.runs.execution.build import NOT_PARAMETERS, build_metrics, build_problem, make_extractor
from ltvm.testing import (
    SMOKE,
    check_cost,
    check_data,
    check_extractor,
    check_metric,
    check_prior,
    check_solver,
)
from ltvm.transport import build_solver


class Fault:
    """A solver that does what ``wrong`` says to its coupling, or to what it was given."""

    def __init__(self, wrong):
        self.wrong, self.solver = wrong, build_solver("exact")

    def __call__(self, codes, targets, state, generator):
        coupling = self.solver(codes, targets, state, generator)
        return self.wrong(codes, coupling) or coupling


def draw_elsewhere(*_):
    torch.rand(1)


def change_codes(codes, _):
    codes.add_(0.0001)


def forget_one(_, coupling):
    return replace(coupling, mapped=coupling.mapped[:-1])


def understate(_, coupling):
    return replace(coupling, cost=coupling.cost / 2)


def overclaim(_, coupling):
    return replace(coupling, lower_bound=2 * coupling.cost)


class Unsteady:
    """Another coupling at every call."""

    def __init__(self):
        self.calls, self.solver = 0, build_solver("random")

    def __call__(self, codes, targets, state, _):
        self.calls += 1
        return self.solver(codes, targets, state, torch.Generator().manual_seed(self.calls))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (draw_elsewhere, "draws from the generator that it is given"),
        (change_codes, "leaves codes and targets as they were"),
        (forget_one, r"maps every code: \[n, d\]"),
        (understate, "cost is the mean squared distance"),
        (overclaim, "a lower bound is below the cost"),
    ],
)
def test_solvers(wrong, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_solver(Fault(wrong))


def test_a_solver_that_is_not_a_function_of_its_arguments():
    with pytest.raises(AssertionError, match="a coupling depends on its arguments alone"):
        check_solver(Unsteady())


class Assignment:
    """What a coupling is made from, in place of it."""

    def __call__(self, codes, *_):
        return torch.arange(len(codes))


def test_a_solver_that_returns_no_coupling():
    told = "Assignment.__call__: returns a Tensor; allowed: a Coupling"
    with pytest.raises(InputError, match=re.escape(told)):
        check_solver(Assignment())


class Nothing(Metric):
    """Measures nothing."""

    def columns(self):
        return {"x": Column("x", "a number", "codes")}

    def __call__(self, *_):
        return {}


class Unnamed(Nothing):
    """A value without a column."""

    def __call__(self, *_):
        return {"y": Measurement(1.0)}


class Infinite(Nothing):
    def __call__(self, *_):
        return {"x": Measurement(float("inf"))}


class Counting(Nothing):
    """Another value at every call."""

    calls = 0

    def __call__(self, *_):
        self.calls += 1
        return {"x": Measurement(float(self.calls))}


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        (Nothing, "gives a value or a point of a curve"),
        (Unnamed, "every value has a column"),
        (Infinite, "values are finite"),
        (Counting, "a second call gives the same values"),
    ],
)
def test_metrics(metric, sentence):
    context = Context(0, torch.device("cpu"))
    with pytest.raises(AssertionError, match=sentence):
        check_metric(metric(), None, None, context)


def test_a_metric_may_have_nothing_to_say_of_a_method_that_lacks_what_it_looks_at():
    context = Context(0, torch.device("cpu"))
    assert check_metric(Nothing(), None, None, context, complete=False)


class Shifted(StandardNormal):
    """Says that it is standard normal, and has another energy."""

    def energy(self, codes):
        return (codes - 1).square().sum(1) / 2


class Mixed(StandardNormal):
    """The energy of a code depends on the others."""

    def energy(self, codes):
        return codes.square().sum(1) / 2 + codes.mean()


class Narrow(StandardNormal):
    def sample(self, n, draws):
        return super().sample(n, draws)[:, :-1]


@pytest.mark.parametrize(
    ("prior", "sentence"),
    [
        (Shifted, r"has the energy \|z\|\^2 / 2"),
        (Mixed, "a code's energy depends on no other code"),
        (Narrow, r"draws are finite \[n, d\]"),
    ],
)
def test_priors(prior, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_prior(prior(5), 5)


class Centred(DigitFeatures):
    """Features that depend on the other images."""

    def __call__(self, images):
        features = super().__call__(images)
        return features - features.mean(0)


class Halved(DigitFeatures):
    def __call__(self, images):
        return super().__call__(images).float()


@pytest.mark.parametrize(
    ("extractor", "sentence"),
    [(Centred, "no image affects another"), (Halved, "features are float64")],
)
def test_extractors(extractor, sentence, tiny):
    with pytest.raises(AssertionError, match=sentence):
        check_extractor(extractor(), tiny)


def test_data_whose_splits_are_the_same_images(tiny):
    with pytest.raises(AssertionError, match="the splits are different images"):
        check_data(DataSet(tiny.train, tiny.train))


class Greedy(VariationalAutoEncoder):
    """Takes a quarter more than every method may spend, and declares it."""

    learning_share = 1.25


def test_who_spends_more_than_all_may_spend(tiny):
    config = resolve([*SMOKE, "method=vae", "protocol.batch=10"])
    own = {k: v for k, v in config["method"].items() if k not in (*NOT_PARAMETERS, "_target_")}
    for method, broken in ((VariationalAutoEncoder, False), (Greedy, True)):
        one = method(build_problem(config, tiny), **own)
        one.fit_iteration()
        if broken:
            with pytest.raises(AssertionError, match="spends its allowance, within one batch"):
                check_cost(one)
        else:
            check_cost(one)


def test_what_is_no_metric_and_no_extractor_is_refused():
    config = resolve(["evaluation.metrics.latents._target_=pathlib.Path"])
    config["evaluation"]["metrics"]["latents"] = {"_target_": "pathlib.Path"}
    with pytest.raises(InputError, match=r"latents\._target_=pathlib\.Path: .*subclass of Metric"):
        build_metrics(config, torch.device("cpu"))
    part = {"_target_": "ltvm.runtime.devices.describe"}
    with pytest.raises(InputError, match=r"--extractor=ltvm\..*describe: .*subclass of Extractor"):
        make_extractor("--extractor", part, torch.device("cpu"))
    with pytest.raises(InputError, match="builtins.dict"):  # says of itself what it takes: nothing
        make_extractor("--extractor", {"_target_": "builtins.dict"}, torch.device("cpu"))
