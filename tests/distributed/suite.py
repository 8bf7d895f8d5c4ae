"""What holds on two processes; ``test_distributed.py`` has torchrun start them, once.

torchrun --standalone --nproc-per-node 2 tests/distributed/suite.py FOLDER [NAME ...]
"""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import norm_cases
import torch
from torch import nn

import ltvm
from ltvm.cli.main import main as command_line
from ltvm.config import Config, add_config_dir, resolve
from ltvm.data.cache import load_data
from ltvm.errors import DivergedError, InputError
from ltvm.methods.base import Method
from ltvm.methods.budget import Visit
from ltvm.models.batchnorm import synchronises
from ltvm.models.prior import Prior
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.runs.files.store import Store
from ltvm.runs.identity import identity
from ltvm.runtime.distributed import ALONE, World, joined
from ltvm.runtime.processes import rank
from ltvm.training.trainer import Trainer

METHODS = (
    "short_run_ot", "short_run_uncorrected", "short_run", "abp", "vae", "rae", "wae_mmd",
    "two_stage_vae", "ae_ot",
)  # fmt: skip
ALSO = {"two_stage_vae": ("method.width=16",)}
SMALL = (
    "data=specks", "decoder.widths=[16,8,8]", "decoder.encoder.widths=[8,8,8]", "protocol=smoke",
    "protocol.train_images=null", "protocol.test_images=null", "protocol.batch=13",
    "device=cpu", "precision=float32", "execution.layout=contiguous", "execution.products=torch",
    "protocol.evaluation.codes=20", "protocol.evaluation.unseen_images=4",
)  # fmt: skip
# Sums in another order: what two processes may differ in from one after two iterations, of
# codes and weights of order 1.
CLOSE = {"rtol": 1e-3, "atol": 2e-4}
CASES: dict[str, Callable[[World], None]] = {}


def case(function: Callable[[World], None]) -> Callable[[World], None]:
    CASES[function.__name__] = function
    return function


@functools.cache
def resolved(words: tuple[str, ...]) -> Config:
    return resolve([*SMALL, *words])


def build(world: World, *words: str, prior: Prior | None = None) -> Method:
    """A method on 40 images, whose batches of 13, 13 and 14 are shared as 7 + 6 or 7 + 7.

    Biases before a batch norm are held: their gradient is 0 but for rounding, which Adam makes
    steps of, so that they would compare noise.
    """
    config = copy.deepcopy(resolved(words))
    problem = build_problem(config, load_data(config), world=world)
    problem.prior = problem.prior if prior is None else prior
    method = build_method(config, problem)
    for network in (method.decoder, getattr(method, "encoder", None)):
        for layer, after in zip(list(network or [])[:-1], list(network or [])[1:], strict=True):
            if isinstance(after, nn.modules.batchnorm._BatchNorm):
                for name, parameter in layer.named_parameters():
                    parameter.requires_grad_(name != "bias")
    return method


def weights(method: Method) -> dict[str, torch.Tensor]:
    return {key: value.double() for key, value in method.decoder.state_dict().items()}


def assert_close(method: Method, other: Method) -> None:
    torch.testing.assert_close(method.codes, other.codes, **CLOSE)
    torch.testing.assert_close(weights(method), weights(other), **CLOSE)


# Methods


@case
def two_processes_train_what_one_does(world: World) -> None:
    for name in METHODS:
        words = (f"method={name}", *ALSO.get(name, ()))
        one, two = build(ALONE, *words), build(world, *words)
        assert synchronises(two.decoder)
        for _ in range(2 if name == "short_run_ot" else 1):
            expected, found = one.fit_iteration(), two.fit_iteration()
            two.check_alike()
            for key, value in expected.items():
                assert abs(found[key] - value) <= 1e-3 * abs(value) + 1e-6, (name, key)
        assert_close(one, two)
        torch.testing.assert_close(one.posterior_draws(), two.posterior_draws(), **CLOSE)
        counts = ("image_passes", "flops", "decoder_updates", "sweeps_done", "batches_done")
        assert [getattr(one, at) for at in counts] == [getattr(two, at) for at in counts], name


@case
def bfloat16_trains_too(world: World) -> None:
    two = build(world, "precision=bfloat16", "method=abp")
    two.fit_iteration()
    two.check_alike()
    loss = build(ALONE, "precision=bfloat16", "method=abp").fit_iteration()["sweep_loss"]
    again = build(world, "precision=bfloat16", "method=abp").fit_iteration()["sweep_loss"]
    assert abs(again - loss) < 0.02 * loss


@case
def without_neighbours_the_first_sweep_is_the_same_bit_for_bit(world: World) -> None:
    """A chain of a share is that of these images anywhere: in one process by two batches."""
    for chosen in (
        ("method=abp", "decoder.norm=none"), ("method=short_run", "method.batchnorm=running"),
        ("method=abp", "method.kernel=adam", "decoder.norm=none"),
    ):  # fmt: skip
        one, two = build(ALONE, *chosen), build(world, *chosen)
        one.updates_per_batch = two.updates_per_batch = 0
        for batch in one.batches(0):
            for part in batch.tensor_split(2):
                one.visit(Visit(part, 0, False, part))
        for visit in two.visits(two.price, "inference"):
            two.visit(visit)
            if visit.ends_sweep:
                break
        assert torch.equal(one.codes, two.codes), chosen
        for key, value in one.kernel_state.items():
            assert torch.equal(value, two.kernel_state[key]), (chosen, key)


@case
def statistics_per_shard_are_another_run(world: World) -> None:
    word = "distributed.batchnorm=per_shard"
    config, usual = resolved((word,)), resolved(())
    assert config["distributed"] == {"batchnorm": "per_shard", "processes": 2}
    assert "distributed" not in usual
    assert identity(config) != identity(usual)
    for name in ("short_run_ot", "vae"):
        method = build(world, word, f"method={name}")
        assert not synchronises(method.decoder)
        method.fit_iteration()
        method.check_alike()
        running = method.decoder.state_dict()
        for key in (key for key in running if "running" in key):
            assert torch.equal(world.from_first(running[key]), running[key])
        other = build(world, f"method={name}")
        other.fit_iteration()
        assert not torch.allclose(method.codes, other.codes, atol=1e-3)


@case
def a_gradient_penalty_needs_statistics_per_shard(world: World) -> None:
    """Synchronised statistics can be differentiated once."""
    try:
        build(world, "method=rae_gp")
    except InputError as error:
        assert "distributed.batchnorm=per_shard" in str(error)  # noqa: PT017
    else:
        raise AssertionError("not refused")
    method = build(world, "method=rae_gp", "distributed.batchnorm=per_shard")
    method.fit_iteration()
    method.check_alike()


class Tilted(Prior):
    """exp(-a |z|^2 / 2), which draws from N(0, I / a): ``a`` is learned."""

    def __init__(self) -> None:
        super().__init__(6)
        self.log_a = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def sample(self, n, draws):
        return draws.normal(n, self.latent_dim) * (-self.log_a / 2).exp()

    def energy(self, codes):
        return self.log_a.exp() * codes.square().sum(1) / 2


@case
def a_prior_that_learns_learns_the_same(world: World) -> None:
    for name in ("short_run_ot", "vae"):
        one = build(ALONE, f"method={name}", prior=Tilted())
        two = build(world, f"method={name}", prior=Tilted())
        for method in (one, two):
            method.fit_iteration()
        assert one.prior.log_a.item() != 0
        assert abs(one.prior.log_a.item() - two.prior.log_a.item()) < 1e-5
        assert_close(one, two)


@case
def a_budget_in_seconds_is_that_of_the_first_clock(world: World) -> None:
    words = ("method=abp", "protocol.equal=seconds", "protocol.seconds=1")
    method, looks = build(world, *words), [0.0]

    def look() -> float:
        looks[0] += 0.02 if world.is_first else 0.2
        return looks[0]

    method.problem.clock._now = look
    method.fit_iteration()
    assert 20 < method.decoder_updates < 50
    assert set(world.counts(method.decoder_updates)) == {method.decoder_updates}


class Forgets(Method):
    """Keeps its share of the codes to itself."""

    def fit_iteration(self):
        for visit in self.visits(self.problem.decoder_update, "learning"):
            images, codes = self.problem.images.scaled(visit.images), self.codes[visit.images]
            self.update_decoder(images, codes)
            self.codes[visit.images] += 1.0
        self.iteration += 1
        return {}

    def infer(self, images, generator):
        raise NotImplementedError


@case
def a_method_that_comes_apart_is_found_out(world: World) -> None:
    method = Forgets(build(world).problem)
    try:
        Trainer(method, 1).fit()
    except RuntimeError as error:
        assert "codes differ between the processes" in str(error)  # noqa: PT017
    else:
        raise AssertionError("not found out")


case(norm_cases.synchronised_statistics_are_those_of_the_whole_batch)
case(norm_cases.frozen_and_low_precision_norms_synchronise)

# Runs


def whole_run() -> Trainer:
    trainer = Trainer(build(ALONE), 3)
    trainer.fit()
    return trainer


@case
def a_run_goes_on_with_another_number_of_processes(world: World) -> None:
    folder = Path(world.first(tempfile.mkdtemp))
    own = folder / str(world.rank)
    expected = whole_run()
    # One, then two.
    if world.is_first:
        Trainer(build(ALONE), 1, folder / "checkpoint.pt").fit()
    two = Trainer(build(world), 3, folder / "checkpoint.pt" if world.is_first else None)
    assert two.resume()
    assert two.method.iteration == 1
    two.fit()
    assert_close(expected.method, two.method)
    # Two, then one.
    begun = Trainer(build(world), 2, folder / "other.pt" if world.is_first else None)
    assert not begun.resume()
    begun.fit()
    own.write_bytes((folder / "other.pt").read_bytes())
    one = Trainer(build(ALONE), 3, own)
    assert one.resume()
    one.fit()
    assert_close(expected.method, one.method)
    assert len(one.history) == len(two.history) == 3
    # Two, then two: as one would, bit for bit.
    undisturbed = Trainer(build(world), 3)
    undisturbed.fit()
    again = Trainer(build(world), 3, folder / "other.pt" if world.is_first else None)
    assert again.resume()
    again.fit()
    assert torch.equal(again.method.codes, undisturbed.method.codes)


def alone(function: Callable[[], None]) -> Callable[[], None]:
    """A case that meets the others itself."""
    CASES[function.__name__] = lambda world: function()
    ALONE_CASES.add(function.__name__)
    return function


ALONE_CASES: set[str] = set()


@alone
def the_command_line_trains_one_run() -> None:
    """What ``test_distributed.py`` looks at: what each process says, and the record."""
    folder = Path(sys.argv[1])
    words = [
        "protocol=smoke", "protocol.iterations=1", "protocol.train_images=60", "protocol.batch=21",
        "protocol.test_images=20", "evaluation=none", "device=cpu", "precision=float32",
        "execution.products=torch", "+decoder.widths=[32,16,16]",
        "+decoder.encoder.widths=[16,16,32]", f"paths.results={folder / 'results'}",
    ]  # fmt: skip
    with contextlib.ExitStack() as stack:
        said = stack.enter_context((folder / f"said-{rank()}").open("w"))
        stack.enter_context(contextlib.redirect_stdout(said))
        stack.enter_context(contextlib.redirect_stderr(said))
        code = command_line(["train", *words])
    assert code == 0


def train(folder: Path, *words: str) -> dict:
    """A run through the Python interface, as every process of it calls it."""
    return ltvm.train([*SMALL, "method=abp", f"paths.results={folder}", *words])


def folder_of_all() -> Path:
    with joined("cpu") as world:
        return Path(world.first(tempfile.mkdtemp))


def record_in(folder: Path) -> dict:
    (run,) = Store(folder).runs()
    return run.record()


@contextlib.contextmanager
def failing_on(this: int, owner: object, name: str, error: BaseException):
    """One process's method raises when it is called the second time."""
    method, calls = getattr(owner, name), []

    def fail(*args, **kwargs):
        calls.append(None)
        if rank() == this and len(calls) == 2:
            raise error
        return method(*args, **kwargs)

    with mock.patch.object(owner, name, fail):
        yield


@alone
def a_run_that_diverges_has_diverged_everywhere() -> None:
    folder = folder_of_all()
    record = train(folder, "method.kernel.kind=langevin", "method.kernel.size=50.0")
    assert record["status"] == "diverged"
    assert "explode" in record["reason"] or "finite" in record["reason"]
    assert record_in(folder)["status"] == "diverged"
    # In the first process alone, which evaluates.
    folder = folder_of_all()
    with failing_on(0, Trainer, "save", DivergedError("images that are not finite")):
        record = train(folder)
    assert (record["status"], record["reason"]) == ("diverged", "images that are not finite")


@alone
def an_error_of_one_is_recorded_and_ends_all() -> None:
    folder = folder_of_all()
    with failing_on(1, Method, "check_alike", MemoryError("no more")):
        try:
            record = train(folder)
            assert rank() == 0, "the first process alone goes on to write"
            assert record["status"] == "failed"
        except MemoryError:
            assert rank() == 1
    if rank() == 0:
        kept = record_in(folder)
        reason = "RuntimeError: process 1: MemoryError: no more"
        assert (kept["status"], kept["reason"]) == ("failed", reason)


@alone
def bad_input_and_interruptions_are_those_of_all() -> None:
    for this, error, status in (
        (0, InputError("no"), "failed"), (1, KeyboardInterrupt(), "interrupted"),
    ):  # fmt: skip
        folder = folder_of_all()
        with failing_on(this, Method, "check_alike", error):
            try:
                train(folder)
            except type(error) as raised:
                assert str(raised) == str(error)  # noqa: PT017
            else:
                raise AssertionError("not raised")
        assert rank() == 1 or record_in(folder)["status"] == status
    # The run goes on from there.
    record = train(folder)
    assert (record["status"], record["iterations_done"], record["processes"]) == ("done", 2, 2)
    # Refused before anything begins, by all.
    for words in (["protocol.batch=3"], ["device=cuda:0"], ["hydra/launcher=joblib"]):
        try:
            train(folder, *words)
        except InputError:
            continue
        raise AssertionError(f"not refused: {words}")


def main() -> int:
    folder, *chosen = sys.argv[1:]
    torch.set_num_threads(1)
    add_config_dir(str(Path(__file__).parent / "config"))
    results: dict[str, str] = {}
    for name, function in CASES.items():
        if chosen and name not in chosen:
            continue
        started = time.perf_counter()
        try:
            with contextlib.ExitStack() as stack:
                world = ALONE if name in ALONE_CASES else stack.enter_context(joined("cpu"))
                function(world)
            results[name] = "ok"
        except BaseException:
            results[name] = traceback.format_exc()
        if rank() == 0:
            print(f"{results[name]} {name} {time.perf_counter() - started:.1f} s", flush=True)
    Path(folder, f"{rank()}.json").write_text(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
