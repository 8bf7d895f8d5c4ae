"""Whether a device computes what the CPU's plain float32 code does, within stated tolerances.

The CPU itself is held to the same: its fast execution against the loop as one reads it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ltvm.chain.short_run import short_run
from ltvm.config import resolve
from ltvm.data.image_set import DataSet, ImageSet
from ltvm.methods.base import Method
from ltvm.methods.chain_method import ChainMethod
from ltvm.metrics.features.moments import frechet_distance, moments_of
from ltvm.models.batchnorm import statistics
from ltvm.runs.execution.build import build_extractor, build_method, build_problem
from ltvm.runtime.devices import resolve_device
from ltvm.runtime.randomness import ImageNoise, image_normals, stream
from ltvm.transport import build_solver

STEPS = 3  # of the chains compared: rounding grows with every further one
CHAINS = 3  # key of their starts and noise


@dataclass(frozen=True)
class Check:
    """One comparison: a relative difference and the largest that passes."""

    name: str
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.tolerance  # NaN does not

    def as_dict(self) -> dict[str, Any]:
        """As in a JSON file, which has no infinity: None is a difference that is not a number."""
        finite = self.difference if math.isfinite(self.difference) else None
        return {**asdict(self), "difference": finite, "passed": self.passed}


def random_images(shape: tuple[int, ...], n: int) -> DataSet:
    """uint8 noise in the shape of images, [n, *shape] in both splits."""
    images = torch.randint(0, 256, (n, *shape), generator=stream(0, "doctor"), dtype=torch.uint8)
    return DataSet(ImageSet("random", "train", images), ImageSet("random", "test", images))


def method_on(device: str, name: str, data: str, images: DataSet, *more: str) -> Any:
    """The method of a data set as a run on the device has it, on these images."""
    batch = f"protocol.batch={len(images.train)}"
    config = resolve([f"data={data}", f"method={name}", f"device={device}", batch, *more])
    return build_method(config, build_problem(config, images))


def relative(found: Tensor, expected: Tensor) -> float:
    """|found - expected| / |expected|, in float64 on the CPU."""
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    return float((found - expected).norm() / expected.norm())


def agreement(device: str) -> list[Check]:
    """All comparisons for a device: in float32 and, where it has that natively, in bfloat16."""
    where = resolve_device(device)
    native = resolve([f"device={device}"])["precision"]
    checks = [Check("noise", *noise(where))]
    for precision in dict.fromkeys(["float32", native]):
        checks += of_decoder(device, precision)
    return [
        *checks,
        Check("Frechet distance", *distance(where)),
        Check("coupling", coupling_difference(where), 0.005),
    ]


def of_decoder(device: str, precision: str) -> list[Check]:
    """What a decoder does in chains and in learning, as runs of this precision do it there."""
    images = random_images((1, 28, 28), 64)
    method = method_on(device, "abp", "mnist5k", images, f"precision={precision}")
    plain = method_on("cpu", "abp", "mnist5k", images, *PLAIN)
    # bfloat16 has 8 bits: on a CPU the differences are 0.09 and 0.02, in float32 below 1e-5.
    chain, step = (1e-3, 1e-3) if precision == "float32" else (0.2, 0.1)
    return [
        Check(f"chain, {precision}", chain_difference(method, plain), chain),
        Check(f"learning step, {precision}", gradient_difference(method, plain), step),
    ]


PLAIN = (
    "precision=float32", "execution.layout=contiguous", "execution.products=torch",
    "execution.graph=false",
)  # fmt: skip


def noise(device: torch.device) -> tuple[float, float]:
    """Draws of a device against the CPU's: the same integers, other logarithms and cosines."""
    images = torch.arange(100)
    expected = image_normals(7, images, 5, 30)
    return relative(image_normals(7, images.to(device), 5, 30), expected), 1e-5


def moved(method: ChainMethod) -> tuple[Tensor, Tensor, Tensor]:
    """Images, starting codes and noise of a chain of all training images, on the CPU."""
    n, d = method.codes.shape
    draws = image_normals(CHAINS, torch.arange(n), STEPS + 1, d)
    return method.problem.images.scaled().cpu(), draws[0], draws[1:]


def chain_of(method: ChainMethod) -> Tensor:
    """Codes where the engine's chains end, on the CPU: the second time, when graphs replay."""
    images, codes, _ = (x.to(method.problem.device) for x in moved(method))
    numbers = torch.arange(len(codes), device=codes.device)
    for _ in range(2):
        state = method.engine.short_run(
            images, method.kernel.init(codes), steps=STEPS,
            constants=method.kernel.constants(0), noise=ImageNoise(CHAINS, numbers, first=1),
        )  # fmt: skip
    return state["codes"].cpu()


def chain_difference(method: ChainMethod, plain: ChainMethod) -> float:
    """Of the ways that codes went: the engine on its device, and the reference loop on the CPU."""
    images, codes, draws = moved(plain)
    state = short_run(
        plain.decoder, images, plain.kernel.init(codes), kernel=plain.kernel,
        constants=plain.kernel.constants(0), steps=STEPS, sigma=plain.problem.sigma,
        prior=plain.prior, noise=draws,
    )  # fmt: skip
    return relative(chain_of(method) - codes, state["codes"] - codes)


def gradient_difference(method: Method, plain: Method) -> float:
    """Of the decoder's gradients g in an update, all parameters in one vector.

    Two updates at the same weights, of which a graph replays the second, leave the first moment
    of Adam at (1 - b^2) g.
    """
    draw = image_normals(5, torch.arange(len(plain.codes)), 1, plain.codes.shape[1])[0]
    images, codes = method.problem.images.scaled(), draw.to(method.problem.device)
    learned = list(method.decoder.parameters())
    weights = [p.detach().clone() for p in learned]
    for _ in range(2):
        with torch.no_grad():
            for parameter, weight in zip(learned, weights, strict=True):
                parameter.copy_(weight)
        method.update_decoder(images, codes)
    scale = 1 - method.problem.betas[0] ** 2
    found = [method.optimizer.state[p]["exp_avg"].cpu().flatten() / scale for p in learned]
    with statistics(plain.decoder, "learn"):
        residual = plain.problem.images.scaled() - plain.decoder(draw)
        loss = residual.flatten(1).square().sum(1).mean()
    expected = torch.autograd.grad(loss, list(plain.decoder.parameters()))
    return relative(torch.cat(found), torch.cat([g.flatten() for g in expected]))


def distance(device: torch.device) -> tuple[float, float]:
    """The Frechet distance of digit features, and the same by numpy from the CPU's features."""
    config = resolve(["data=mnist5k"])
    noisy = random_images((1, 28, 28), 600).train.images
    sets = [noisy[:300], noisy[300:] // 2]
    by_place = []
    for place in (device, torch.device("cpu")):
        extractor = build_extractor(config, place)
        assert extractor is not None  # mnist5k's evaluation has one
        by_place.append([extractor(part.to(place)) for part in sets])
    moments = [moments_of([part], part.shape[1]) for part in by_place[0]]
    expected = numpy_distance(*(part.double().cpu().numpy() for part in by_place[1]))
    return abs(frechet_distance(*moments) / expected - 1), 1e-3


def numpy_distance(first: Any, second: Any) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), by the eigenvalues of S1 S2."""
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(a @ b).real.clip(min=0)).sum()
    apart = np.square(first.mean(0) - second.mean(0)).sum()
    return float(apart + np.trace(a) + np.trace(b) - 2 * roots)


def coupling_difference(device: torch.device) -> float:
    """How much dearer the default solver's coupling is than scipy's optimal one."""
    codes, targets = image_normals(1, torch.arange(600), 2, 8)
    codes = codes * 1.5 + 0.3
    found = build_solver("auto")(
        codes.to(device), targets.to(device), {}, stream(0, "doctor transport")
    )
    costs = torch.cdist(codes.double(), targets.double()).square().numpy()
    best = costs[linear_sum_assignment(costs)].mean()
    return abs(float(found.cost) / float(best) - 1)


def between_devices(devices: list[str]) -> list[Check]:
    """The chain of the first device against that of every further one."""
    images = random_images((1, 28, 28), 64)
    made: Callable[[str], Tensor] = lambda device: chain_of(  # noqa: E731
        method_on(device, "abp", "mnist5k", images, *PLAIN)
    )
    first, *others = devices
    expected = made(first) if others else None
    return [
        Check(f"chain on {first} and {other}", relative(made(other), expected), 1e-3)
        for other in others
        if expected is not None
    ]
