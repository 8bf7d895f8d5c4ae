"""What a process does about the others, without any; ``tests/distributed`` has two."""

import copy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ltvm.chain.execution import Execution
from ltvm.cli.main import main
from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.methods.problem import Problem
from ltvm.models.batchnorm import share_batchnorm, synchronises
from ltvm.runs.afterwards.evaluate_again import with_overrides
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.runs.files.store import Run
from ltvm.runtime import distributed
from ltvm.runtime.distributed import ALONE, World, joined, takes_own_gpu
from ltvm.runtime.processes import processes, rank
from ltvm.runtime.randomness import (
    GeneratorDraws,
    RowsOfDraws,
    shuffled_batches,
    smallest_batch,
    stream,
)


@pytest.fixture
def as_one_of_two(monkeypatch):
    """The second of two processes that torchrun started."""
    told = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
            "RANK": "1", "LOCAL_RANK": "1"}  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)


def problem_of(tiny, world, *words) -> Problem:
    config = resolve(["protocol=smoke", "protocol.batch=20", "device=cpu", *words])
    return build_problem(config, tiny, execution=Execution(graph=True), world=world)


@pytest.mark.parametrize(
    ("failed", "backend", "ended"),
    [(False, "gloo", "ended"), (True, "gloo", "ended"), (True, "nccl", "aborted")],
)
def test_the_threads_of_gloo_get_a_moment_before_their_groups_end(
    monkeypatch, failed, backend, ended
):
    """Without it two processes that join and leave often hang for good with torch 2.6."""
    done = []
    monkeypatch.setattr(distributed.time, "sleep", lambda seconds: done.append(seconds >= 0.1))
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_backend", lambda: backend)
    c10d = distributed.dist.distributed_c10d
    monkeypatch.setattr(c10d, "_abort_process_group", lambda: done.append("aborted"), raising=False)
    monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: done.append("ended"))
    store = SimpleNamespace(set=lambda *words: None)
    world = World(0, 2, store, object())
    if failed:
        world._part()
    world.leave()
    assert done == [True, ended]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_are_the_batch_and_differ_by_one_image(size):
    batch = torch.randperm(23)
    shares = [World(at, size).share(batch) for at in range(size)]
    assert torch.equal(torch.cat(shares), batch)
    lengths = [len(share) for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_a_world_of_one_does_nothing():
    x = torch.randn(3, 2)
    assert ALONE.share(x) is ALONE.gather(x, 3) is ALONE.from_first(x) is ALONE.copied(x, None) is x
    assert ALONE.counts(4) == [4]
    assert ALONE.first(lambda: 5) == ALONE.broadcast(5) == 5
    ALONE.add(x)
    ALONE.check_alike({"x": x})
    network = nn.Sequential(nn.BatchNorm1d(2))
    assert share_batchnorm(network, "synchronised", ALONE) is network
    assert type(network[0]) is nn.BatchNorm1d
    with pytest.raises(KeyError), ALONE.together():
        raise KeyError
    with joined("cpu") as world:
        assert world is ALONE
    assert (processes(), rank()) == (1, 0)


@pytest.mark.parametrize(("n", "size"), [(40, 13), (40, 20), (45, 20), (50, 20), (20, 20)])
def test_the_smallest_batch(n, size):
    sizes = [len(batch) for batch in shuffled_batches(n, size, stream(0, "x"))]
    assert smallest_batch(n, size) == min(sizes)


def test_every_process_has_two_images_of_every_batch(tiny):
    assert problem_of(tiny, World(1, 10)).world.size == 10
    with pytest.raises(InputError, match="protocol.batch=20: allowed: two images of every batch"):
        problem_of(tiny, World(1, 11))


def test_rows_of_draws_are_those_of_all():
    whole = GeneratorDraws(stream(0, "x"))
    rows = RowsOfDraws(GeneratorDraws(stream(0, "x")), 7, slice(2, 5))
    for _ in range(2):  # a prior may ask more than once
        assert torch.equal(whole.normal(7, 3)[2:5], rows.normal(3, 3))


def test_norms_keep_their_weights_and_names():
    network = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.BatchNorm1d(4)), nn.BatchNorm1d(4))
    nn.init.normal_(network[2].weight)
    shared = share_batchnorm(copy.deepcopy(network), "synchronised", World(0, 2))
    assert synchronises(shared)
    assert list(shared.state_dict()) == list(network.state_dict())
    torch.testing.assert_close(shared.state_dict(), network.state_dict())
    assert copy.deepcopy(shared)[2].world is shared[2].world
    assert not synchronises(share_batchnorm(network, "per_shard", World(0, 2)))


@pytest.mark.parametrize(
    ("words", "graph"),
    [
        ([], False),
        (["method.batchnorm=running"], True),
        (["decoder.norm=none"], True),
    ],
)
def test_no_graph_holds_an_exchange(tiny, words, graph):
    """A chain whose statistics are synchronised runs step by step, and the record says so."""
    config = resolve(["method=abp", "protocol=smoke", "protocol.batch=20", "device=cpu", *words])
    for world, expected in ((World(0, 2), graph), (ALONE, True)):
        problem = problem_of(tiny, world, *words)
        assert build_method(config, problem).engine.execution.graph is expected
        several = ", 2 processes" if world.size == 2 else ""
        assert problem.describe_execution() == f"{problem.execution}{several}"
    problem = problem_of(tiny, World(0, 2), *words)
    problem.statistics = "per_shard"
    assert build_method(config, problem).engine.execution.graph


def test_statistics_per_shard_are_refused_where_there_is_one():
    with pytest.raises(InputError, match="per_shard: allowed: synchronised for one process"):
        resolve(["distributed.batchnorm=per_shard"])
    with pytest.raises(InputError, match="distributed.batchnorm=layer: allowed: sync"):
        resolve(["distributed.batchnorm=layer"])


def test_such_a_run_is_evaluated_in_one_process():
    command = "ltvm train protocol=smoke distributed.batchnorm=per_shard"
    config = with_overrides({"seed": 1}, Run(Path()), {"command": command}, ["evaluation=none"])
    assert config["evaluation"]["name"] == "none"


def test_each_process_takes_a_gpu_of_its_own(as_one_of_two, monkeypatch):
    taken, backends = [], []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for device in ("auto", "cuda"):
        assert takes_own_gpu(device)
    assert taken == [1, 1]
    assert not takes_own_gpu("cpu")
    with pytest.raises(InputError, match="device=cuda:1: allowed: auto, cpu or cuda for 2 proc"):
        takes_own_gpu("cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="--nproc-per-node=2: allowed: at most 1, the CUDA dev"):
        takes_own_gpu("auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not takes_own_gpu("auto")

    def begin(backend, **_):
        backends.append(backend)
        raise ZeroDivisionError

    rendezvous = sys.modules["torch.distributed.rendezvous"]
    monkeypatch.setattr(rendezvous, "rendezvous", lambda _: iter([(None, 1, 2)]))
    monkeypatch.setattr(torch.distributed, "PrefixStore", lambda *_: None)
    monkeypatch.setattr(distributed.dist, "init_process_group", begin)
    for on_gpu in (True, False):
        monkeypatch.setattr(distributed, "takes_own_gpu", lambda _, on_gpu=on_gpu: on_gpu)
        with pytest.raises(ZeroDivisionError), joined("auto"):
            pass
    assert backends == ["nccl", "gloo"]


def test_what_went_wrong_is_said_by_the_first_process(as_one_of_two, monkeypatch, capsys):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for words, allowed in ((["train", "method=x"], "method=x"), (["status"], "torchrun=ltvm stat")):
        for number in ("0", "1"):
            monkeypatch.setenv("RANK", number)
            assert main(words) == 2
            said = capsys.readouterr().err
            assert (allowed in said) is (number == "0")
