"""What the cases share: pretended devices, small methods on them, what comes of training."""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import sys
import tempfile
from collections.abc import Callable
from unittest import mock

os.environ["LTVM_CACHE_DIR"] = tempfile.mkdtemp()

import device
import torch

MISSING = 77  # exit status
if device.missing():  # of what pretending leans on
    print(*device.missing())
    sys.exit(MISSING)
device.install()
torch.set_num_threads(1)

from ltvm.chain.execution import Execution  # noqa: E402
from ltvm.config import Config, resolve  # noqa: E402
from ltvm.data.image_set import DataSet, ImageSet  # noqa: E402
from ltvm.errors import DivergedError  # noqa: E402
from ltvm.runs.execution.build import build_method, build_problem  # noqa: E402
from ltvm.runtime.cuda_graph import Graphs  # noqa: E402
from ltvm.runtime.distributed import ALONE, World  # noqa: E402

CHAINS = ("short_run_ot", "short_run", "abp")
ENCODERS = ("vae", "rae_gp", "wae_mmd", "two_stage_vae", "ae_ot")
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
    return outcome(method, where)


def outcome(method, where: str) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    inferred = method.infer(random_images().test.scaled().to(method.problem.device), draw)
    drawn = method.draw_codes(2, draw)
    assert all(str(codes.device).startswith(where) for codes in (method.codes, drawn))
    return [x.cpu() for x in (method.codes, method.decode(method.codes[:2]), inferred, drawn)]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def loudly(graphs: Graphs, error: Exception) -> None:
    raise error


LOUD = mock.patch.object(Graphs, "give_up", loudly)  # no falling back to single steps


def wrong(what: str, expected: list[torch.Tensor], *patches, name="abp", do=trained_on) -> None:
    """Fails unless a bug, seeded by ``patches``, changes what ``do`` gives on a device."""
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        try:
            got = do("cuda:1", name, True)
        except (device.CudaError, DivergedError):
            return
    assert not same(expected, got), f"missed: {what}"
