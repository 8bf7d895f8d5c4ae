"""Tuning: equally many trials, each a run, on images that neither training nor the test has."""

import math
import os
import re
import shlex
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from small_networks import SMALL

import ltvm
from ltvm.cli.main import main
from ltvm.config import CONFIG_DIRS_VARIABLE, choices, resolve
from ltvm.data.cache import load_data
from ltvm.errors import InputError
from ltvm.report.tables.texts import estimates_table
from ltvm.report.values.cells import tuning_trials
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.ablation import defined, plan, value_of
from ltvm.runs.ablations.found import check_equal_terms
from ltvm.runs.ablations.manifest import manifest_of, write_manifest
from ltvm.runs.execution import execute as execution
from ltvm.runs.files.store import Store
from ltvm.runs.housekeeping.export import export
from ltvm.runs.housekeeping.merge import merge
from ltvm.runs.identity import identity
from ltvm.runtime.commands import command_line
from ltvm.runtime.files import read_json, write_sealed_json
from ltvm.tuning.found import nested, write_found
from ltvm.tuning.search import Search, Trial
from ltvm.tuning.space import distribution, rounded, space_of
from ltvm.tuning.tune import asked, searches, tune

TINY = [
    "protocol=smoke", "protocol.train_images=40", "protocol.batch=20", "protocol.iterations=1",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", "device=cpu",
    *SMALL,
]  # fmt: skip


# What is searched


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
        ({"choices": ["exact", None, 3]}, "auto", CategoricalDistribution(["exact", None, 3])),
    ],
)
def test_a_declaration_becomes_a_distribution(spec, value, expected):
    assert distribution("k", spec, value) == expected


@pytest.mark.parametrize(
    "spec",
    [3, [1, 2], {}, {"low": 1}, {"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True},
     {"around": 1}, {"around": "x"}, {"choices": []}, {"low": 1, "high": 2, "step": 1}],
)  # fmt: skip
def test_what_is_no_declaration_is_refused(spec):
    with pytest.raises(InputError, match="^k"):
        distribution("k", spec, 0.5)


def test_numbers_that_are_tried_are_short():
    assert rounded({"a": 0.123456, "b": 1.23456e-7, "c": 3, "d": "x"}) == {
        "a": 0.1235, "b": 1.235e-7, "c": 3, "d": "x",
    }  # fmt: skip


# A study, with runs that take no time


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


def test_a_trial_killed_before_it_had_settings_counts_as_failed(search):
    study = search.study()
    study.ask()
    assert study.trials[0].state == optuna.trial.TrialState.RUNNING
    study.ask()  # without any parameter
    train, _ = pretended()
    (found,) = tune([search], 3, train)
    assert found.trials[1].status == "failed"
    assert len(found.trials) == 3


# Overrides


def test_searches_share_everything_but_the_method():
    found = searches(["method=[abp,vae]", "seed=3", *TINY], "mse_test", 12)
    assert [search.method for search in found] == ["abp", "vae"]
    for search in found:
        assert search.overrides[0] == "seed=3"
        assert search.config["validation_images"] == 12
        assert re.fullmatch(r"(abp|vae)-mnist5k-smoke-[0-9a-f]{6}", search.name)
        assert search.direction == "minimize"
        assert "protocol.batch" not in search.space  # set by the user
    (one,) = searches(["method=vae", "seed=3", *TINY], "mse_test", 12)
    assert one == found[1]


def test_what_is_tried_decides_the_name_of_a_study():
    def name(*overrides, metric="mse_test", validation=12):
        return searches(["method=abp", *TINY, *overrides], metric, validation)[0].name

    names = [name(), name("seed=1"), name(validation=13), name(metric="fd_digits"),
             name("protocol.learning_rate=0.1")]  # fmt: skip
    assert len(set(names)) == len(names)
    assert name("paths.reports=elsewhere") == name()


def test_one_training_image_in_five_is_for_validation():
    (search,) = searches(["method=vae", "protocol=small"], "fd_digits")
    assert search.config["validation_images"] == 800
    (search,) = searches(["method=vae", "validation_images=100"], "fd_digits")
    assert search.config["validation_images"] == 100


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric", "mse_tset"], ["--metric=mse_tset", "fd_digits", "mse_test"]),
        (["--metric", "mse_train"], ["--metric=mse_train", "mse_test"]),  # not better either way
        (["--metric", "mse_test", "--trials", "0"], ["--trials=0", "1 or more"]),
        (["--metric", "mse_test", "--validation", "1"], ["validation_images=1", "2 to 3998"]),
        (["--metric", "mse_test", "method=[vae,vae]"], ["method=", "no repeats"]),
        (["--metric", "mse_test", "method=gan"], ["method=gan", "vae"]),
        ([], ["--metric=None", "fd_digits", "mse_test"]),
        (["method=vae,abp"], ["method=vae,abp", "ltvm tune 'method=[vae,abp]'"]),
    ],
)
def test_bad_input(words, message, capsys):
    chosen = any(word.startswith("method=") for word in words)
    assert main(["tune", *([] if chosen else ["method=vae"]), *TINY, *words]) == 2
    error = capsys.readouterr().err
    for word in message:
        assert word in error
    assert not list(Path(os.environ["LTVM_RESULTS"]).rglob("record.json"))


def test_dotted_keys_nest():
    assert nested({"a.b.c": 1, "a.d": 2, "e": 3}) == {"a": {"b": {"c": 1}, "d": 2}, "e": 3}


# The whole way


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Two trials of a VAE, as the command line does them, and what it printed."""
    root = tmp_path_factory.mktemp("tuned")
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTVM_RESULTS", str(root / "results"))
        patch.setattr("builtins.print", lambda *a, **k: printed.append(" ".join(map(str, a))))
        patch.setattr("rich.console.Console.print", lambda self, what: None)
        assert main(TUNE) == 0
    return root / "results", "\n".join(printed)


TUNE = [
    "tune", "method=[vae]", *TINY, "--trials", "2", "--metric", "fd_digits",
    "--validation", "30",
]  # fmt: skip


@pytest.fixture
def here(tuned, monkeypatch):
    """Its results directory, as that of this test, with what was found on the search path."""
    results, _ = tuned
    monkeypatch.setenv("LTVM_RESULTS", str(results))
    monkeypatch.setenv(CONFIG_DIRS_VARIABLE, str(results / "tuning"))
    return results


def test_every_trial_is_a_run_that_never_sees_a_test_image(here):
    runs = Store(here).runs()
    assert len(runs) == 2
    whole = load_data(resolve(["protocol=small"]))
    parted = load_data(resolve([*TINY, "validation_images=30"]))
    assert (len(parted.train), len(parted.test)) == (40, 30)
    for run in runs:
        record = run.record()
        assert record["status"] == "done"
        assert "validation_images=30" in record["command"]
        assert record["fingerprints"]["train"] == parted.train.fingerprint
        assert record["fingerprints"]["test"] == parted.test.fingerprint
        (evaluation,) = run.evaluations().values()
        for name, value in evaluation["values"].items():
            assert "test" not in value["split"].split(), name
            assert value["data"] != whole.test.fingerprint
        assert evaluation["values"]["fd_digits"]["split"] == "validation"
        assert evaluation["values"]["fd_digits"]["data"] == parted.test.fingerprint
        assert evaluation["values"]["fd_digits_floor"]["split"] == "train against validation"
        assert evaluation["values"]["mse_test"]["split"] == "validation"


def test_a_repeated_command_trains_nothing(here, monkeypatch, capsys):
    def fail(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(execution, "train", fail)
    assert main(TUNE) == 0
    assert "best fd_digits" in capsys.readouterr().out


def test_a_trial_that_the_store_has_is_not_trained_again(here, monkeypatch, tmp_path):
    monkeypatch.setattr(execution, "train", lambda *_: pytest.fail("trained again"))
    files = list((here / "tuning" / "studies").glob("*.journal"))
    assert len(files) == 1
    contents = {file: file.read_bytes() for file in files}
    for file in files:
        file.unlink()
    assert main(TUNE) == 0  # the study begins anew, and finds its runs done
    for file in files:
        file.write_bytes(contents[file])


def found_choices(printed):
    return re.findall(r"method=(tuned/\S+)", printed)


def test_what_was_found_is_a_method_that_anything_takes(tuned, here):
    _, printed = tuned
    (choice,) = found_choices(printed)
    (file,) = (here / "tuning" / "studies").glob("*.csv")
    table = pd.read_csv(file)
    best = table.loc[table["fd_digits"].idxmin()]
    config = resolve([f"method={choice}", *TINY])
    rate = best["protocol.learning_rate"]
    assert config["protocol"]["learning_rate"] == pytest.approx(rate)
    assert config["method"]["tuned"]["trials"] == 2
    assert config["validation_images"] is None
    explicit = ["method=vae", *TINY, f"protocol.learning_rate={rate}"]
    assert identity(config) == identity(resolve(explicit))
    with pytest.raises(InputError, match="not tuned yet"):
        searches([f"method={choice}", *TINY], "mse_test", 12)


@pytest.fixture
def comparison(tuned, here):
    """The overrides of the ablation that compares what was found, as the command prints them."""
    (line,) = re.findall(r"on the test images: ltvm ablate (.*)", tuned[1])
    return shlex.split(line)


def test_the_ablation_of_what_was_found(here, comparison):
    planned = plan([*comparison, "ablation.seeds=[0,1]"])
    assert "ablation.tuned={trials:2,metric:fd_digits}" in comparison
    assert not [o for o in comparison if "validation" in o or "device" in o]
    (found,) = (read_json(file) for file in (here / "tuning" / "found").glob("*.json"))
    assert found["settings"]
    for run in planned.runs:
        assert run.config["validation_images"] is None
        for key, value in found["settings"].items():
            assert value_of(run.config, key) == value
    # the trials cost what their records say
    records = [run.record() for run in Store(here).runs()]
    assert found["cost"]["flops"] == sum(record["flops"] for record in records) > 0
    phases = ("inference", "transport", "learning")
    seconds = sum(record["seconds"][phase] for record in records for phase in phases)
    assert found["cost"]["seconds"] == pytest.approx(seconds, abs=1e-3)
    manifest = manifest_of(planned, here)
    assert {entry["tuned"]["flops"] for entry in manifest["runs"]} == {found["cost"]["flops"]}
    # the command of a run needs nothing of the study
    again = resolve([o for o in planned.runs[0].overrides if o != "ablation"])
    assert identity(again) == identity(planned.runs[0].config)


def test_a_table_says_how_many_trials_each_row_had_and_what_they_cost(here, comparison, tmp_path):
    usual = [o for o in comparison if not o.startswith(("ablation.tuned", "ablation.seeds"))]
    untuned = manifest_of(plan([*usual, "ablation.tuned=null", "ablation.seeds=[0]"]), here)
    manifest = manifest_of(plan([*comparison, "ablation.seeds=[0]"]), here)
    manifest["runs"] += untuned["runs"]
    run = Store(here).runs()[0]  # any record stands for those of both
    for entry in manifest["runs"]:
        entry["path"] = str(run.directory.relative_to(here))
        entry["evaluations"] = run.evaluation_names()
    table = long_table_of_manifest(manifest, here)
    first, second = dict.fromkeys(table["cell"])
    assert tuning_trials(table) == {first: "2", second: "0"}
    cost = estimates_table(table, manifest, ["flops", "tuning_flops", "tuning_seconds"], False)
    assert list(cost["tuning trials"]) == ["2", "0"]
    assert [text == "-" for text in cost["tuning, FLOP"]] == [False, True]
    assert not cost["tuning, s"][0].startswith("-")


def test_methods_that_are_not_tuned_are_named_with_the_command(here, comparison):
    axis = next(o for o in comparison if o.startswith("ablation.axes"))
    both = [o if o != axis else "ablation.axes.method=[vae,short_run]" for o in comparison]
    with pytest.raises(InputError) as error:
        plan(both)
    assert "\n" not in str(error.value)
    assert "not tuned in 2 trials by fd_digits: short_run on mnist5k (not at all)" in str(
        error.value
    )
    assert f"`{command_line('tune', *both)}` does it" in str(error.value)
    with pytest.raises(InputError, match=r"in 3 trials.*vae on mnist5k \(with 2 trials\)"):
        plan([*comparison, "ablation.tuned.trials=3"])
    with pytest.raises(InputError, match="by mse_test: vae on mnist5k"):
        plan([*comparison, "ablation.tuned.metric=mse_test"])
    other = "protocol.learning_rate=0.1"  # is not searched then
    with pytest.raises(InputError, match="vae on mnist5k .not at all"):
        plan([*comparison, other])
    for wrong in ("7", "{trials:0,metric:fd_digits}", "{trials:8}", "{trials:8,metric:a,b:c}"):
        with pytest.raises(InputError, match=r"ablation\.tuned=.*allowed: .trials: 8"):
            plan([*comparison, f"ablation.tuned={wrong}"])


def test_an_ablation_is_tuned_by_one_command(here, comparison, monkeypatch, capsys):
    monkeypatch.setattr(execution, "train", lambda *_: pytest.fail("trained again"))
    assert main(["tune", *comparison, "device=cpu", "--validation", "30"]) == 0  # all is done
    assert shlex.join(comparison) in capsys.readouterr().out
    assert len(list((here / "tuning" / "found").glob("*.json"))) == 1
    assert main(["tune", *comparison, "--trials", "3"]) == 2
    assert "--trials=3: allowed: 2, which ablation.tuned.trials=... changes" in (
        capsys.readouterr().err
    )
    assert main(["tune", "ablation=ot", "--trials", "3"]) == 2
    assert "ablation=ot: it compares no tuned methods" in capsys.readouterr().err


def test_what_was_found_at_one_protocol_is_used_at_another(here, comparison):
    shared = [o for o in comparison if not o.startswith("protocol=")]
    elsewhere = [*shared, "protocol=small", "ablation.seeds=[0]"]
    with pytest.raises(InputError, match="vae on mnist5k .not at all"):
        plan(elsewhere)
    (run,) = plan([*elsewhere, "ablation.tuned.protocol=smoke"]).runs
    assert run.config["protocol"]["name"] == "small"
    (found,) = (read_json(file) for file in (here / "tuning" / "found").glob("*.json"))
    rate = found["settings"]["protocol.learning_rate"]
    assert run.config["protocol"]["learning_rate"] == rate
    tuning = [*elsewhere, "ablation.tuned.protocol=smoke", "device=cpu"]
    assert asked(tuning, validation=30).searches[0].name == found["study"]


def test_an_ablation_says_where_its_methods_are_searched(here, comparison):
    """Another space is another study, and what one found is not found for another."""
    space = {"protocol.learning_rate": {"around": 2}}
    narrower = [
        o if not o.startswith("ablation.tuned") else
        "ablation.tuned={trials:2,metric:fd_digits,space:{protocol.learning_rate:{around:2}}}"
        for o in comparison
    ]  # fmt: skip
    (search,) = asked([*narrower, "device=cpu"], validation=30).searches
    (usual,) = asked([*comparison, "device=cpu"], validation=30).searches
    assert search.name != usual.name
    rate = resolve(TINY)["protocol"]["learning_rate"]
    found = search.space["protocol.learning_rate"]
    assert (found.low, found.high) == pytest.approx((rate / 2, rate * 2))
    with pytest.raises(InputError, match="vae on mnist5k .not at all"):
        plan(narrower)
    (sound,) = (read_json(file) for file in (here / "tuning" / "found").glob("*.json"))
    assert "space" not in sound
    settings = {"protocol.learning_rate": rate}
    write_found(search, [Trial(0, settings, 7.0, "done")] * 2, Trial(0, settings, 7.0, "done"))
    file = here / "tuning" / "found" / f"{search.name}-2.json"
    try:
        assert read_json(file)["space"] == space
        assert {run.config["protocol"]["learning_rate"] for run in plan(narrower).runs} == {rate}
        others = {run.config["protocol"]["learning_rate"] for run in plan(comparison).runs}
        assert others == {sound["settings"]["protocol.learning_rate"]}
        write_sealed_json(file, read_json(file) | {"space": 7})
        with pytest.raises(InputError, match="space is not an object"):
            plan(narrower)
    finally:
        file.unlink()
    wrong = [o.replace("protocol.learning_rate:{", "protocol.rate:{") for o in narrower]
    with pytest.raises(InputError, match=r"ablation\.tuned\.space=protocol\.rate: allowed: "):
        asked([*wrong, "device=cpu"])


def test_what_was_found_is_held_to_its_kind(here, comparison):
    (file,) = (here / "tuning" / "found").glob("*.json")
    text = file.read_text()
    sound = read_json(file)
    another = file.with_name("vae-mnist5k-smoke-another-2.json")
    try:
        for change, message in (
            ({"settings": {"paths.results": "elsewhere"}}, "paths.results=elsewhere: allowed"),
            ({"settings": {"protocol.learning_rate": "${oc.env:HOME}"}}, "allowed: plain values"),
            ({"settings": None}, "without any trial that has a value"),
            ({"trials": 8}, "trials is not objects"),
            ({"cost": {"flops": "many"}}, "cost is not"),
        ):
            write_sealed_json(file, sound | change)
            with pytest.raises(InputError, match=re.escape(message)):
                plan(comparison)
        file.write_text(text.replace('"metric": "fd', '"metric": "ft'))
        with pytest.raises(InputError, match="its checksum is another"):
            plan(comparison)
        file.write_text(text)
        write_sealed_json(another, sound | {"study": "vae-mnist5k-smoke-another"})
        with pytest.raises(InputError, match="allowed: one for each cell"):
            plan(comparison)
    finally:
        file.write_text(text)
        another.unlink(missing_ok=True)


def test_methods_tuned_on_other_terms_are_not_compared():
    terms = {"data": "a", "protocol": "b", "validation_images": 8, "seed": 0, "evaluation": "e"}
    first, other = ({"study": name, **terms} for name in ("x", "y"))
    check_equal_terms([first, other, {**other, "data": "c", "seed": 3}])
    for key, value in (("seed", 1), ("validation_images", 9), ("evaluation", "f")):
        with pytest.raises(InputError, match=rf"{key} {value} \(y\) and"):
            check_equal_terms([first, {**other, key: value}])


def test_what_was_found_travels_with_the_ablation(here, comparison, tmp_path):
    planned = plan([*comparison, "ablation.seeds=[0]"], "mine")
    write_manifest(planned, here)
    export("mine", here, tmp_path / "copy")
    there = tmp_path / "there"
    (file,) = (here / "tuning" / "found").glob("*.json")
    merged = merge(tmp_path / "copy", there)
    assert not merged.conflicts
    assert merged.counts["tuned settings", "added"] == 1
    copy = there / "tuning" / "found" / file.name
    assert copy.read_bytes() == file.read_bytes()
    assert merge(tmp_path / "copy", there).counts["tuned settings", "equal"] == 1
    content = read_json(copy)
    write_sealed_json(copy, content | {"seed": 5})
    assert merge(tmp_path / "copy", there).counts["tuned settings", "in conflict"] == 1
    elsewhere = plan([*comparison, f"paths.results={there}", "ablation.seeds=[0]"])
    assert elsewhere.runs[0].cell == planned.runs[0].cell


def test_the_baselines_and_the_tuned_ones_are_the_same_methods():
    of = {name: defined([f"ablation={name}"])[0].axes["method"] for name in ("baselines", "tuned")}
    assert of["baselines"] == of["tuned"]
    variants = {"encoder_started", "short_run_corrected", "short_run_fresh", "short_run_late"}
    assert set(of["baselines"]) == set(choices("method")) - variants - {"tuned"}


def test_a_report_without_tuned_rows_has_no_such_column():
    manifest = manifest_of(plan(["ablation=ot"]), Path(os.environ["LTVM_RESULTS"]))
    assert not [entry for entry in manifest["runs"] if "tuned" in entry]
    table = long_table_of_manifest(manifest, Path("nowhere"))
    assert "tuning_trials" not in table
    assert tuning_trials(table) == {}


def test_a_tuned_run_says_so_in_its_record(tuned, here):
    _, printed = tuned
    (choice,) = found_choices(printed)
    record = ltvm.train([f"method={choice}", *TINY, "evaluation=none"])
    assert record["status"] == "done"
    assert record["tuned"]["trials"] == 2
    assert record["tuned"]["metric"] == "fd_digits"
    assert record["label"] == "VAE, tuned"
    run = Store(here).run(resolve([f"method={choice}", *TINY]))
    assert read_json(run.record_file)["method"] == "vae"
