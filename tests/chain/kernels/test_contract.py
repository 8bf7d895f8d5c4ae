"""The contract over all kernels, and that it catches what breaks it."""

import pytest
import torch

from ltvm.chain.kernels.adam import AdamLangevin
from ltvm.chain.kernels.contract import check_kernel
from ltvm.chain.kernels.hamiltonian import Hamiltonian
from ltvm.chain.kernels.langevin import Langevin
from ltvm.chain.kernels.underdamped import Underdamped
from ltvm.config import choices, resolve
from ltvm.errors import InputError

KERNELS = [
    Langevin("paper"),
    Langevin("langevin", 0.1),
    Langevin("langevin", 0.1, noise=False),
    Hamiltonian(0.1, 1),
    Hamiltonian(0.1, 4),
    Underdamped(0.1),
    AdamLangevin(),
    AdamLangevin(betas=(0.9, 0.999), noise=False),
]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: type(kernel).__name__)
def test_every_kernel_holds_the_contract(kernel):
    assert len(check_kernel(kernel)) > 15


class InPlace(Langevin):
    def step(self, state, potential, noise, constants):  # noqa: ARG002
        state["codes"].sub_(constants[0] * potential(state["codes"])[1])
        return state


class Mixing(Langevin):
    def step(self, state, potential, noise, constants):
        moved = super().step(state, potential, noise, constants)["codes"]
        return {"codes": moved + 0.1 * moved.mean(0)}


class Reading(Langevin):
    def step(self, state, potential, noise, constants):
        eta, tau = (float(value) for value in constants)
        return super().step(state, potential, noise, (eta, tau))


class Drawing(Langevin):
    def step(self, state, potential, noise, constants):  # noqa: ARG002
        return super().step(state, potential, torch.randn_like(state["codes"]), constants)


class Twice(Langevin):
    def step(self, state, potential, noise, constants):
        potential(state["codes"])
        return super().step(state, potential, noise, constants)


class Forgetful(Langevin):
    kept = ("velocity",)


class Standing(Langevin):
    def gradient_step(self, iteration):  # noqa: ARG002
        return 0.0


class Frozen(Langevin):
    def variance_ratio(self, iteration, curvature):  # noqa: ARG002
        return 0.0


@pytest.mark.parametrize(
    ("kernel", "sentence"),
    [
        (InPlace, "leaves the given state"),
        (Mixing, "no code affects another"),
        (Reading, "reads no number"),
        (Drawing, "no random numbers of its own"),
        (Twice, "number of gradients"),
        (Forgetful, "in the state of init"),
        (Standing, "gradient_step is above 0"),
        (Frozen, "variance_ratio is above 0"),
    ],
)
def test_what_breaks_the_contract_is_named(kernel, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_kernel(kernel("langevin", 0.1))


@pytest.mark.parametrize(
    ("kernel", "bad"),
    [
        (Langevin, {"kind": "adam"}),
        (Langevin, {"size": 0.0}),
        (Langevin, {"size": -1.0}),
        (Langevin, {"reference_batch": 0}),
        (Hamiltonian, {"size": 0.0}),
        (Hamiltonian, {"leapfrog": 0}),
        (Underdamped, {"size": 0.0}),
        (Underdamped, {"friction": 0.0}),
        (Underdamped, {"temperature": 0.0}),
        (AdamLangevin, {"size": 0.0}),
        (AdamLangevin, {"betas": (0.9, 1.0)}),
        (AdamLangevin, {"epsilon": 0.0}),
    ],
)
def test_bad_parameters_name_the_key(kernel, bad):
    with pytest.raises(InputError, match=f"method.kernel.{next(iter(bad))}="):
        kernel(**bad)


@pytest.mark.parametrize("name", choices("kernel"))
def test_every_kernel_has_its_configuration(name):
    kernel = build(resolve(["protocol=smoke", f"method.kernel={name}"])["method"]["kernel"])
    assert check_kernel(kernel)


def build(parameters):
    from ltvm.runtime.construct import construct

    return construct("method.kernel", {k: v for k, v in parameters.items() if k != "name"})
