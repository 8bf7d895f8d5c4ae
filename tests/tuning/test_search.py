"""A study: what is tried next, and what came of it; runs that take no time."""

import json
import math
import os
import signal

import pandas as pd
import pytest

from ltvm.config import CONFIG_DIRS_VARIABLE, resolve
from ltvm.errors import InputError
from ltvm.tuning.search import Search
from ltvm.tuning.space import space_of
from ltvm.tuning.tune import tune


@pytest.fixture
def search(tmp_path):
    """Of the learning rate and the step of ABP, by ``mse_test``."""
    overrides = ("data=mnist5k", "method=abp", "validation_images=12")
    config = resolve(overrides)
    space = space_of(config, ["protocol.batch"])
    return Search("abp-x", overrides, config, space, "mse_test", "minimize", tmp_path / "tuning")


def pretended(outcome=lambda number, value: None):
    """A way to train whose value is best at a learning rate of 0.01, and what it was asked."""
    asked = []

    def train(overrides):
        rate = next(float(o.split("=")[1]) for o in overrides if "learning_rate" in o)
        value = math.log(rate / 0.01) ** 2
        asked.append(overrides)
        other = outcome(len(asked) - 1, value)
        if isinstance(other, BaseException):
            raise other
        if other is not None:
            return {"status": other, "reason": "?"}
        return {"status": "done", "metrics": {"mse_test": {"value": value, "split": "validation"}}}

    return train, asked


def test_trials_begin_with_the_methods_own_settings_and_get_better(search):
    train, asked = pretended()
    (found,) = tune([search], 15, train)
    assert [trial.number for trial in found.trials] == list(range(15))
    assert len(asked) == 15
    assert found.trials[0].settings == {"method.kernel.size": 0.1, "protocol.learning_rate": 0.003}
    assert asked[0] == [
        *search.overrides, "method.kernel.size=0.1", "protocol.learning_rate=0.003",
    ]  # fmt: skip
    assert found.best.value == min(trial.value for trial in found.trials)
    assert found.best.value < found.trials[0].value / 4
    assert search.untuned(found.trials) == found.trials[0]
    assert {t.settings["protocol.learning_rate"] <= 0.03 for t in found.trials} == {True}
    table = pd.read_csv(search.folder / "abp-x.csv")
    assert list(table["mse_test"]) == pytest.approx([trial.value for trial in found.trials])
    assert table["command"][0].startswith("ltvm train data=mnist5k method=abp")


def test_what_was_found_can_be_changed_further(search, monkeypatch):
    (found,) = tune([search], 3, pretended()[0])
    monkeypatch.setenv(CONFIG_DIRS_VARIABLE, str(search.folder.parent))
    config = resolve([f"method={found.choice}", "protocol=medium"])
    assert config["method"]["kernel"]["size"] == found.best.settings["method.kernel.size"]
    assert config["protocol"]["learning_rate"] == found.best.settings["protocol.learning_rate"]
    assert config["protocol"]["steps"] == config["method"]["steps"] == 6  # still the protocol's
    assert config["method"]["tuned"] == {
        "trials": 3, "metric": "mse_test", "study": "abp-x", "flops": 0, "seconds": 0.0,
    }  # fmt: skip
    other = ["method.kernel=hamiltonian", "protocol.learning_rate=0.5"]
    config = resolve([f"method={found.choice}", *other])
    assert config["method"]["kernel"]["name"] == "hamiltonian"
    assert config["protocol"]["learning_rate"] == 0.5


def settings(search, trials):
    return [trial.settings for trial in search.trials(trials)]


def moved(search, folder):
    return Search(**{**vars(search), "folder": folder})


def test_a_study_that_was_stopped_goes_on_as_if_it_had_not_been(search, tmp_path):
    train, asked = pretended()
    tune([search], 14, train)
    other = moved(search, tmp_path / "again")
    stopped = []

    def stop(number, value):
        if len(stopped) < 2 and number in (4, 12):
            stopped.append(number)
            return KeyboardInterrupt()
        return None

    interrupted, again = pretended(stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            tune([other], 14, interrupted)
    tune([other], 14, interrupted)
    assert settings(other, 14) == settings(search, 14)
    assert again[4] == again[5] == asked[4]  # the same trial once more, not the next
    assert len(again) == 14 + 2
    tune([other], 14, interrupted)
    assert len(again) == 14 + 2  # nothing is left to do
    tune([other], 16, interrupted)
    assert len(again) == 16 + 2
    assert settings(other, 16)[:14] == settings(search, 14)


def test_another_study_tries_other_settings(search, tmp_path):
    other = Search(**{**vars(moved(search, tmp_path / "again")), "name": "abp-y"})
    for one in (search, other):
        tune([one], 3, pretended()[0])
    assert settings(search, 3)[0] == settings(other, 3)[0]
    assert settings(search, 3)[1] != settings(other, 3)[1]


def test_failed_and_diverged_trials_count_and_are_not_tried_again(search):
    states = {1: "failed", 2: "diverged"}
    train, asked = pretended(lambda number, value: states.get(number))
    (found,) = tune([search], 4, train)
    assert [trial.status for trial in found.trials] == ["done", "failed", "diverged", "done"]
    assert [trial.value is None for trial in found.trials] == [False, True, True, False]
    tune([search], 4, train)
    assert len(asked) == 4


@pytest.mark.parametrize("seeds", [(), (0, 1)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_trial_whose_value_is_not_finite_has_diverged(search, value, seeds):
    search, asked = Search(**{**vars(search), "seeds": seeds}), []

    def train(overrides):
        asked.append(overrides)
        own = value if len(asked) == 1 else 1.0
        return {"status": "done", "metrics": {"mse_test": {"value": own, "split": "validation"}}}

    for _ in range(2):  # the second time nothing is left to do
        (found,) = tune([search], 2, train)
    assert [trial.status for trial in found.trials] == ["diverged", "done"]
    assert [trial.value for trial in found.trials] == [None, 1.0]
    assert len(asked) == 1 + max(1, len(seeds))


def test_without_any_value_nothing_is_found(search):
    (found,) = tune([search], 2, pretended(lambda *_: "failed")[0])
    assert found.best is None
    assert not list(search.folder.parent.glob("method/**/*.yaml"))


def test_more_is_better_where_the_metric_says_so(search):
    search = Search(**{**vars(search), "direction": "maximize"})
    (found,) = tune([search], 6, pretended()[0])
    assert found.best.value == max(trial.value for trial in found.trials)


def test_methods_take_turns(search, tmp_path):
    other = Search(**{**vars(search), "name": "abp-y"})
    order = []
    tune([search, other], 3, pretended()[0], lambda one, trial: order.append(one.name))
    assert order == ["abp-x", "abp-y"] * 3


def test_a_value_of_other_images_is_refused(search):
    def train(overrides):
        return {"status": "done", "metrics": {"mse_test": {"value": 1.0, "split": "train"}}}

    with pytest.raises(InputError, match=r"measured on the train split.*validation images"):
        tune([search], 1, train)
    with pytest.raises(InputError, match="abp has no such value"):
        tune([search], 1, lambda overrides: {"status": "done", "metrics": {}})
    with pytest.raises(InputError, match="running: allowed: done"):
        tune([search], 1, lambda overrides: {"status": "running"})


def test_one_process_at_a_study(search):
    with search.held(), pytest.raises(InputError, match="another process is at this study"):
        tune([search], 1, pretended()[0])


def test_a_trial_killed_while_its_settings_were_chosen_gets_those_it_would_have_had(
    search, tmp_path
):
    tune([search], 13, pretended()[0])
    lines = search.file.read_text().splitlines(keepends=True)
    chosen = [json.loads(line).get("trial_id") for line in lines]
    cuts = [i for i, trial in enumerate(chosen, 1) if trial in (None, 0, 1, 12)]
    for cut in [*cuts[:6], *cuts[-4:]]:
        other = moved(search, tmp_path / str(cut))
        other.folder.mkdir()
        other.file.write_text("".join(lines[:cut]))
        (found,) = tune([other], 13, pretended()[0])
        assert settings(other, 13) == settings(search, 13)
        assert {trial.status for trial in found.trials} == {"done"}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_waits_until_the_study_is_written(search, tmp_path, monkeypatch, signum):
    tune([search], 3, pretended()[0])
    other, written, sync = moved(search, tmp_path / "again"), [], os.fsync

    def stopped(descriptor):
        sync(descriptor)
        written.append(descriptor)
        if len(written) % 3 == 1 and len(written) < 40:
            signal.raise_signal(signum)

    before = signal.signal(signum, signal.default_int_handler)
    monkeypatch.setattr("optuna.storages.journal._file.os.fsync", stopped)
    stops = 0
    for _ in range(40):
        try:
            (found,) = tune([other], 3, pretended()[0])
            break
        except KeyboardInterrupt:
            stops += 1
    signal.signal(signum, before)
    assert stops > 5
    assert [trial.settings for trial in found.trials] == settings(search, 3)
    assert {trial.status for trial in found.trials} == {"done"}
