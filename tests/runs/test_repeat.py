"""A record and its repetition: the same bits here, and what is said where they are not."""

import json
import math
import shutil
from pathlib import Path

import pytest
from scipy import stats
from small_networks import SMALL

import ltvm
from ltvm.cli.main import main
from ltvm.data import mnist, mnist5k
from ltvm.errors import InputError
from ltvm.runs.afterwards.repeat import (
    Compared,
    compared,
    drawn,
    prediction_interval,
    repeat,
)
from ltvm.runs.files.store import Run, Store
from ltvm.runs.housekeeping.export import export
from ltvm.runtime.files import write_sealed_json

REFERENCE = Path(__file__).parents[2] / "results" / "reference"

pytestmark = pytest.mark.usefixtures("unrendered")

FEW = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", "precision=float32",
    "protocol.iterations=1", *SMALL,
]  # fmt: skip


def test_a_further_draw_lies_within_the_interval_as_often_as_it_says():
    """Of 4,000 samples of three and a fourth; by simulation with scipy's normal law."""
    draws = stats.norm(3, 2).rvs((4000, 4), random_state=0)
    inside = 0
    for *known, further in draws:
        low, high = prediction_interval(list(known), 0.9)
        inside += low <= further <= high
    assert inside / 4000 == pytest.approx(0.9, abs=0.015)
    assert math.isnan(prediction_interval([1.0])[0])


@pytest.mark.parametrize(
    ("repeated", "low", "high", "verdict"),
    [
        (100.00001, 90, 110, "same"),
        (105, 90, 110, "as another seed"),
        (111, 90, 110, "differs"),
        (105, math.nan, math.nan, "cannot be told"),
        (math.nan, 90, 110, "differs"),
    ],
)
def test_verdicts(repeated, low, high, verdict):
    assert Compared("m", 100.0, repeated, low, high).verdict == verdict


def test_a_run_is_repeated_to_the_bit_and_a_changed_record_is_found(tmp_path, capsys):
    for seed in (0, 1):
        ltvm.train([*FEW, f"seed={seed}"])
    results = tmp_path / "results"
    runs = Store(results).runs()
    assert {drawn(results, key).directory for key in range(20)} == {r.directory for r in runs}
    command = ["repeat", str(runs[0].directory), "--into", str(tmp_path / "again")]
    assert main([*command, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert {value["verdict"] for value in values} == {"same"}
    assert {"mse_test", "fd_digits"} <= {value["metric"] for value in values}
    for run in runs:  # both, so that the cell's interval is that of what was made up
        (evaluation,) = run.evaluations().values()
        evaluation["values"]["mse_test"]["value"] += 50
        write_sealed_json(run.evaluation_file(evaluation["identity"]), evaluation)
    assert main(command) == 1
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("mse_test ")]
    assert line.endswith("differs")


def test_a_record_from_elsewhere_is_repeated_with_the_images_of_this_machine(tmp_path, monkeypatch):
    """It says the usual place, and ``LTVM_DATA_ROOT`` where they are here."""
    raw = tmp_path / "data" / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    digits = mnist5k.load()
    counts = {}
    for split, images in (("train", digits.train), ("t10k", digits.test)):
        kinds = {"images-idx3": images.images[:60, 0], "labels-idx1": images.labels[:60]}
        for kind, content in kinds.items():
            shape = b"".join(n.to_bytes(4, "big") for n in content.shape)
            head = bytes([0, 0, 8, content.ndim]) + shape
            (raw / f"{split}-{kind}-ubyte").write_bytes(head + content.byte().numpy().tobytes())
            counts[f"{split}-{kind}-ubyte"] = ("", 60)
    monkeypatch.setattr(mnist, "FILES", counts)
    ltvm.ablate(["ablation=ot", "ablation.axes.method=[vae]", "ablation.seeds=[0]", "data=mnist",
                 "ablation.reference=vae", *FEW], "mine")  # fmt: skip
    export("mine", tmp_path / "results", tmp_path / "theirs", weights=True)
    (run,) = Store(tmp_path / "theirs").runs()
    assert run.config()["data"]["load"]["root"] == "~/.cache/ltvm"
    values = compared(*repeat(run.directory, tmp_path / "again"))
    assert {value.verdict for value in values} == {"same"}
    assert ltvm.load(run.directory).codes.shape[0] == 40


def test_what_cannot_be_repeated_is_one_line(tmp_path, capsys):
    (tmp_path / "results").mkdir()
    for words in (["repeat"], ["repeat", "a", "--draw"], ["repeat", "--draw"],
                  ["repeat", str(tmp_path)]):  # fmt: skip
        assert main(words) == 2
        assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(InputError, match="no run there is done"):
        drawn(tmp_path / "results", 0)


def test_what_is_drawn_has_its_images_here(tmp_path, monkeypatch):
    """Else `make evidence-check` would end, for a stranger, with the absence of a data set."""
    results, root = tmp_path / "results", tmp_path / "root"
    monkeypatch.setenv("LTVM_DATA_ROOT", str(root))
    for data in ("mnist5k", "mnist", "folder"):
        run = next(iter(sorted((REFERENCE / "runs" / data).glob("vae/*/seed=0"))))
        shutil.copytree(run, results / run.relative_to(REFERENCE))

    def found():
        return {drawn(results, key).directory.parts[-4] for key in range(20)}

    assert found() == {"mnist5k"}
    (root / "mnist").mkdir(parents=True)
    assert found() == {"mnist5k", "mnist"}
    shutil.rmtree(root)
    shutil.rmtree(results / "runs" / "mnist5k")
    with pytest.raises(InputError, match="2 runs are done, the images of none here"):
        drawn(results, 0)


@pytest.fixture
def recorded(tmp_path):
    """A recorded run of several seeds with one evaluation, and a copy of it elsewhere."""
    first = next(iter(sorted((REFERENCE / "runs" / "mnist5k" / "vae").glob("*/seed=0"))))
    own, again = (tmp_path / place / "runs" / "mnist5k" / "vae" / "x" for place in ("a", "b"))
    for place in (own, again):
        shutil.copytree(first.parent, place)
    kept, *others = Run(own / "seed=0").evaluation_names()
    for place in (own, again):
        for run in map(Run, place.glob("seed=*")):
            for other in others:
                run.evaluation_file(other).unlink()
    return Run(own / "seed=0"), Run(again / "seed=0"), kept


def test_a_repetition_that_diverged_differs_and_says_why(recorded):
    run, again, evaluation = recorded
    content = again.evaluation(evaluation)
    again.write_evaluation(content | {"status": "diverged", "reason": "all alike", "values": {}})
    for why in ("its evaluation diverged: all alike", "its training failed: OSError: full"):
        values = compared(run, again)
        assert {value.metric for value in values} == set(content["values"])
        assert {value.verdict for value in values} == {"differs"}
        assert {value.absent for value in values} == {why}
        again.evaluation_file(evaluation).unlink(missing_ok=True)
        again.write_record(again.record() | {"status": "failed", "reason": "OSError: full"})


def test_a_value_that_the_repetition_lacks_differs(recorded):
    run, again, evaluation = recorded
    content = again.evaluation(evaluation)
    del content["values"]["fd_digits"]
    again.write_evaluation(content)
    (lacking,) = [value for value in compared(run, again) if value.verdict != "same"]
    assert (lacking.metric, lacking.verdict) == ("fd_digits", "differs")
    assert math.isnan(lacking.repeated)
    assert lacking.absent == "its evaluation has no such value"
    again.evaluation_file(evaluation).unlink()  # this version would not do it
    with pytest.raises(InputError, match="is one of this version's"):
        compared(run, again)


def test_a_record_is_not_repeated_onto_itself(tmp_path, capsys):
    ltvm.train(FEW)
    (run,) = Store(tmp_path / "results").runs()
    (tmp_path / "link").symlink_to(tmp_path / "results")
    for place in ("results", "link"):
        assert main(["repeat", str(run.directory), "--into", str(tmp_path / place)]) == 2
        assert "allowed: another place than the run's own results" in capsys.readouterr().err
    command = ["repeat", str(run.directory), "--into", str(tmp_path / "again"), "--json"]
    said = "the repetition was done before: nothing is trained"
    for before in (False, True):
        assert main(command) == 0
        printed = capsys.readouterr()
        assert (said in printed.err) == before
        values = json.loads(printed.out)  # of one seed, which has no interval
        assert {(value["low"], value["verdict"]) for value in values} == {(None, "same")}


def test_what_a_repetition_lacks_is_shown_with_the_reason(recorded, monkeypatch, capsys):
    run, again, _ = recorded
    again.write_record(again.record() | {"status": "diverged", "reason": "the loss is nan"})
    monkeypatch.setattr("ltvm.runs.afterwards.repeat.repeat", lambda *_: (run, again))
    assert main(["repeat", str(run.directory)]) == 1
    printed = capsys.readouterr().out
    (line,) = [x for x in printed.splitlines() if x.startswith("fd_digits ")]
    assert line.split()[2] == "-"
    assert line.endswith("differs")
    number = len(compared(run, again))
    assert f"{number} differs\n{number} absent: its training diverged: the loss is nan" in printed
    assert main(["repeat", str(run.directory), "--json"]) == 1
    assert {value["repeated"] for value in json.loads(capsys.readouterr().out)} == {None}
