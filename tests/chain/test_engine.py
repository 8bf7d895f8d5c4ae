"""The engine against the reference loop, per-image noise, and execution."""

import itertools
import json

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import ltvm
from ltvm.chain import tuning
from ltvm.chain.cuda_graph import StaticChain
from ltvm.chain.engine import Engine
from ltvm.chain.execution import Execution, check_wanted
from ltvm.chain.langevin import energy, short_run
from ltvm.chain.onednn import onednn_available, products
from ltvm.chain.tuning import choose_execution
from ltvm.config import resolve
from ltvm.data.image_set import DataSet, ImageSet
from ltvm.errors import InputError
from ltvm.models.decoders import build_decoder
from ltvm.models.weights import low_precision_copy
from ltvm.runs.build import build_method, build_problem
from ltvm.runtime.randomness import image_normals, philox

EXECUTIONS = [
    Execution(),
    Execution("bfloat16"),
    Execution("float32", "channels_last"),
    Execution("bfloat16", "channels_last"),
    Execution("float32", "contiguous", "onednn"),
]
needs_onednn = pytest.mark.skipif(not onednn_available(), reason="torch without oneDNN")


def setting(architecture, n=6):
    draw = torch.Generator().manual_seed(3)
    channels, size = (1, 28) if architecture == "mnist" else (3, 32)
    decoder = build_decoder(architecture, 5, channels, generator=draw)
    images = torch.rand(n, channels, size, size, generator=draw) * 2 - 1
    return decoder, images, torch.randn(n, 5, generator=draw)


@pytest.mark.parametrize("how", EXECUTIONS, ids=str)
@pytest.mark.parametrize("architecture", ["mnist", "svhn"])
def test_every_execution_computes_the_reference_chain(architecture, how):
    decoder, images, codes = setting(architecture)
    noise = image_normals(1, torch.arange(6), 3, 5)
    options = {"steps": 3, "eta": 2e-4, "tau": 0.01, "sigma": 0.3, "noise": noise}
    expected = short_run(decoder, images, codes, **options)
    moved = Engine(how.prepare(decoder), how).short_run(images, codes, **options)
    assert moved.dtype == torch.float32
    assert not moved.requires_grad
    still = torch.equal(expected, codes)
    assert not still
    error = (moved - expected).norm() / (expected - codes).norm()
    assert error < (1e-3 if how.precision == "float32" else 0.2)


def test_the_engine_follows_the_decoder_and_leaves_it_alone():
    decoder, images, codes = setting("mnist")
    before = {key: value.clone() for key, value in decoder.state_dict().items()}
    engine = Engine(decoder, Execution("bfloat16"))
    options = {"steps": 2, "eta": 1e-3, "tau": 0.0, "sigma": 0.3, "noise": None}
    first = engine.short_run(images, codes, **options)
    assert all(torch.equal(before[key], value) for key, value in decoder.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in decoder.parameters())
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(1.5)
    second = engine.short_run(images, codes, **options)
    assert not torch.equal(first, second)
    fresh = Engine(decoder, Execution("bfloat16")).short_run(images, codes, **options)
    assert torch.equal(second, fresh)


def test_fixed_buffers_give_the_same_chain_for_changing_inputs():
    # What a CUDA graph replays, run here without one.
    decoder, images, codes = setting("mnist")
    noise = image_normals(1, torch.arange(6), 3, 5)
    chain = StaticChain(decoder, images, codes, noise, 3, "batch", None)
    for turn in range(2):
        given = {"eta": 1e-3 / (turn + 1), "tau": 0.02 * (turn + 1), "sigma": 0.3 + turn}
        x, z, w = images.roll(turn, 0), codes.roll(turn, 0), noise.roll(turn, 1)
        expected = short_run(decoder, x, z, steps=3, noise=w, **given)
        moved = chain(x, z, w, **given)
        torch.testing.assert_close(moved, expected)
        with torch.no_grad():
            decoder[0].weight.mul_(1.1)
    chain(images, codes, noise, 0.0, 0.0, 1.0)
    assert not torch.equal(moved, codes)  # a result is not overwritten by the next chain


@needs_onednn
def test_onednn_products_are_the_same_products():
    x = torch.randn(9, 7, requires_grad=True)
    layer = torch.nn.Linear(7, 4)
    results = []
    for kind in ("torch", "onednn"):
        with products(kind):
            out = layer(x)
            out = torch.addmm(torch.arange(3.0), out, torch.linspace(0, 1, 12).view(4, 3))
        grads = torch.autograd.grad(out.square().sum(), [x, layer.weight, layer.bias])
        results.append([out, *grads])
    assert "_Linear" in str(out.grad_fn)  # it really went there
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


# Known answers of the authors of Philox (Random123, kat_vectors).
@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([2**32 - 1] * 4, 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            0x299F31D0A4093822,
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, words):
    got = philox(torch.tensor(counter), key)
    assert " ".join(f"{int(word):08x}" for word in got) == words


def test_image_normals_are_normal_and_independent():
    from scipy import stats

    draws = image_normals(7, torch.arange(4000), 4, 5).double()
    assert stats.kstest(draws.flatten().numpy(), "norm").pvalue > 1e-3
    columns = draws.permute(0, 2, 1).reshape(20, 4000)  # one per step and dimension
    off = columns.corrcoef().fill_diagonal_(0).abs().max()
    assert off < 5 / 4000**0.5
    neighbours = torch.stack([draws[0, :-1, 0], draws[0, 1:, 0]]).corrcoef()[0, 1]
    assert abs(neighbours) < 5 / 4000**0.5
    other = image_normals(8, torch.arange(4000), 4, 5).double()
    assert torch.stack([draws.flatten(), other.flatten()]).corrcoef()[0, 1].abs() < 5 / 80000**0.5


def test_an_images_noise_is_its_own():
    whole = image_normals(7, torch.arange(50), 6, 5)
    some = torch.tensor([31, 4, 17])
    assert torch.equal(image_normals(7, some, 6, 5), whole[:, some])
    assert torch.equal(image_normals(7, some, 2, 5), whole[:2, some])
    assert torch.equal(image_normals(7, some, 6, 3), whole[:, some, :3])


def random_images():
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 1, 28, 28), generator=draw, dtype=torch.uint8)
    return DataSet(ImageSet("r", "train", images[:48]), ImageSet("r", "test", images[48:]))


def method_for(*overrides):
    config = resolve(
        ["protocol=smoke", "model.latent_dim=4", "device=cpu", "precision=float32",
         "protocol.updates_per_batch=0", "method.batchnorm=running", *overrides]
    )  # fmt: skip
    return build_method(config, build_problem(config, random_images()))


def test_a_code_does_not_depend_on_batch_size_or_order():
    swept = []
    for batch in (6, 16, 48):
        method = method_for(f"protocol.batch={batch}")
        method.sweep(0, 1)
        swept.append(method.codes)
    for codes in swept[1:]:
        torch.testing.assert_close(codes, swept[0], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(swept[0], method_for("protocol.batch=6").codes, atol=1e-2)


class HostReads(TorchDispatchMode):
    """Counts reads of a tensor's value by the host, each of which waits for the device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("work", ["sweep", "learn"])
def test_the_host_does_not_wait_within_a_sweep(work):
    reads = []
    for batch in (24, 6):
        method = method_for(f"protocol.batch={batch}", "method.updates_per_batch=1")
        clock = method.problem.clock
        looks = iter(range(10**9))
        clock._now = lambda looks=looks: float(next(looks))  # on CUDA each look waits
        with HostReads() as counter:
            method.sweep(0, 1) if work == "sweep" else method.learn(0)
        reads.append((counter.count, next(looks)))
    assert reads[0] == reads[1] <= (2, 2)  # not one per batch


def test_bfloat16_energies_agree_with_float32_within_the_spread_of_the_noise():
    decoder, _, _ = setting("mnist")
    draw = torch.Generator().manual_seed(1)
    images = decoder(torch.randn(200, 5, generator=draw)).detach()
    codes = torch.randn(200, 5, generator=draw)

    def final_energies(how, seed):
        moved = Engine(decoder, how).short_run(
            images, codes, steps=20, eta=2e-4, tau=0.02, sigma=0.3,
            noise=image_normals(seed, torch.arange(200), 20, 5),
        )  # fmt: skip
        return energy(decoder, images, moved, 0.3).sort().values

    full = [final_energies(Execution(), seed) for seed in range(4)]
    low = final_energies(Execution("bfloat16"), 0)
    spread = max((a - b).abs().mean() for a, b in itertools.combinations(full, 2))
    assert (low - full[0]).abs().mean() < spread
    assert full[0].mean() < 0.8 * energy(decoder, images, codes, 0.3).mean()


def test_bfloat16_metrics_agree_with_float32_within_the_spread_of_seeds():
    values = {}
    for precision, seed in itertools.product(("float32", "bfloat16"), range(3)):
        record = ltvm.train(
            ["protocol=smoke", f"precision={precision}", f"seed={seed}", "device=cpu"]
        )
        for name in ("fd_digits", "mse_train", "mse_test", "latent_energy", "transport_cost"):
            values.setdefault((name, precision), []).append(record["metrics"][name]["value"])
    for name in {name for name, _ in values}:
        full, low = (torch.tensor(values[name, p]) for p in ("float32", "bfloat16"))
        assert not torch.equal(full, low)
        assert (low - full).mean().abs() < full.max() - full.min(), name


WANTED = {"precision": "auto", "layout": "auto", "products": "auto", "graph": "auto"}


def choose(wanted=WANTED, architecture="svhn"):
    decoder, images, _ = setting(architecture)
    return choose_execution(
        wanted, lambda: decoder, tuple(images.shape), 5, torch.device("cpu"), architecture
    )


@pytest.fixture
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LTVM_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.usefixtures("_own_cache")
def test_a_execution_is_measured_once_and_kept(monkeypatch, capsys, tmp_path):
    ratios = iter([2.0, 0.9])
    tried = []

    def trial(_build, first, second, *_):
        tried.append((first, second))
        return next(ratios)

    monkeypatch.setattr(tuning, "trial", trial)
    monkeypatch.setattr(tuning, "bfloat16_is_native", lambda _: True)
    how = choose()
    assert how == Execution("bfloat16", "contiguous")
    assert tried[1] == (Execution("bfloat16"), Execution("bfloat16", "channels_last"))
    assert "precision=bfloat16 2.00x; layout=channels_last 0.90x" in capsys.readouterr().err
    assert choose() == how  # the iterator is exhausted: another trial would raise
    assert len(json.loads((tmp_path / "cache" / "executions.json").read_text())) == 1


@pytest.mark.usefixtures("_own_cache")
def test_what_is_given_is_not_tried(monkeypatch):
    monkeypatch.setattr(tuning, "trial", None)
    given = {"precision": "bfloat16", "layout": "channels_last", "products": "torch"}
    assert choose({**given, "graph": True}) == Execution("bfloat16", "channels_last", "torch", True)
    monkeypatch.setattr(tuning, "bfloat16_is_native", lambda _: False)
    assert choose({**WANTED, "products": "torch"}, "mnist") == Execution()


@pytest.mark.usefixtures("_own_cache")
def test_a_damaged_cache_is_measured_again(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "executions.json").write_text("{")
    assert isinstance(choose(), Execution)  # by real trials
    assert json.loads((tmp_path / "cache" / "executions.json").read_text())


@pytest.mark.parametrize(("field", "value"), [("precision", "half"), ("layout", "rows")])
def test_bad_engine_values_name_what_is_allowed(field, value):
    with pytest.raises(InputError, match=f"{field}={value}.*auto"):
        check_wanted({**WANTED, field: value})


def test_low_precision_keeps_batch_norm():
    copied = low_precision_copy(setting("mnist")[0], torch.bfloat16)
    assert {str(p.dtype) for p in copied.parameters()} == {"torch.float32", "torch.bfloat16"}
    decoder = setting("mnist")[0]
    with torch.no_grad():
        decoder[1].weight.add_(1e-4)  # lost if it were rounded to bfloat16 on the way
    assert torch.equal(low_precision_copy(decoder, torch.bfloat16)[1].weight, decoder[1].weight)
