"""How long a chain's step is for the posterior that it walks in, and how hot that makes it.

Near a code z the energy U(z; x) = |x - g(z)|^2 / (2 sigma^2) + |z|^2 / 2 is a quadratic with the
Gauss-Newton Hessian

    H = J^T J / sigma^2 + I,      J = dg/dz [pixels, d],

in which it needs no image: second derivatives of g, weighted by what is left of x, are left out.
A step z <- z - eta grad U multiplies an error along an eigenvector by 1 - eta h, h its eigenvalue:
above eta h = 2, the edge of stability, it grows. Unadjusted Langevin dynamics has the variance

    T / (h (1 - eta h / 2))

in place of the posterior's 1 / h (the stationary law of an AR(1) process), T the temperature of its
noise: at T = 1 twice as much at eta h = 1. So eta times the largest h says how near a chain is to
running away, and how much wider than the posterior it spreads where it spreads most.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from ltvm.data.image_set import DataSet
from ltvm.errors import InputError, require
from ltvm.methods.base import Method
from ltvm.methods.chain_method import ChainMethod
from ltvm.metrics.base import Context, Measurement, Metric
from ltvm.metrics.codes.compared import posterior_codes, stated_of
from ltvm.metrics.columns import Column
from ltvm.models.batchnorm import statistics

NUMBERS = 10_000_000  # of the Jacobians that are held at once, at most (40 MB)
CODES = 100  # that are decoded at once, at most


class StepLength(Metric):
    """How near chains are to running away, and how much wider than the posterior they spread.

    - ``step_curvature``: eta times the largest curvature of U, the median of training images;
    - ``variance_inflation``: the variance of long chains over the posterior's in that direction
      (``Kernel.variance_ratio``); none of chains without noise, and of those that run away.

    At the images' own codes (one draw of the posterior each), in float32, of the decoder with
    running statistics: chains in training may take those of their batch. eta is that of the last
    iteration, or of a first-order step of the same length (``Kernel.gradient_step``). None of
    methods without a chain, of kernels without such a number, and under a prior of one's own, whose
    curvature is another.

    ``images`` is of how many (drawn once per seed). Costs d passes of each, forwards.
    """

    of_samples = False

    def __init__(self, images: int = 200) -> None:
        require(images >= 1, "evaluation.metrics.step_length.images", images, "1 or more")
        self.images = images

    def columns(self) -> dict[str, Column]:
        return {
            "step_curvature": Column(
                title="step x curvature of chains",
                definition=(
                    "The chain's step eta at the last iteration times the largest curvature "
                    "(Gauss-Newton, running statistics) of U at a training image's own code, the "
                    "median of images: near 0 steps are short for the posterior; from 2 on they "
                    "run away, or a Metropolis test rejects them."
                ),
                family="codes",
            ),
            "variance_inflation": Column(
                title="variance inflation of chains",
                definition=(
                    "The variance of long chains over the posterior's in the direction of the "
                    "largest curvature, of the median training image: for Langevin steps their "
                    "temperature over 1 - step x curvature / 2. At 1 they sample the posterior."
                ),
                family="codes",
            ),
        }

    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        if not isinstance(method, ChainMethod) or not method.problem.prior.is_standard_normal:
            return {}
        last = max(0, method.iteration - 1)
        eta = method.kernel.gradient_step(last)
        if eta is None:
            return {}
        codes = posterior_codes(method, self.images, context.stream("step length"))
        with statistics(method.decoder, "running"):
            every = largest_curvature(method.decoder, codes, method.problem.sigma)
        provenance = stated_of(method, codes, data.train)
        curvature = every.quantile(0.5).item()
        values = {
            "step_curvature": eta * curvature,
            "variance_inflation": method.kernel.variance_ratio(last, curvature),
        }
        return {name: Measurement(v, provenance) for name, v in values.items() if v is not None}


@torch.no_grad()
def largest_curvature(decoder: nn.Module, codes: Tensor, sigma: float) -> Tensor:
    """The largest eigenvalue of J^T J / sigma^2 + I at codes [n, d]: float64 [n], 1 or more.

    ``decoder`` maps [n, d] to images [n, c, h, w], each from its own code alone. Raises
    :class:`ltvm.errors.InputError` for a decoder that has no forward derivative.
    """
    pixels = decoder(codes[:1]).numel()
    most = max(1, min(CODES, NUMBERS // (pixels * codes.shape[1])))
    with warnings.catch_warnings():  # torch's own, where it first differentiates forwards
        warnings.filterwarnings("ignore", ".*torch.jit.script.*", FutureWarning)
        parts = [of_jacobian(jacobian(decoder, part), sigma) for part in codes.split(most)]
    return torch.cat(parts)


def jacobian(decoder: nn.Module, codes: Tensor) -> Tensor:
    """dg/dz at codes [n, d]: [n, d, pixels]."""
    columns = []
    for direction in torch.eye(codes.shape[1], device=codes.device):
        try:
            column = torch.func.jvp(decoder, (codes,), (direction.expand_as(codes),))[1]
        except (NotImplementedError, RuntimeError) as error:
            if not any(word in str(error) for word in ("forward AD", "forward-mode", "jvp")):
                raise
            why = " ".join(str(error).split())[:160]
            allowed = "layers that torch differentiates forwards"
            raise InputError(f"decoder, for step_curvature: {why}; allowed: {allowed}") from error
        columns.append(column.flatten(1))
    return torch.stack(columns, 1)


def of_jacobian(rows: Tensor, sigma: float) -> Tensor:
    """The largest eigenvalue of J^T J / sigma^2 + I, J^T [n, d, pixels]: float64 [n]."""
    gram = torch.matmul(rows, rows.transpose(1, 2)).double() / sigma**2
    return torch.linalg.eigvalsh(gram)[:, -1] + 1
