"""A mixture of Gaussians with full covariances, by expectation maximisation (scikit-learn)."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.linalg import cholesky

from ltvm.densities.base import Density, as_double, fitted_codes
from ltvm.densities.gaussian import Gaussian
from ltvm.errors import DivergedError, require
from ltvm.runtime.randomness import key_from, normal

TOLERANCE = 1e-3  # of the gain in nats per code by which EM ends, as Ghosh et al. have it


class GaussianMixture(Density):
    """``components`` Gaussians, begun by k-means; the likeliest of ``starts`` fits.

    EM ends when it gains no more, or after ``iterations``. Codes are centred and divided by one
    number first, so that scikit-learn's 1e-6 on the diagonals is relative to their spread.
    ``weights`` [k], and ``parts``: the Gaussians, in float64.
    """

    weights: Tensor
    parts: list[Gaussian]

    def __init__(self, components: int = 10, iterations: int = 2000, starts: int = 1) -> None:
        given = {"components": components, "iterations": iterations, "starts": starts}
        for name, value in given.items():
            require(type(value) is int and value >= 1, f"sampler.{name}", value, "1 or more")
        self.components, self.iterations, self.starts = components, iterations, starts

    def check(self, n: int, d: int) -> None:  # noqa: ARG002
        most = f"at most the {n} codes that it is fitted to"
        require(self.components <= n, "sampler.components", self.components, most)

    def fit(self, codes: Tensor, generator: torch.Generator) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture as Mixture
        from threadpoolctl import threadpool_limits

        codes = fitted_codes(codes)
        self.check(*codes.shape)
        centre = codes.mean(0)
        scale = (codes - centre).square().mean().sqrt()
        mixture = Mixture(
            self.components, covariance_type="full", tol=TOLERANCE, max_iter=self.iterations,
            n_init=self.starts, random_state=key_from(generator) % 2**32,
        )  # fmt: skip
        try:
            # Several threads would add up k-means' sums in any order.
            with threadpool_limits(1, "openmp"), warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # said in ``found``
                mixture.fit(((codes - centre) / scale).numpy())
        except ValueError as error:
            why = " ".join(str(error).split())[:160]
            raise DivergedError(f"no mixture of {self.components} Gaussians: {why}") from error
        self.weights = torch.from_numpy(mixture.weights_)
        means = torch.from_numpy(mixture.means_) * scale + centre
        factors = cholesky(torch.from_numpy(mixture.covariances_)) * scale
        self.parts = [Gaussian.of(*part) for part in zip(means, factors, strict=True)]
        self.found = {"em_iterations": mixture.n_iter_, "converged": bool(mixture.converged_)}
        if not mixture.converged_:
            self.found["warning"] = f"EM did not converge in {self.iterations} iterations"

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        noise = normal((n, len(self.parts[0].mean)), generator).double()
        chosen = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        drawn = torch.empty_like(noise)
        for number, part in enumerate(self.parts):
            drawn[chosen == number] = part.coloured(noise[chosen == number])
        return drawn.float()

    def log_density(self, codes: Tensor) -> Tensor:
        codes = as_double(codes)
        of_parts = torch.stack([part.log_density(codes) for part in self.parts])  # [k, n]
        return (self.weights.log()[:, None] + of_parts).logsumexp(0)
