"""Trials of several seeds: each is a run with every one of them, its value their mean."""

import re
import shlex
from pathlib import Path

import pytest
from tiny_trials import TINY, TUNE

from ltvm.cli.main import main
from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.report.values.cells import tuning_trials
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.ablations.found import check_equal_terms
from ltvm.runs.ablations.manifest import manifest_of, read_manifest, write_manifest
from ltvm.runs.files.store import Store
from ltvm.runtime.files import read_json
from ltvm.tuning.search import Search
from ltvm.tuning.space import space_of
from ltvm.tuning.tune import asked, tune

FOUND = Path(__file__).parents[2] / "results" / "reference" / "tuning" / "found"


@pytest.fixture
def search(tmp_path):
    """Of the learning rate of ABP, by ``mse_test`` of seeds 3 and 5."""
    overrides = ("data=mnist5k", "method=abp", "validation_images=12")
    config = resolve(overrides)
    space = space_of(config, ["protocol.batch", "method.kernel.size"])
    folder = tmp_path / "tuning"
    return Search("abp-x", overrides, config, space, "mse_test", "minimize", folder, seeds=(3, 5))


def pretended(status=lambda number: "done"):
    """A way to train whose value is the seed, how often it was done, and what it was asked."""
    done = []

    def train(overrides):
        done.append(overrides)
        value = float(overrides[-1].removeprefix("seed="))
        state = status(len(done))
        if isinstance(state, BaseException):
            raise state
        metrics = {"mse_test": {"value": value, "split": "validation"}}
        return {"status": state, "reason": "?", "metrics": metrics}

    return train, done


def test_the_value_of_a_trial_is_the_mean_of_its_seeds(search):
    train, done = pretended()
    (found,) = tune([search], 2, train)
    assert [trial.value for trial in found.trials] == [4.0, 4.0]
    assert [overrides[-1] for overrides in done] == ["seed=3", "seed=5"] * 2
    assert done[0][:-1] == done[1][:-1] != done[2][:-1]
    table = (search.folder / "abp-x.csv").read_text()
    assert table.splitlines()[0].endswith('"command, seed 3","command, seed 5"')
    assert "seed=5" in table.splitlines()[1]
    (method,) = search.folder.parent.glob("method/**/*.yaml")
    assert "12 validation images, the mean of seeds 3, 5." in method.read_text()


def test_one_run_without_a_value_ends_its_trial(search):
    """Neither is such a trial the mean of the others, nor are these trained in vain."""
    states = {2: "diverged", 3: "failed"}
    train, done = pretended(lambda number: states.get(number, "done"))
    (found,) = tune([search], 3, train)
    assert [trial.status for trial in found.trials] == ["diverged", "failed", "done"]
    assert [trial.value for trial in found.trials] == [None, None, 4.0]
    assert [overrides[-1] for overrides in done] == [
        "seed=3",
        "seed=5",
        "seed=3",
        "seed=3",
        "seed=5",
    ]


def test_a_trial_that_was_stopped_between_its_seeds_is_done_again(search):
    train, done = pretended(lambda number: KeyboardInterrupt() if number == 2 else "done")
    with pytest.raises(KeyboardInterrupt):
        tune([search], 1, train)
    assert search.trials() == []
    (found,) = tune([search], 1, train)
    assert found.trials[0].value == 4.0
    assert done[2:] == done[:2]  # the store has the first of them


def test_other_seeds_are_another_study_and_one_seed_is_as_it_was():
    shared = ["method=[vae]", *TINY]
    names = {
        seeds: asked(shared, "fd_digits", 2, 30, seeds).searches[0].name
        for seeds in (None, (0, 1), (0, 1, 2), (1, 0))
    }
    assert len(set(names.values())) == 3
    assert names[0, 1] == names[1, 0]
    found = read_json(FOUND / "vae-mnist5k-small-c173c4-8.json")
    terms = ["data=mnist5k", "protocol=small", f"precision={found['precision']}"]
    (usual,) = asked(["method=[vae]", *terms], "fd_digits").searches
    assert usual.name == found["study"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Two trials of two seeds of a VAE by the command line, and what compares them."""
    root, printed = tmp_path_factory.mktemp("seeds"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTVM_RESULTS", str(root / "results"))
        patch.setattr("builtins.print", lambda *a, **k: printed.append(" ".join(map(str, a))))
        patch.setattr("rich.console.Console.print", lambda self, what: None)
        assert main([*TUNE, "--seeds", "0,1"]) == 0
    (line,) = re.findall(r"on the test images: ltvm ablate (.*)", "\n".join(printed))
    return root / "results", shlex.split(line)


@pytest.fixture
def comparison(tuned, monkeypatch):
    monkeypatch.setenv("LTVM_RESULTS", str(tuned[0]))
    return tuned[1]


def test_a_search_of_several_seeds_is_compared_as_any_other(tuned, comparison):
    results, _ = tuned
    records = [run.record() for run in Store(results).runs()]
    assert sorted(record["seed"] for record in records) == [0, 0, 1, 1]
    (found,) = (read_json(file) for file in (results / "tuning" / "found").glob("*.json"))
    assert (found["seed"], found["seeds"], len(found["trials"])) == (0, [0, 1], 2)
    assert found["cost"]["flops"] == sum(record["flops"] for record in records)
    assert "ablation.tuned={trials:2,metric:fd_digits,seeds:[0,1]}" in comparison
    planned = plan([*comparison, "ablation.seeds=[0]"], "mine")
    assert planned.runs[0].config["method"]["tuned"]["seeds"] == 2
    write_manifest(planned, results)
    manifest = read_manifest(results / "ablations" / "mine.json")
    (entry,) = manifest["runs"]
    run = Store(results).runs()[0]  # any record stands for it
    entry["path"] = str(run.directory.relative_to(results))
    entry["evaluations"] = run.evaluation_names()
    assert tuning_trials(long_table_of_manifest(manifest, results)) == {
        entry["cell"]: "2 x 2 seeds"
    }
    untuned = manifest_of(plan([*comparison, "ablation.tuned=null", "ablation.seeds=[0]"]), results)
    manifest["runs"] += [
        one | {key: entry[key] for key in ("path", "evaluations")} for one in untuned["runs"]
    ]
    table = long_table_of_manifest(manifest, results)
    assert list(tuning_trials(table).values()) == ["2 x 2 seeds", "0"]


def test_what_was_found_with_other_seeds_is_not_taken(comparison):
    assert plan([*comparison, "ablation.tuned.seeds=[1,0]", "ablation.seeds=[0]"]).runs
    for seeds in ("null", "[]", "[0,2]", "[0,1,2]"):
        with pytest.raises(InputError, match=r"vae on mnist5k \(with other seeds\)"):
            plan([*comparison, f"ablation.tuned.seeds={seeds}"])


@pytest.mark.parametrize("seeds", ["7", "[0]", "[0,0]", "[-1]", "[0,1.5]", "[true]", "a"])
def test_seeds_are_different_whole_numbers(comparison, seeds):
    with pytest.raises(InputError, match=r"ablation\.tuned=.*seeds: \[0, 1\] where"):
        plan([*comparison, f"ablation.tuned.seeds={seeds}"])


def test_a_seed_beside_seeds_and_other_seeds_than_an_ablations_are_refused(comparison, capsys):
    assert main([*TUNE, "--seeds", "0,1", "seed=3"]) == 2
    assert "seed=3: allowed: one of this and seeds of the trials" in capsys.readouterr().err
    assert main(["tune", *comparison, "--seeds", "0,2"]) == 2
    assert "--seeds=(0, 2): allowed: (0, 1), which ablation.tuned.seeds=... changes" in (
        capsys.readouterr().err
    )
    without = [o.replace(",seeds:[0,1]", "") for o in comparison]
    assert main(["tune", *without, "--seeds", "0,1"]) == 2
    assert "--seeds=(0, 1): allowed: none, which ablation.tuned.seeds" in capsys.readouterr().err
    assert main([*TUNE, "--seeds", "0,x"]) == 2
    assert "'0,x': allowed: whole numbers, 0,1" in capsys.readouterr().err
    assert main([*TUNE, "--seeds", "0,0"]) == 2
    assert "--seeds=[0, 0]: allowed: two different whole numbers" in capsys.readouterr().err


def test_methods_tuned_with_other_seeds_are_not_compared():
    terms = {"data": "a", "protocol": "b", "validation_images": 8, "seed": 0, "evaluation": "e"}
    first, other = {"study": "x", **terms}, {"study": "y", **terms, "seeds": [0, 1]}
    check_equal_terms([other, {**other, "study": "z"}])
    with pytest.raises(InputError, match=r"seeds \[0, 1\] \(y\) and None \(x\)"):
        check_equal_terms([first, other])
