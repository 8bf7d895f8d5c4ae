"""Resume equals no interruption; the clock adds up; files are whole or absent."""

import itertools
import json
from types import SimpleNamespace

import pytest
import torch
from small_networks import SMALL
from torch.utils._python_dispatch import TorchDispatchMode

from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.runtime import clock as clock_module
from ltvm.runtime.clock import Clock
from ltvm.runtime.files import write_json, writing
from ltvm.runtime.randomness import stream
from ltvm.training.trainer import Trainer


def trainer(tiny, checkpoint, method, iterations=3):
    config = resolve(
        ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu",
         f"method={method}", *SMALL]
    )  # fmt: skip
    built = build_method(config, build_problem(config, tiny))
    return Trainer(built, iterations, checkpoint)


@pytest.mark.parametrize("method", ["short_run_ot", "short_run", "abp", "vae"])
def test_resume_equals_no_interruption(tiny, tmp_path, method):
    whole = trainer(tiny, tmp_path / "a.pt", method)
    whole.fit()
    first = trainer(tiny, tmp_path / "b.pt", method, iterations=1)
    first.fit()
    second = trainer(tiny, tmp_path / "b.pt", method)
    assert second.resume()
    assert second.method.iteration == 1
    second.fit()
    for a, b in zip(
        whole.method.decoder.state_dict().values(),
        second.method.decoder.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(a, b)
    assert torch.equal(whole.method.codes, second.method.codes)
    drawn = [t.method.sample(5, stream(0, "s")) for t in (whole, second)]
    assert torch.equal(*drawn)
    numbers = [
        [{k: v for k, v in row.items() if not k.endswith("_seconds")} for row in t.history]
        for t in (whole, second)
    ]
    assert numbers[0] == numbers[1]
    assert [row["iteration"] for row in second.history] == [1, 2, 3]


def test_nothing_to_resume(tiny, tmp_path):
    assert not trainer(tiny, tmp_path / "none.pt", "abp").resume()


def test_a_broken_checkpoint_is_named(tiny, tmp_path):
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(InputError, match=r"broken\.pt cannot be read.*--restart"):
        trainer(tiny, broken, "abp").resume()


def test_a_checkpoint_made_otherwise_is_refused_with_what_differs(tiny, tmp_path):
    first = trainer(tiny, tmp_path / "a.pt", "abp", iterations=1)
    first.made_with = {"data": "old", "torch": "2", "device": "cpu"}
    first.fit()
    second = trainer(tiny, tmp_path / "a.pt", "abp")
    second.made_with = {"data": "new", "torch": "2", "numerics": "3"}
    with pytest.raises(
        InputError, match=r"a\.pt cannot be resumed: data was old, is new; "
    ) as stop:
        second.resume()
    assert "device was cpu, is None; numerics was None, is 3; " in str(stop.value)
    assert "--restart" in str(stop.value)
    assert second.method.iteration == 0


def test_another_execution_goes_on_and_is_listed(tiny, tmp_path):
    first = trainer(tiny, tmp_path / "a.pt", "abp", iterations=1)
    first.executions, first.commits = ["float32"], ["a"]
    first.fit()
    second = trainer(tiny, tmp_path / "a.pt", "abp")
    second.executions, second.commits = ["float32, onednn products"], ["a"]
    assert second.resume()
    assert second.executions == ["float32", "float32, onednn products"]
    assert second.commits == ["a"]


def test_curve_is_measured_every_so_often_and_at_the_end(tiny):
    calls = itertools.count()
    t = trainer(tiny, None, "abp", iterations=5)
    t.curve, t.every = lambda _: {"calls": next(calls)}, 2
    rows = t.fit()
    assert [row.get("calls") for row in rows] == [None, 0, None, 1, 2]


class Operations(TorchDispatchMode):
    """Counts what torch computes: a time that no other process stretches."""

    done = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.done += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", ["short_run_ot", "short_run", "abp", "vae"])
def test_phases_cover_an_iteration(tiny, method, monkeypatch):
    t = trainer(tiny, None, method, iterations=2)
    with Operations() as operations:
        counted = SimpleNamespace(perf_counter=lambda: operations.done)
        monkeypatch.setattr(clock_module, "time", counted)
        t.fit()
        whole = operations.done
    # outside are the first counting of FLOPs, and the networks that are built for it
    assert 0.85 * whole < sum(t.method.problem.clock.seconds.values()) <= whole


def test_clock_counts_a_phase_that_raises():
    clock = Clock("cpu")
    with pytest.raises(KeyError), clock.phase("inference"):
        raise KeyError
    assert clock.seconds["inference"] > 0


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, {"a": 1})

    def fail():
        with writing(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_json_refuses_what_is_no_number(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_streams_depend_on_seed_purpose_and_axes_alone():
    def draw(*name):
        return torch.rand(4, generator=stream(*name))

    assert torch.equal(draw(0, "noise", 1), draw(0, "noise", 1))
    names = [(0, "noise", 1), (1, "noise", 1), (0, "order", 1), (0, "noise", 2), (0, "noise", 1, 0)]
    for a, b in itertools.combinations(names, 2):
        assert not torch.equal(draw(*a), draw(*b))
