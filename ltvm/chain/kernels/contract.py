"""What every kernel must hold, as a check that its author can run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ltvm.chain.kernels.base import Constants, Kernel, State

N, D = 6, 5  # of the codes that the check moves
CURVATURE = torch.tensor([0.5, 1.0, 2.0, 4.0, 9.0])


class CountedPotential:
    """U(z) = sum_j c_j z_j^2 / 2 + sum_j cos z_j, whose calls are counted."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        energy = (CURVATURE * codes.square() / 2 + codes.cos()).sum(1)
        return energy, CURVATURE * codes - codes.sin()


class HostReads(TorchDispatchMode):
    """Counts reads of a tensor's value by the host, which a CUDA graph cannot hold."""

    count = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            self.count += 1
        return func(*args, **(kwargs or {}))


def check_kernel(kernel: Kernel) -> list[str]:
    """Check a kernel against ``ltvm.chain.kernels.base``; CPU, less than a second.

    Returns the sentences that hold; raises ``AssertionError`` with the first that does not.
    """
    held: list[str] = []

    def check(condition: object, sentence: str) -> None:
        if not condition:
            raise AssertionError(f"broken: {sentence}")
        held.append(sentence)

    draw = torch.Generator().manual_seed(0)
    codes = torch.randn(N, D, generator=draw)
    start = kernel.init(codes)
    check(torch.equal(start["codes"], codes), "init(codes) begins at the codes")
    check(all(name in start for name in kernel.kept), "what is kept is in the state of init")
    check(all(len(value) == N for value in start.values()), "entries have a first axis of n")
    every = [kernel.constants(iteration) for iteration in (0, 7, 1000)]
    check(
        all(type(value) is float for constants in every for value in constants),
        "constants(iteration) are floats",
    )
    constants = every[0]
    check(len({len(one) for one in every}) == 1, "constants(iteration) are always as many")
    width = kernel.noise_width(D, constants)
    check(type(width) is int and width >= 0, "noise_width is an integer, 0 or more")
    noise = torch.randn(3, N, width, generator=draw) if width else None

    before = {name: value.clone() for name, value in start.items()}
    state = torch.get_rng_state()
    end = run(kernel, start, noise, constants, 3)
    check(torch.equal(state, torch.get_rng_state()), "step draws no random numbers of its own")
    check(same(start, before), "step leaves the given state as it is")
    check(
        all(
            end[name].shape == value.shape and end[name].dtype == value.dtype
            for name, value in start.items()
        ),
        "step keeps the entries of init, their shapes and their dtypes",
    )
    check(all(len(value) == N for value in end.values()), "entries of its own have a first axis n")
    check(not any(value.requires_grad for value in end.values()), "step returns no graph")
    check(
        same(end, run(kernel, start, noise, constants, 3)), "given the noise, a step is determined"
    )
    check(close(end, one_by_one(kernel, codes, noise, constants)), "no code affects another")
    check_cost(kernel, start, noise, constants, check)
    calm = kernel.without_noise(constants)
    if calm is not None:
        check(kernel.noise_width(D, calm) == 0, "without_noise gives constants that take none")
        potential = CountedPotential()
        calmed = run(kernel, end, None, calm, 300)
        before_and_after = [potential(z["codes"])[0].mean() for z in (end, calmed)]
        check(before_and_after[1] < before_and_after[0], "without noise, chains go downhill")
    temperature = kernel.temperature(0)
    check(temperature is None or temperature > 0, "temperature is above 0, or None: not known")
    eta = kernel.gradient_step(0)
    check(eta is None or eta > 0, "gradient_step is above 0, or None: not known")
    ratio = kernel.variance_ratio(0, 1.0)
    check(ratio is None or ratio > 0, "variance_ratio is above 0, or None: not known")
    return held


def one_by_one(kernel: Kernel, codes: Tensor, noise: Tensor | None, constants: Constants) -> State:
    """Chains of three steps, each code in a batch of its own."""
    apart = [
        run(
            kernel,
            kernel.init(codes[i : i + 1]),
            None if noise is None else noise[:, i : i + 1],
            constants,
            3,
        )
        for i in range(len(codes))
    ]
    return {name: torch.cat([one[name] for one in apart]) for name in apart[0]}


def check_cost(
    kernel: Kernel,
    start: State,
    noise: Tensor | None,
    constants: Constants,
    check: Callable[[object, str], None],
) -> None:
    """Gradients are counted as they are declared, and nothing is read from the device."""
    for steps in (1, 3):
        potential = CountedPotential()
        run(kernel, start, noise, constants, steps, potential)
        check(
            potential.calls == kernel.passes(steps),
            f"passes({steps}) is the number of gradients that {steps} steps take",
        )
    on_device = torch.tensor(constants)
    with HostReads() as reads:
        replayed = run(kernel, start, noise, on_device, 3)
    check(reads.count == 0, "step reads no number from the device")
    expected = run(kernel, start, noise, constants, 3)
    check(close(expected, replayed), "constants may be a tensor")


def run(
    kernel: Kernel,
    state: State,
    noise: Tensor | None,
    constants: Constants,
    steps: int,
    potential: CountedPotential | None = None,
) -> State:
    """A chain from ``state`` on the potential of this check."""
    potential = potential or CountedPotential()
    for step in range(steps):
        state = kernel.step(state, potential, None if noise is None else noise[step], constants)
    return state


def same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def close(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(
        torch.allclose(a[name], b[name], rtol=1e-4, atol=1e-5) for name in a
    )
