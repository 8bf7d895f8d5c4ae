"""Tuning: equally many trials, each a run, on images that neither training nor the test has."""

import os
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from optuna.distributions import IntDistribution
from tiny_trials import TINY, TUNE, found_choices

import ltvm
from ltvm.cli.main import main
from ltvm.config import resolve
from ltvm.data.cache import load_data
from ltvm.errors import InputError
from ltvm.runs.execution import execute as execution
from ltvm.runs.files.store import Store
from ltvm.runs.identity import identity
from ltvm.runtime.files import read_json
from ltvm.tuning.found import nested
from ltvm.tuning.tune import asked, searches


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


def test_the_comparison_looks_for_what_was_found_where_it_was_put(tmp_path):
    places = [f"paths.results={tmp_path}", "paths.reports=elsewhere"]
    wanted = asked(["method=vae", *TINY, *places], "mse_test", 2, 12).comparison
    assert wanted[-2:] == places
    assert wanted[0] == "ablation=tuned"


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
        ([], ["--metric is missing", "fd_digits", "mse_test"]),
        (
            ["--metric", "mse_test", "--validation", "5", "validation_images=6"],
            ["--validation=5", "allowed: 6"],
        ),
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


def test_no_more_images_in_a_batch_than_are_trained_on():
    few = [o for o in TINY if not o.startswith("protocol.batch=")]
    (search,) = searches(["method=vae", *few], "mse_test", 12)
    assert search.space["protocol.batch"] == IntDistribution(40, 40, log=True)
    many = [o.replace("images=40", "images=300") for o in few]
    (search,) = searches(["method=vae", *many], "mse_test", 12)
    assert search.space["protocol.batch"] == IntDistribution(50, 300, log=True)


def test_dotted_keys_nest():
    assert nested({"a.b.c": 1, "a.d": 2, "e": 3}) == {"a": {"b": {"c": 1}, "d": 2}, "e": 3}


# The whole way


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


def test_a_table_of_trials_has_all_that_there_are(here):
    fewer = list(TUNE)
    fewer[fewer.index("--trials") + 1] = "1"
    assert main(fewer) == 0
    (file,) = (here / "tuning" / "studies").glob("*.csv")
    assert list(pd.read_csv(file)["trial"]) == [1, 2]


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
    # the printed command trains it on the terms of the trials, and on all images
    (line,) = re.findall(r"^vae: ltvm train (.*)", printed, re.MULTILINE)
    words = shlex.split(line)
    told = resolve(words[: words.index("--config-dir")])
    assert identity(told) == identity(config)
    explicit = ["method=vae", *TINY, f"protocol.learning_rate={rate}"]
    assert identity(config) == identity(resolve(explicit))
    with pytest.raises(InputError, match="not tuned yet"):
        searches([f"method={choice}", *TINY], "mse_test", 12)


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
