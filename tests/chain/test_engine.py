"""The engine against the reference loop, for every kernel."""

import itertools

import pytest
import torch
from networks_by_name import decoder_of

from ltvm.chain.engine import Engine
from ltvm.chain.execution import Execution
from ltvm.chain.kernels.adam import AdamLangevin
from ltvm.chain.kernels.hamiltonian import Hamiltonian
from ltvm.chain.kernels.langevin import Langevin
from ltvm.chain.kernels.underdamped import Underdamped
from ltvm.chain.onednn import onednn_available, products
from ltvm.chain.short_run import energy, short_run
from ltvm.chain.static_chain import StaticChain
from ltvm.models.prior import StandardNormal
from ltvm.models.weights import low_precision_copy
from ltvm.runtime.cuda_graph import Graphs
from ltvm.runtime.devices import bfloat16_is_native
from ltvm.runtime.randomness import ImageNoise

EXECUTIONS = [
    Execution(),
    Execution("bfloat16"),
    Execution("float32", "channels_last"),
    Execution("bfloat16", "channels_last"),
    Execution("float32", "contiguous", "onednn"),
]
KERNELS = [
    Langevin("paper", 3.0),
    Hamiltonian(0.01, 2),
    Underdamped(0.01),
    AdamLangevin(0.1, betas=(0.5, 0.9)),
]
native_bfloat16 = pytest.mark.skipif(
    not bfloat16_is_native(torch.device("cpu")),
    reason="without bfloat16 in the processor these seconds are minutes, and no run chooses it",
)
needs_onednn = pytest.mark.skipif(not onednn_available(), reason="torch without oneDNN")


def setting(architecture, n=6, **changes):
    draw = torch.Generator().manual_seed(3)
    channels, size = (1, 28) if architecture == "mnist" else (3, 32)
    decoder = decoder_of(architecture, 5, channels, generator=draw, **changes)
    images = torch.rand(n, channels, size, size, generator=draw) * 2 - 1
    return decoder, images, torch.randn(n, 5, generator=draw)


def given(kernel, steps=3, n=6, iteration=0):
    """What an engine takes, and what it is made with."""
    constants = kernel.constants(iteration)
    noise = ImageNoise(1, torch.arange(n))
    made = {"kernel": kernel, "prior": StandardNormal(5), "sigma": 0.3}
    return {"steps": steps, "constants": constants, "noise": noise}, made


def reference(decoder, images, state, *, kernel, steps, constants, noise, **made):
    """The reference loop, which is given the numbers that an engine draws."""
    numbers = noise.normals(steps, kernel.noise_width(5, constants))
    return short_run(
        decoder, images, state, kernel=kernel, steps=steps, constants=constants, noise=numbers,
        **made,
    )  # fmt: skip


@pytest.mark.parametrize("how", EXECUTIONS, ids=str)
@pytest.mark.parametrize("architecture", ["mnist", "svhn"])
def test_every_execution_computes_the_reference_chain(architecture, how):
    decoder, images, codes = setting(architecture)
    kernel = Langevin("langevin", 0.02)
    options, made = given(kernel)
    expected = reference(decoder, images, kernel.init(codes), **options, **made)["codes"]
    engine = Engine(how.prepare(decoder), how, **made)
    moved = engine.short_run(images, kernel.init(codes), **options)["codes"]
    assert moved.dtype == torch.float32
    assert not moved.requires_grad
    still = torch.equal(expected, codes)
    assert not still
    error = (moved - expected).norm() / (expected - codes).norm()
    assert error < (1e-3 if how.precision == "float32" else 0.2)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: type(kernel).__name__)
def test_every_kernel_runs_in_the_engine_and_hands_its_state_back(kernel):
    decoder, images, codes = setting("mnist")
    options, made = given(kernel)
    expected = reference(decoder, images, kernel.init(codes), **options, **made)
    found = Engine(decoder, Execution(), **made).short_run(images, kernel.init(codes), **options)
    assert found.keys() == expected.keys() == kernel.init(codes).keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)
    assert not torch.equal(found["codes"], codes)


def test_the_engine_follows_the_decoder_and_leaves_it_alone():
    decoder, images, codes = setting("mnist")
    before = {key: value.clone() for key, value in decoder.state_dict().items()}
    kernel = Langevin("langevin", 0.05, noise=False)
    options, made = given(kernel)
    engine = Engine(decoder, Execution("bfloat16"), **made)
    first = engine.short_run(images, kernel.init(codes), **options)["codes"]
    assert all(torch.equal(before[key], value) for key, value in decoder.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in decoder.parameters())
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(1.5)
    second = engine.short_run(images, kernel.init(codes), **options)["codes"]
    assert not torch.equal(first, second)
    fresh = Engine(decoder, Execution("bfloat16"), **made)
    assert torch.equal(second, fresh.short_run(images, kernel.init(codes), **options)["codes"])


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: type(kernel).__name__)
def test_fixed_buffers_give_the_same_chain_for_changing_inputs(kernel):
    # What a CUDA graph replays, run here without one.
    decoder, images, codes = setting("mnist")
    options, made = given(kernel)
    steps, start = options["steps"], kernel.init(codes)
    width = kernel.noise_width(5, options["constants"])
    chain = StaticChain(
        decoder, images, start, options["noise"], constants=options["constants"], steps=steps,
        width=width, batchnorm="batch", dtype=None, graphs=Graphs("the chain", True, 4), **made,
    )  # fmt: skip
    for turn in range(2):
        constants = kernel.constants(10 * turn)
        x, noise = images.roll(turn, 0), ImageNoise(turn, torch.arange(6) + turn)
        state = {name: value.roll(turn, 0) for name, value in start.items()}
        expected = reference(
            decoder, x, state, steps=steps, constants=constants, noise=noise, **made
        )  # fmt: skip
        moved = chain(x, state, noise, constants)
        torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-4)
        with torch.no_grad():
            decoder[0].weight.mul_(1.1)
    kept = {name: value.clone() for name, value in moved.items()}
    chain(images, start, noise, constants)
    assert all(torch.equal(moved[name], kept[name]) for name in kept)  # not overwritten


def test_chains_that_differ_have_buffers_of_their_own():
    decoder, images, codes = setting("mnist")
    kernel = Underdamped(0.01)
    options, made = given(kernel)
    engine = Engine(decoder, Execution(graph=True), **made)

    def chain(n=6, steps=3, batchnorm="batch", first=0):
        return engine.static_chain(
            decoder, images[:n], kernel.init(codes[:n]), ImageNoise(1, torch.arange(n), first),
            steps=steps, width=5, constants=options["constants"], batchnorm=batchnorm,
        )  # fmt: skip

    different = [{}, {"n": 4}, {"steps": 2}, {"first": 3}]
    chains = [chain(**how) for how in different]
    assert len(set(map(id, chains))) == 4
    assert chain() is chains[0]
    assert chain(batchnorm="running") not in chains  # a fifth: the oldest goes
    assert chain() is not chains[0]


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


@native_bfloat16
def test_bfloat16_energies_agree_with_float32_within_the_spread_of_the_noise():
    decoder, _, _ = setting("mnist", widths=(128, 32, 32))
    draw = torch.Generator().manual_seed(1)
    images = decoder(torch.randn(200, 5, generator=draw)).detach()
    codes = torch.randn(200, 5, generator=draw)

    kernel, prior = Langevin("langevin", 0.02), StandardNormal(5)

    def energies(codes):
        return energy(decoder, images, codes, sigma=0.3, prior=prior)

    def final_energies(how, seed):
        moved = Engine(decoder, how, kernel=kernel, prior=prior, sigma=0.3).short_run(
            images, kernel.init(codes), steps=20, constants=kernel.constants(0),
            noise=ImageNoise(seed, torch.arange(200)),
        )["codes"]  # fmt: skip
        return energies(moved).sort().values

    full = [final_energies(Execution(), seed) for seed in range(3)]
    low = final_energies(Execution("bfloat16"), 0)
    spread = max((a - b).abs().mean() for a, b in itertools.combinations(full, 2))
    assert (low - full[0]).abs().mean() < spread
    assert full[0].mean() < 0.8 * energies(codes).mean()


def test_low_precision_keeps_batch_norm():
    copied = low_precision_copy(setting("mnist")[0], torch.bfloat16)
    assert {str(p.dtype) for p in copied.parameters()} == {"torch.float32", "torch.bfloat16"}
    decoder = setting("mnist")[0]
    with torch.no_grad():
        decoder[1].weight.add_(1e-4)  # lost if it were rounded to bfloat16 on the way
    assert torch.equal(low_precision_copy(decoder, torch.bfloat16)[1].weight, decoder[1].weight)
