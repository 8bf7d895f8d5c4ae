"""Ablations of tuned methods: each cell with the settings that were found for it."""

import os
import re
import shlex
from pathlib import Path

import pytest
from tiny_trials import TINY

from ltvm.cli.main import main
from ltvm.config import CONFIG_DIRS_VARIABLE, choices, resolve
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
from ltvm.runtime.files import read_json, write_sealed_json, write_text
from ltvm.tuning.found import write_found
from ltvm.tuning.search import Trial
from ltvm.tuning.tune import asked


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
    swept = [*comparison, "ablation.axes.model.sigma=[0.2,0.4]"]
    with pytest.raises(InputError, match=r": vae model\.sigma=0\.2, vae model\.sigma=0\.4 on mn"):
        plan(swept)
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


def with_space(overrides, space):
    tuned = f"ablation.tuned={{trials:2,metric:fd_digits,space:{{{space}}}}}"
    return [tuned if o.startswith("ablation.tuned=") else o for o in overrides]


def test_an_ablation_says_where_its_methods_are_searched(here, comparison):
    """Another space is another study, and what one found is not found for another."""
    narrower = with_space(comparison, "protocol.learning_rate:{around:2}")
    key = [*comparison, "ablation.tuned.space.protocol.learning_rate={around:2}"]
    (search,) = asked([*narrower, "device=cpu"], validation=30).searches
    (usual,) = asked([*comparison, "device=cpu"], validation=30).searches
    assert asked([*key, "device=cpu"], validation=30).searches[0].name == search.name
    assert search.name != usual.name
    rate = resolve(TINY)["protocol"]["learning_rate"]
    found = search.space["protocol.learning_rate"]
    assert (found.low, found.high) == pytest.approx((rate / 2, rate * 2))
    with pytest.raises(InputError, match="vae on mnist5k .in another space"):
        plan(narrower)
    (sound,) = (read_json(file) for file in (here / "tuning" / "found").glob("*.json"))
    assert sound["space"] == {"protocol.learning_rate": {"around": 10.0}}
    settings = {"protocol.learning_rate": rate}
    write_found(search, [Trial(0, settings, 7.0, "done")] * 2, Trial(0, settings, 7.0, "done"))
    file = here / "tuning" / "found" / f"{search.name}-2.json"
    try:
        assert read_json(file)["space"] == {"protocol.learning_rate": {"around": 2.0}}
        assert {run.config["protocol"]["learning_rate"] for run in plan(narrower).runs} == {rate}
        others = {run.config["protocol"]["learning_rate"] for run in plan(comparison).runs}
        assert others == {sound["settings"]["protocol.learning_rate"]}
        write_sealed_json(file, read_json(file) | {"space": 7})
        with pytest.raises(InputError, match="space is not an object"):
            plan(narrower)
    finally:
        file.unlink()


def test_a_methods_own_range_said_again_is_the_same_search(here, comparison):
    again = with_space(comparison, "protocol.learning_rate:{around:10}")
    assert plan(again).runs[0].cell == plan(comparison).runs[0].cell
    (one, other) = (
        asked([*o, "device=cpu"], validation=30).searches[0] for o in (again, comparison)
    )
    assert (one.name, one.ranges) == (other.name, other.ranges)


def test_what_was_found_before_files_said_where_is_of_the_methods_own_space(here, comparison):
    (file,) = (here / "tuning" / "found").glob("*.json")
    text = file.read_text()
    content = {key: value for key, value in read_json(file).items() if key != "space"}
    try:
        write_sealed_json(file, content | {"cost": {"flops": 123, "seconds": 4.5}})
        assert plan(comparison).runs
        assert main(["tune", *comparison, "device=cpu", "--validation", "30"]) == 0
        assert read_json(file)["cost"] == {"flops": 123, "seconds": 4.5}  # known, it stays
        whole = {"protocol.learning_rate": {"around": 10}}  # as a file of before says it
        write_sealed_json(file, content | {"space": whole})
        assert plan(comparison).runs
        with pytest.raises(InputError, match="vae on mnist5k .in another space"):
            plan(with_space(comparison, "protocol.learning_rate:{around:2}"))
        # a method whose search has been changed since then
        write_sealed_json(file, content | {"space": {"protocol.learning_rate": {"around": 3.0}}})
        with pytest.raises(InputError, match="vae on mnist5k .in another space"):
            plan(comparison)
    finally:
        file.write_text(text)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("protocol.rate:{around:2}", "ablation.tuned.space=protocol.rate: allowed: "),
        ("protocol.batch:{low:10,high:20}", "protocol.batch: allowed: keys that are searched"),
        ("protocol.learning_rate.around:3", "protocol.learning_rate.around: allowed: "),
    ],
)
def test_a_space_of_what_is_not_searched_is_refused(here, comparison, space, message):
    """By both commands: a range that is not heard would be one that was not searched."""
    wrong = with_space(comparison, space)
    with pytest.raises(InputError, match=re.escape(message)):
        asked([*wrong, "device=cpu"], validation=30)
    with pytest.raises(InputError, match=re.escape(message)):
        plan(wrong)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ("{low:0,high:20}", "protocol.batch=0"),
        ("{low:10,high:500}", "protocol.batch=500: allowed: at most the 40 training images"),
        ("{choices:[10,500]}", "protocol.batch=500"),
    ],
)
def test_a_range_that_no_run_takes_is_refused_before_the_first_trial(
    here, comparison, batch, message
):
    free = [o for o in comparison if not o.startswith("protocol.batch=")]
    wrong = with_space(free, f"protocol.batch:{batch}")
    with pytest.raises(InputError, match=f"space: protocol.batch: .*{message}"):
        asked([*wrong, "device=cpu"], validation=30)


@pytest.mark.parametrize("space", ["7", "[1]"])
def test_a_space_is_keys_with_ranges(here, comparison, space):
    for more in ([], ["ablation.tuned.space.protocol.learning_rate={around: 3}"]):
        with pytest.raises(InputError, match="ablation.tuned"):
            plan([*comparison, f"ablation.tuned.space={space}", *more])
    assert plan([*comparison, "ablation.tuned.space=null"]).runs


def test_what_was_found_is_not_compared_on_the_images_that_found_it(here, comparison):
    tuning = [*comparison, "validation_images=30", "device=cpu"]
    assert asked(tuning).comparison == comparison
    with pytest.raises(InputError, match="validation_images=30: allowed: null: settings were"):
        plan([*comparison, "validation_images=30"])
    places = [f"paths.results={here}", *comparison]
    assert asked([*places, "device=cpu"], validation=30).comparison == places
    for own in ("axes.validation_images=[20,30]", 'base=["data=mnist5k","validation_images=30"]'):
        with pytest.raises(InputError, match="validation_images in ablation=tuned: allowed: --val"):
            asked([*comparison, f"ablation.{own}", "device=cpu"])


def test_a_search_in_vain_is_told_and_not_compared(here, comparison, monkeypatch, capsys):
    monkeypatch.setattr("ltvm.api.doing.train", lambda *_: {"status": "failed", "reason": "?"})
    before = set((here / "tuning" / "found").glob("*.json"))
    other = with_space(comparison, "protocol.learning_rate:{around:1.5}")
    try:
        assert main(["tune", *other, "device=cpu", "--validation", "30"]) == 1
        told = capsys.readouterr()
        assert "no trial of vae has a value: there is nothing to compare yet" in told.out
        assert "compare them" not in told.out
    finally:
        for file in set((here / "tuning" / "found").glob("*.json")) - before:
            file.unlink()


def test_of_two_studies_that_on_the_cells_own_terms_counts(here, comparison):
    (file,) = (here / "tuning" / "found").glob("*.json")
    another = file.with_name("vae-mnist5k-smoke-another-2.json")
    sound = read_json(file)
    other = {"study": "vae-mnist5k-smoke-another", "evaluation": "0" * 12,
             "settings": {"protocol.learning_rate": 0.5}}  # fmt: skip
    try:
        write_sealed_json(another, sound | other)
        rate = plan(comparison).runs[0].config["protocol"]["learning_rate"]
        assert rate == sound["settings"]["protocol.learning_rate"]
    finally:
        another.unlink()


def test_what_was_found_is_held_to_its_kind(here, comparison):
    (file,) = (here / "tuning" / "found").glob("*.json")
    text = file.read_text()
    sound = read_json(file)
    another = file.with_name("vae-mnist5k-smoke-another-2.json")
    try:
        for change, message in (
            ({"settings": {"paths.results": "elsewhere"}}, "paths.results=elsewhere: allowed"),
            ({"settings": {"protocol.learning_rate": "${oc.env:HOME}"}}, "allowed: plain values"),
            ({"settings": None}, "without any trial that has a value); more trials"),
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


def test_a_tuned_row_that_is_another_one_is_said(tmp_path, monkeypatch, capsys):
    """Where the best trial was the first, the one run is in one row, with the trials of one."""
    monkeypatch.setenv(CONFIG_DIRS_VARIABLE, str(tmp_path))
    for name, label in (("first", "VAE, tuned"), ("second", "VAE, otherwise tuned")):
        own = f"label: '{label}', tuned: {{trials: 2, metric: fd_digits, study: {name}}}"
        text = f"defaults: [/method/vae@method, _self_]\nmethod: {{{own}}}\n"
        write_text(tmp_path / "method" / "tuned" / f"{name}.yaml", f"# @package _global_\n{text}")
    chosen = ["ablation=ot", "ablation.reference=null", *TINY]
    both = plan([*chosen, "ablation.axes.method=[vae,tuned/first]"])
    said = "method=tuned/first is the same run as method=vae: one row, that of 0 tuning trials"
    assert both.one_row == (said,)
    assert main(["ablate", *chosen, "ablation.axes.method=[vae,tuned/first]", "--list"]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    (said,) = plan([*chosen, "ablation.axes.method=[tuned/first,tuned/second]"]).one_row
    assert said.endswith("same run as method=tuned/first: one row, that of 2 tuning trials")
    again = plan([*chosen, "ablation.axes.method=[vae]", 'ablation.extra=[["method=vae"]]'])
    assert again.one_row == ()


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
