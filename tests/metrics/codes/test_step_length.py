"""How long a chain's step is for its posterior: closed forms, and chains that run away."""

import pytest
import torch
from small_networks import SMALL
from torch import nn

from ltvm.chain.kernels.adam import AdamLangevin
from ltvm.chain.kernels.hamiltonian import Hamiltonian
from ltvm.chain.kernels.langevin import Langevin
from ltvm.chain.kernels.underdamped import Underdamped
from ltvm.chain.short_run import energy, short_run
from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.metrics.codes import step_length
from ltvm.metrics.codes.step_length import StepLength, largest_curvature
from ltvm.models.batchnorm import statistics
from ltvm.models.decoders import ConvDecoder, MnistDecoder
from ltvm.models.prior import StandardNormal
from ltvm.runs.execution.build import build_method, build_problem

CPU = torch.device("cpu")
D, SIGMA = 5, 0.3


class Linear(nn.Module):
    """x = W z, as images of 3 by 3 pixels, whose singular values are known."""

    def __init__(self, values):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        left, _ = torch.linalg.qr(torch.randn(9, D, generator=draw))
        right, _ = torch.linalg.qr(torch.randn(D, D, generator=draw))
        self.weight = left @ torch.tensor(values).diag() @ right.T

    def forward(self, codes):
        return (codes @ self.weight.T).view(-1, 1, 3, 3)


def test_of_a_linear_decoder_it_is_that_of_the_largest_singular_value():
    found = largest_curvature(Linear([0.1, 0.9, 0.4, 0.3, 0.2]), torch.randn(7, D), SIGMA)
    assert found == pytest.approx(torch.full((7,), 1 + 0.9**2 / SIGMA**2).double(), rel=1e-5)


def test_without_a_slope_the_prior_is_left():
    found = largest_curvature(Linear([0.0] * D), torch.randn(3, D), SIGMA)
    assert found == pytest.approx(torch.ones(3).double())


@pytest.mark.parametrize("decoder", [
    MnistDecoder(D, 1, widths=(16, 8, 8)),
    MnistDecoder(D, 1, "group", widths=(16, 8, 8)),
    ConvDecoder(D, 3, widths=(16, 8, 8), stem_size=2),
])  # fmt: skip
def test_where_nothing_is_left_of_an_image_it_is_autograds_hessian(decoder):
    codes = torch.randn(3, D)
    with statistics(decoder, "learn"):
        decoder(torch.randn(50, D))  # running statistics of its own
    with statistics(decoder, "running"):
        images = decoder(codes).detach()
        found = largest_curvature(decoder, codes, SIGMA)
        for code, image, value in zip(codes, images, found, strict=True):
            whole = torch.func.hessian(
                lambda z, image=image: energy(
                    decoder, image[None], z[None], sigma=SIGMA, prior=StandardNormal(D)
                ).sum()
            )(code)
            largest = torch.linalg.eigvalsh(whole.double())[-1].item()
            assert value.item() == pytest.approx(largest, rel=2e-3)


def test_many_codes_are_done_in_parts(monkeypatch):
    decoder, codes = MnistDecoder(D, 1, "none", widths=(16, 8, 8)), torch.randn(9, D)
    whole = largest_curvature(decoder, codes, SIGMA)
    monkeypatch.setattr(step_length, "NUMBERS", 2 * D * 28 * 28)
    assert torch.allclose(largest_curvature(decoder, codes, SIGMA), whole, rtol=1e-5)


@pytest.mark.parametrize(("number", "runs_away"), [(1.9, False), (2.1, True)])
def test_from_two_on_a_chain_runs_away(number, runs_away):
    decoder = Linear([0.1, 0.9, 0.4, 0.3, 0.2])
    curvature = largest_curvature(decoder, torch.zeros(1, D), SIGMA).item()
    kernel = Langevin("langevin", (2 * number / curvature) ** 0.5, noise=False)
    assert kernel.gradient_step(0) * curvature == pytest.approx(number)
    state = short_run(
        decoder, torch.zeros(4, 1, 3, 3), {"codes": torch.ones(4, D)}, kernel=kernel,
        constants=kernel.constants(0), steps=200, sigma=SIGMA, prior=StandardNormal(D), noise=None,
    )  # fmt: skip
    assert (state["codes"].norm() > 1e3) == runs_away


def size_at(number, curvature):
    return (2 * number / curvature) ** 0.5


@pytest.mark.parametrize(
    ("kernel", "ratio"),
    [
        (lambda curvature: Langevin("langevin", size_at(1, curvature)), 2.0),
        (lambda curvature: Langevin("langevin", size_at(0.2, curvature)), 1 / 0.9),
        (lambda curvature: Langevin("langevin", size_at(1, curvature), temperature=3), 6.0),
        (lambda curvature: Hamiltonian(size_at(0.3, curvature), 1), 1.0),
        (lambda curvature: Underdamped(size_at(1, curvature)), 1.0),
        (lambda curvature: Underdamped(size_at(0.5, curvature), temperature=3), 3.0),
    ],
)
def test_chains_are_as_hot_as_their_kernel_says(kernel, ratio):
    """The variance of long chains along the direction of the largest curvature."""
    decoder = Linear([0.1, 0.9, 0.4, 0.3, 0.2])
    curvature = largest_curvature(decoder, torch.zeros(1, D), SIGMA).item()
    kernel = kernel(curvature)
    assert kernel.variance_ratio(0, curvature) == pytest.approx(ratio)
    n, steps = 4000, 200
    width = kernel.noise_width(D, kernel.constants(0))
    noise = torch.randn(steps, n, width, generator=torch.Generator().manual_seed(1))
    state = short_run(
        decoder, torch.zeros(n, 1, 3, 3), kernel.init(torch.zeros(n, D)), kernel=kernel,
        constants=kernel.constants(0), steps=steps, sigma=SIGMA, prior=StandardNormal(D),
        noise=noise,
    )  # fmt: skip
    _, _, right = torch.linalg.svd(decoder.weight)
    along = state["codes"] @ right[0]
    assert along.var().item() * curvature == pytest.approx(ratio, rel=0.1)


def test_of_chains_that_run_away_no_heat_is_known():
    assert Langevin("langevin", 0.1).variance_ratio(0, 400) is None
    assert Underdamped(0.1).variance_ratio(0, 400) is None
    assert Hamiltonian(0.1, 1).variance_ratio(0, 400) is None  # every proposal is rejected
    assert AdamLangevin().variance_ratio(0, 1) is None


def test_of_chains_without_noise_no_variance_is_told():
    assert Langevin("langevin", 0.1, noise=False).variance_ratio(0, 10) is None
    paper = Langevin("paper", 0.3)  # its noise ends at iteration 50
    assert paper.temperature(0) == pytest.approx(3)
    assert paper.variance_ratio(0, 10) == pytest.approx(3 / (1 - 0.3 / 2000 * 10 / 2))
    assert paper.variance_ratio(60, 10) is None


def test_kernels_say_how_long_their_steps_are():
    assert Langevin("langevin", 0.1).gradient_step(7) == pytest.approx(0.005)
    assert Langevin("paper", 0.3).gradient_step(0) == pytest.approx(0.3 / 2000)
    assert Langevin("langevin", 0.1, temperature=30).gradient_step(0) == pytest.approx(0.005)
    assert Hamiltonian(0.1, 1).gradient_step(0) == pytest.approx(0.005)
    assert Underdamped(0.1).gradient_step(0) == pytest.approx(0.005)
    assert AdamLangevin().gradient_step(0) is None


def trained(tiny, *overrides):
    usual = ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu", *SMALL]
    config = resolve([*usual, *overrides])
    method = build_method(config, build_problem(config, tiny))
    method.fit_iteration()
    return method


def test_the_value_is_the_median_of_training_images_with_where_it_is_from(tiny):
    method = trained(tiny, "method=short_run_ot")
    found = StepLength(images=9)(method, tiny, Context(0, CPU))["step_curvature"]
    eta = method.kernel.gradient_step(0)
    with statistics(method.decoder, "running"):
        every = eta * largest_curvature(method.decoder, method.posterior_draws(), 0.3)
    assert every.min() <= found.value <= every.max()
    heat = StepLength(images=9)(method, tiny, Context(0, CPU))["variance_inflation"]
    assert heat.value == pytest.approx(1 / (1 - found.value / 2))
    assert found.provenance["n"] == 9
    assert found.provenance["data"] == tiny.train.fingerprint
    whole = StepLength(images=10_000)(method, tiny, Context(0, CPU))["step_curvature"]
    assert whole.value == pytest.approx(every.quantile(0.5).item(), rel=1e-5)
    again = StepLength(images=9)(method, tiny, Context(0, CPU))["step_curvature"]
    assert again == found


@pytest.mark.parametrize(
    "overrides", [["method=vae"], ["method=lebm"], ["method=short_run_ot", "method.kernel=adam"]]
)
def test_where_there_is_no_such_number_there_is_no_value(tiny, overrides):
    assert StepLength()(trained(tiny, *overrides), tiny, Context(0, CPU)) == {}


def test_at_least_one_image():
    with pytest.raises(ValueError, match=r"evaluation\.metrics\.step_length\.images=0"):
        StepLength(images=0)


class Backwards(torch.autograd.Function):
    """Twice a tensor, with a derivative in one direction alone."""

    @staticmethod
    def forward(ctx, x):  # noqa: ARG004
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):  # noqa: ARG004
        return 2 * gradient


def test_a_decoder_without_a_forward_derivative_is_named():
    class Decoder(Linear):
        def forward(self, codes):
            return Backwards.apply(super().forward(codes))

    with pytest.raises(InputError, match="step_curvature: .* allowed: layers that torch"):
        largest_curvature(Decoder([0.1] * D), torch.randn(2, D), SIGMA)


def test_another_error_of_a_decoder_is_its_own():
    class Decoder(Linear):
        def forward(self, codes):
            if torch._C._functorch.is_functorch_wrapped_tensor(codes):
                raise RuntimeError("out of luck")
            return super().forward(codes)

    with pytest.raises(RuntimeError, match="out of luck"):
        largest_curvature(Decoder([0.1] * D), torch.randn(2, D), SIGMA)


def test_chains_of_other_steps_stand_in_one_column(tiny):
    """What is said of a value is not the setting that it is to be compared by."""
    steps = (0.05, 0.1)
    found = [
        StepLength()(
            trained(tiny, "method.kernel.kind=langevin", f"method.kernel.size={size}"),
            tiny,
            Context(0, CPU),
        )
        for size in steps
    ]
    first, second = (one["step_curvature"].provenance for one in found)
    assert first == second
