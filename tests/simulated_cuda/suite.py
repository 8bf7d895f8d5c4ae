"""What holds on the pretended devices; ``test_simulated_cuda.py`` runs it in a process of its own.

python tests/simulated_cuda/suite.py [NAME]
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from unittest import mock

os.environ["LTVM_CACHE_DIR"] = tempfile.mkdtemp()

import device
import pytest
import torch

MISSING = 77  # exit status
if device.missing():  # of what pretending leans on
    print(*device.missing())
    sys.exit(MISSING)
device.install()
torch.set_num_threads(1)

import ltvm  # noqa: E402
from ltvm.chain import engine as engine_module  # noqa: E402
from ltvm.chain.cuda_graph import StaticChain  # noqa: E402
from ltvm.chain.execution import Execution  # noqa: E402
from ltvm.config import Config, resolve  # noqa: E402
from ltvm.data.image_set import DataSet, ImageSet  # noqa: E402
from ltvm.doctor.report import examine  # noqa: E402
from ltvm.errors import DivergedError  # noqa: E402
from ltvm.methods import base, chain_method  # noqa: E402
from ltvm.methods.budget import Visit  # noqa: E402
from ltvm.models.batchnorm import synchronises  # noqa: E402
from ltvm.runs.build import build_method, build_problem  # noqa: E402
from ltvm.runtime.distributed import ALONE, World  # noqa: E402
from ltvm.training.trainer import Trainer  # noqa: E402

METHODS = ("short_run_ot", "short_run", "abp", "vae")
PLACES = ("cuda:0", "cuda:1")
SMALL = (
    "protocol=smoke", "model.latent_dim=4", "protocol.iterations=2", "protocol.sweeps=1",
    "protocol.steps=2", "protocol.learn_epochs=1", "protocol.batch=12",
    "execution.layout=contiguous",
    "execution.products=torch", "+decoder.widths=[32,16,16]", "+decoder.encoder.widths=[16,16,32]",
)  # fmt: skip
CASES: list[Callable[[], None]] = []


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES.append(function)
    return function


@functools.cache
def resolved(*overrides: str) -> Config:
    return resolve(overrides)


def random_images() -> DataSet:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (36, 1, 28, 28), generator=draw, dtype=torch.uint8)
    return DataSet(ImageSet("r", "train", images[:24]), ImageSet("r", "test", images[24:]))


def method_on(
    where: str, name: str = "short_run_ot", graph: bool = False, *more: str, world: World = ALONE
):
    config = copy.deepcopy(resolved(*SMALL, "precision=float32", f"method={name}", *more))
    config["device"], config["execution"]["graph"] = where, graph
    execution = Execution(graph=graph) if world.size > 1 else None  # nobody to try it with
    problem = build_problem(config, random_images(), execution=execution, world=world)
    return build_method(config, problem)


def trained_on(where: str, name: str = "short_run_ot", graph: bool = False, *more: str):
    """Codes, an image and codes of unseen images after two iterations, on the CPU."""
    method = method_on(where, name, graph, *more)
    for _ in range(2):
        method.fit_iteration()
    draw = torch.Generator().manual_seed(1)
    inferred = method.infer(random_images().test.scaled().to(method.problem.device), draw)
    assert str(method.codes.device).startswith(where)
    return [x.cpu() for x in (method.codes, method.decode(method.codes[:2]), inferred)]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@case
def every_method_computes_on_both_devices_what_the_cpu_does() -> None:
    for name in METHODS:
        expected = trained_on("cpu", name)
        for where in PLACES:
            for graph in (False, True) if name != "vae" else (False,):
                before = device.graphs["replayed"]
                assert same(expected, trained_on(where, name, graph)), (name, where, graph)
                assert (device.graphs["replayed"] > before) is graph, (name, where, graph)


@case
def bfloat16_too() -> None:
    found = []
    for where, graph, precision in (
        ("cpu", False, "bfloat16"), ("cuda:1", True, "bfloat16"), ("cpu", False, "float32"),
    ):  # fmt: skip
        method = method_on(where, "abp", graph, "protocol.batch=4", f"precision={precision}")
        method.visit(Visit(method.batches(0)[0], 0, False, method.batches(0)[0]))
        found.append([x.detach().cpu() for x in (method.codes, *method.decoder.parameters())])
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


@case
def precision_auto_is_that_of_the_gpu() -> None:
    assert resolve(["device=auto"])["precision"] == "bfloat16"


@case
def codes_are_inferred_under_no_grad() -> None:
    images = random_images().test.scaled()
    for where, graph in (("cpu", False), ("cuda:1", False), ("cuda:1", True)):
        method = method_on(where, "abp", graph)
        given = images.to(method.problem.device)
        free = method.infer(given, torch.Generator().manual_seed(1))
        with torch.no_grad():
            assert torch.equal(
                free.cpu(), method.infer(given, torch.Generator().manual_seed(1)).cpu()
            )


@case
def nothing_waits_or_copies_within_a_visit() -> None:
    for name, graph in (("abp", False), ("abp", True), ("short_run", True), ("vae", False)):
        method = method_on("cuda:1", name, graph)
        images = torch.arange(12).to(method.problem.device)
        work = method.learn if name == "vae" else method.visit
        work(Visit(images, 0, False, images))  # captures
        device.counted.clear()
        work(Visit(images, 1, False, images))
        assert not device.counted, (name, graph, device.counted)


@case
def a_share_of_a_batch_waits_for_no_host_and_its_graph_holds_no_exchange() -> None:
    """As the first of two processes that compute the same: sums double, gathered parts repeat."""

    def gather(parts: list[torch.Tensor], own: torch.Tensor) -> None:
        for part in parts:
            part.copy_(own)

    spoken = {"all_reduce": lambda x: x.mul_(2), "all_gather": gather}
    for words, graph in (((), False), (("method.batchnorm=running",), True)):
        with contextlib.ExitStack() as stack:
            for name, fake in spoken.items():
                stack.enter_context(mock.patch.object(torch.distributed, name, fake))
            method = method_on("cuda:1", "abp", True, *words, world=World(0, 2))
            assert synchronises(method.decoder)
            images, before = torch.arange(12).to(method.problem.device), dict(device.graphs)
            half = method.problem.world.share(images)
            assert len(half) == 6
            method.visit(Visit(half, 0, False, images))
            device.counted.clear()
            method.visit(Visit(half, 1, False, images))
            assert not device.counted, (words, device.counted)
            assert (device.graphs["replayed"] > before["replayed"]) is graph
            codes = method.codes.cpu()
            assert torch.equal(codes[:6], codes[6:12])


@case
def a_capture_that_fails_is_said_and_done_without() -> None:
    expected = trained_on("cpu", "abp")
    said: list[str] = []
    with (
        mock.patch.object(torch.cuda, "graph", side_effect=device.CudaError("no capture")),
        mock.patch("builtins.print", lambda *words, **_: said.append(" ".join(words))),
    ):
        assert same(expected, trained_on("cuda:0", "abp", True))
    assert len(said) == 1
    assert "no CUDA graph of the chain (no capture)" in said[0]


def train(folder: str, where: str, *more: str) -> dict:
    words = [
        *SMALL, f"device={where}", f"paths.results={folder}", "precision=float32", "method=abp",
        "protocol.train_images=24", "protocol.test_images=12", "protocol.evaluation.codes=24",
        "protocol.evaluation.unseen_images=4", "execution.graph=true", *more,
    ]  # fmt: skip
    return ltvm.train(words)


@case
def a_run_is_evaluated_stopped_and_resumed_as_on_the_cpu() -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = train(f"{folder}/cpu", "cpu")
        device.counted.clear()
        record = train(f"{folder}/cuda", "cuda:1")
        moves = [n for what, n in device.counted.items() if "None to 1 data/image_set" in what]
        assert sum(moves) <= 6, device.counted  # two splits, images and labels, once; two indices
        values = {name: content["value"] for name, content in record["metrics"].items()}
        for name, content in whole["metrics"].items():
            assert abs(values[name] - content["value"]) <= 1e-6 * abs(content["value"]), name
        stop = mock.patch.object(Trainer, "save", stopped_after_saving)
        with stop, contextlib.suppress(KeyboardInterrupt):
            train(f"{folder}/stopped", "cuda:1")
        resumed = train(f"{folder}/stopped", "cuda:1")
        files = [
            next(Path(folder, kind).rglob("final.safetensors")) for kind in ("cuda", "stopped")
        ]
        assert files[0].read_bytes() == files[1].read_bytes()
        assert resumed["status"] == "done"
        loaded = ltvm.load(files[0].parent, device="cuda:0")
        assert torch.equal(loaded.codes.cpu(), ltvm.load(files[0].parent, device="cpu").codes)


saving = Trainer.save


def stopped_after_saving(trainer: Trainer) -> None:
    saving(trainer)
    raise KeyboardInterrupt


@case
def the_doctor_finds_two_sound_devices() -> None:
    with mock.patch.object(torch.cuda, "get_device_capability", return_value=(7, 5)):
        found = examine("cuda:1", quick=True)
    assert found["reasons"] == []
    assert (found["device"], found["devices"]) == ("Simulated GPU", 2)
    assert "chain on cuda:1 and cuda:0" in [check["name"] for check in found["checks"]]


# Bugs, to see that they would be seen.


def wrong(what: str, expected: list[torch.Tensor], *patches) -> None:
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        try:
            got = trained_on("cuda:1", "abp", True)
        except (device.CudaError, DivergedError):
            return
    assert not same(expected, got), f"missed: {what}"


@case
def seeded_bugs_are_seen() -> None:
    expected = trained_on("cpu", "abp")
    no_fallback = mock.patch.object(engine_module, "CaptureError", ZeroDivisionError)
    here = mock.patch.object(torch.cuda, "device", return_value=contextlib.nullcontext())
    with here, no_fallback, pytest.raises(RuntimeError, match="Graph is empty"):
        trained_on("cuda:1", "abp", True)
    noise = chain_method.image_normals
    left = mock.patch.object(
        chain_method, "image_normals", lambda k, i, s, d: noise(k, i.cpu(), s, d)
    )
    wrong("noise left on the CPU", expected, left)
    update = base.Method.update_decoder

    def reads(self, images, codes):
        loss = update(self, images, codes)
        float(loss)
        return loss

    with mock.patch.object(base.Method, "update_decoder", reads), pytest.raises(AssertionError):
        nothing_waits_or_copies_within_a_visit()

    def stale(self, images, state, noise, constants):
        first = self.graph is None
        return called(self, images if first else self.images, state, noise, constants)

    called = StaticChain.__call__
    wrong("the first batch replayed", expected, mock.patch.object(StaticChain, "__call__", stale))


def main() -> int:
    chosen = [c for c in CASES if not sys.argv[1:] or c.__name__ in sys.argv[1:]]
    failed = 0
    for one in chosen:
        started = time.perf_counter()
        try:
            one()
            result = "ok"
        except Exception:
            traceback.print_exc()
            failed += 1
            result = "FAILED"
        print(f"{result} {one.__name__} {time.perf_counter() - started:.1f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
