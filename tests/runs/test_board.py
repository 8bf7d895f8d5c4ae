"""Curves and pictures for TensorBoard, from the history, each once."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_networks import SMALL

import ltvm
from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.methods import VariationalAutoEncoder
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.execution import board as module
from ltvm.runs.execution.board import Board
from ltvm.runs.files.store import PICTURES, Store
from ltvm.runs.identity import identity

pytest.importorskip("tensorboard")

FEW = [
    "method=vae", "protocol=smoke", "evaluation=none", "protocol.iterations=3", "device=cpu",
    "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40",
    *SMALL,
]  # fmt: skip


def read(folder):
    """Everything in a folder of event files: (scalars by tag as (step, value), pictures by tag)."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    scalars, pictures = {}, {}
    for file in sorted(folder.iterdir()):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                content = tensor_util.make_ndarray(value.tensor)
                if value.metadata.plugin_data.plugin_name == "scalars":
                    scalars.setdefault(value.tag, []).append((event.step, content.item()))
                else:
                    pictures.setdefault(value.tag, []).append(event.step)
    return scalars, pictures


def only_run():
    (run,) = Store(Path(os.environ["LTVM_RESULTS"])).runs()
    return run


def test_a_resumed_run_has_its_curves_without_repeats(monkeypatch):
    original, begun = VariationalAutoEncoder.fit_iteration, []

    def fit_iteration(self):
        begun.append(self.iteration)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(VariationalAutoEncoder, "fit_iteration", fit_iteration)
    with pytest.raises(KeyboardInterrupt):
        ltvm.train([*FEW, "tensorboard=true"])
    folder = only_run().directory / "tensorboard"
    assert [step for step, _ in read(folder)[0]["curves/mse_train_curve"]] == [1, 2]  # at once
    assert ltvm.train([*FEW, "tensorboard=true"])["status"] == "done"
    assert begun == [0, 1, 2, 2]
    scalars, pictures = read(folder)
    history = pd.read_csv(only_run().directory / "history.csv")
    assert list(history["iteration"]) == [1, 2, 3]
    assert {tag.split("/")[1] for tag in scalars} == set(history.columns) - {"iteration"}
    for tag, points in scalars.items():
        column = history[tag.split("/")[1]]
        assert [step for step, _ in points] == [1, 2, 3], tag
        assert [value for _, value in points] == pytest.approx(list(column)), tag
    assert {"curves/mse_train_curve", "cost/flops", "cost/learning_seconds"} <= set(scalars)
    assert pictures == {kind: [3] for kind in PICTURES}


def test_it_is_off_by_default_and_trains_the_same():
    assert resolve([])["tensorboard"] is False
    assert identity(resolve(["tensorboard=true"])) == identity(resolve([]))
    names = {plan(["ablation=ot", *more]).report_name for more in ([], ["tensorboard=true"])}
    assert names == {"ot-mnist5k"}
    with pytest.raises(InputError, match="tensorboard=yes: allowed: true or false"):
        resolve(["tensorboard='yes'"])


def test_nothing_is_written_unless_it_is_wanted(tmp_path):
    board = Board(tmp_path, False, [])
    board.show([{"iteration": 1, "loss": 0.5}])
    board.finish([{"iteration": 1, "loss": 0.5}], [])
    assert not list(tmp_path.iterdir())


def test_what_was_written_before_is_replaced_and_absent_values_are_left_out(tmp_path):
    Image.fromarray(np.zeros((4, 6), dtype=np.uint8)).save(tmp_path / "samples.png")
    rows = [{"iteration": 1, "loss": 0.5, "x": 1.0}, {"iteration": 2, "loss": 0.25}]
    for history in (rows[:1], rows):
        board = Board(tmp_path, True, ["x"])
        board.finish(history, [tmp_path / "samples.png", tmp_path / "absent.png"])
    scalars, pictures = read(tmp_path / "tensorboard")
    assert scalars == {"training/loss": [(1, 0.5), (2, 0.25)], "curves/x": [(1, 1.0)]}
    assert pictures == {"samples": [2]}


def test_without_the_package_nothing_is_begun(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "ltvm\[tensorboard\]"'):
        ltvm.train([*FEW, "tensorboard=true"])
    assert not list(Path(os.environ["LTVM_RESULTS"]).rglob("record.json"))
