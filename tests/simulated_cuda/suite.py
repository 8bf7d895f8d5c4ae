"""What holds on the pretended devices; ``test_simulated_cuda.py`` runs it in a process of its own.

python tests/simulated_cuda/suite.py [NAME]
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
import traceback
from pathlib import Path
from unittest import mock

import device
import graph_cases  # noqa: F401  # the cases about graphs
import pytest
import torch
from cases import (
    CASES,
    CHAINS,
    ENCODERS,
    LOUD,
    PLACES,
    SMALL,
    case,
    method_on,
    random_images,
    same,
    trained_on,
    wrong,
)

import ltvm
from ltvm.chain import choosing
from ltvm.config import resolve
from ltvm.densities import Gaussian
from ltvm.doctor.report import examine
from ltvm.methods import base
from ltvm.methods.budget import Visit
from ltvm.methods.sampled import sampled_from
from ltvm.metrics.base import Context
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.generation import copying
from ltvm.metrics.generation.copying import Copying, to_nearest
from ltvm.models.batchnorm import synchronises
from ltvm.runtime import randomness
from ltvm.runtime.distributed import World
from ltvm.training.trainer import Trainer


@case
def every_method_computes_on_both_devices_what_the_cpu_does() -> None:
    for name in (*CHAINS, *ENCODERS):
        more = ("method.width=16",) if name == "two_stage_vae" else ()
        expected = trained_on("cpu", name, False, *more)
        for where in PLACES:
            for graph in (False, True) if name in CHAINS else (False,):
                before = device.graphs["replayed"]
                assert same(expected, trained_on(where, name, graph, *more)), (name, where, graph)
                assert (device.graphs["replayed"] > before) is graph, (name, where, graph)


@case
def bfloat16_too() -> None:
    found = []
    for where, graph, precision in (
        ("cpu", False, "bfloat16"), ("cuda:1", True, "bfloat16"), ("cpu", False, "float32"),
    ):  # fmt: skip
        method = method_on(where, "abp", graph, "protocol.batch=4", f"precision={precision}")
        for sweep in range(2):
            method.visit(Visit(method.batches(0)[0], sweep, False, method.batches(0)[0]))
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
def a_density_is_the_same_whatever_the_device_and_its_images_are_there() -> None:
    made = []
    for where in ("cpu", *PLACES):
        method, density = method_on(where, "vae"), Gaussian()
        density.fit(method.posterior_draws(), torch.Generator().manual_seed(0))
        images = sampled_from(method, density).sample(5, torch.Generator().manual_seed(1))
        assert density.mean.device.type == "cpu"
        assert images.device == method.codes.device
        made.append([density.factor, images.cpu()])
    assert same(*made[:2])
    assert same(*made[1:])


@case
def nothing_waits_or_copies_within_a_visit() -> None:
    for name, graph in (("abp", False), ("abp", True), ("short_run", True), ("vae", False)):
        method = method_on("cuda:1", name, graph)
        images = torch.arange(12).to(method.problem.device)
        work = method.learn if name == "vae" else method.visit
        for sweep in range(3):  # the second captures
            device.counted.clear()
            work(Visit(images, sweep, False, images))
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
            assert not method.updates.wanted
            images, before = torch.arange(12).to(method.problem.device), dict(device.graphs)
            half = method.problem.world.share(images)
            assert len(half) == 6
            for sweep in range(3):
                device.counted.clear()
                method.visit(Visit(half, sweep, False, images))
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
    for line, what in zip(said, ("the chain", "the decoder update"), strict=True):
        assert f"no CUDA graph of {what} (no capture); step by step" in line


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


@case
def copies_are_found_as_on_the_cpu() -> None:
    data = random_images()

    def values(where: str) -> dict[str, float]:
        place = torch.device(where)
        metric = Copying(DigitFeatures(device=place), samples=24, cells=1)

        def there(points: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
            assert points.device == others.device == place  # all pairs: not on the CPU
            return to_nearest(points, others)

        few = mock.patch.object(copying, "LEAST", 4)
        with few, mock.patch.object(copying, "to_nearest", there):
            found = metric(method_on(where, "abp"), data.to(place), Context(0, place))
        assert set(found) == set(metric.columns())  # C_T and the lowest cell among them
        return {name: measured.value for name, measured in found.items()}

    expected = values("cpu")
    for where in PLACES:
        for name, value in values(where).items():
            assert abs(value - expected[name]) <= 1e-5 * max(1, abs(expected[name])), name


saving = Trainer.save


def stopped_after_saving(trainer: Trainer) -> None:
    saving(trainer)
    raise KeyboardInterrupt


@case
def the_doctor_finds_two_sound_devices() -> None:
    with (
        mock.patch.object(torch.cuda, "get_device_capability", return_value=(7, 5)),
        mock.patch.object(choosing, "trial", return_value=2.0),  # graphs are faster
    ):
        before = device.graphs["replayed"]
        found = examine("cuda:1", quick=True)
        assert device.graphs["replayed"] > before
    assert found["reasons"] == []
    assert (found["device"], found["devices"]) == ("Simulated GPU", 2)
    assert "chain on cuda:1 and cuda:0" in [check["name"] for check in found["checks"]]


# Bugs, to see that they would be seen.


@case
def seeded_bugs_are_seen() -> None:
    expected = trained_on("cpu", "abp")
    here = mock.patch.object(torch.cuda, "device", return_value=contextlib.nullcontext())
    with here, LOUD, pytest.raises(RuntimeError, match="Graph is empty"):
        trained_on("cuda:1", "abp", True)
    noise = randomness.image_normals

    def left(key, images, *more):
        return noise(key, images.cpu(), *more)

    wrong("noise left on the CPU", expected, mock.patch.object(randomness, "image_normals", left))
    update = base.Method.update_decoder

    def reads(self, images, codes):
        loss = update(self, images, codes)
        float(loss)
        return loss

    with mock.patch.object(base.Method, "update_decoder", reads), pytest.raises(AssertionError):
        nothing_waits_or_copies_within_a_visit()


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
