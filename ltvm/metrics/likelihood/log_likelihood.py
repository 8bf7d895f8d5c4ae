"""log p(x) of unseen images by annealed importance sampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet
from ltvm.errors import require
from ltvm.methods.base import EVALUATION_BATCH, Method
from ltvm.metrics.base import Context, Measurement, Metric
from ltvm.metrics.columns import Column
from ltvm.metrics.likelihood.annealing import Annealed, annealed_importance_sampling, temperatures
from ltvm.models.batchnorm import statistics
from ltvm.models.weights import frozen

KEY = "evaluation.metrics.likelihood"


class LogLikelihood(Metric):
    """Mean log p(x) of test images under x = g(z) + e, z ~ p(z), e ~ N(0, sigma^2 I).

    - ``ais_log_likelihood``: nats per image, a density of pixels in [-1, 1]: a lower bound in
      expectation, tighter with more ``steps`` and ``chains``;
    - ``ais_effective_chains``: mean effective sample size over the number of chains, from
      1 / chains to 1. Near 1 / chains, one chain carries the estimate, the bound is loose by an
      unknown amount, and a difference of two such bounds may be one of looseness alone;
    - ``ais_acceptance``: mean acceptance of the transitions.

    The model's own sigma counts, so methods compare at equal sigma only. Batch norm takes its
    running statistics and every draw is the image's own: no image affects another. The decoder
    computes in float32, weights are summed in float64. Costs 2 * steps * leapfrog * chains
    passes per image, half of them for the pilot run that finds step sizes.

    Raises :class:`ltvm.errors.InputError` for a prior whose draws are approximate. The density is
    that under the prior that training had: another sampler is refused, too.
    """

    of_samples = False

    def __init__(
        self, images: int = 10, chains: int = 4, steps: int = 200, leapfrog: int = 3
    ) -> None:
        least = {"images": 2, "chains": 1, "steps": 2, "leapfrog": 1}
        given = {"images": images, "chains": chains, "steps": steps, "leapfrog": leapfrog}
        for name, value in given.items():
            require(value >= least[name], f"{KEY}.{name}", value, f"{least[name]} or more")
        require(chains <= EVALUATION_BATCH, f"{KEY}.chains", chains, f"up to {EVALUATION_BATCH}")
        self.images, self.chains, self.steps, self.leapfrog = images, chains, steps, leapfrog

    def columns(self) -> dict[str, Column]:
        return {
            "ais_log_likelihood": Column(
                "log p(x), nats (AIS, lower bound)",
                "Mean log density of test images in [-1, 1] by annealed importance sampling: a "
                "lower bound in expectation, so that a difference of two says little where the "
                "effective share of chains is low.",
                family="likelihood",
                unit="nats",
                direction="higher",
            ),
            "ais_effective_chains": Column(
                "effective share of AIS chains",
                "Mean effective sample size of the weights over the number of chains "
                f"({self.chains}): near {1 / self.chains:.2g}, one chain carries the estimate and "
                "the bound is loose by an unknown amount.",
                family="likelihood",
                role="diagnostic",
            ),
            "ais_acceptance": Column(
                "acceptance in AIS",
                "Mean acceptance of the Hamiltonian transitions.",
                family="likelihood",
                role="diagnostic",
            ),
        }

    def check(self, data: DataSet, context: Context) -> None:  # noqa: ARG002
        sampler = context.sampler or {}
        require(
            not sampler, "sampler", sampler.get("name"),
            f"prior, under which {KEY} is log p(x); or an evaluation without it, such as "
            "digits_samples",
        )  # fmt: skip

    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        if method.samples_need_codes or not method.problem.prior.samples_exactly:
            return {}  # not a density of what is sampled, or no bound
        test = data.test.subset(min(self.images, len(data.test)))
        found = self.estimate(method, test.scaled(), context)
        values = found.log_evidence
        provenance = {
            "n": len(test),
            "split": data.test.split,
            "data": data.test.fingerprint,
            "units": f"nats per image, pixels in [-1, 1], sigma = {method.problem.sigma:g}",
            "standard_error": (values.std() / math.sqrt(len(values))).item(),  # over images
            "chains": self.chains,
            "steps": self.steps,
            "leapfrog": self.leapfrog,
        }
        effective = (found.effective_sample_size / self.chains).mean().item()
        return {
            "ais_log_likelihood": Measurement(values.mean().item(), provenance),
            "ais_effective_chains": Measurement(effective, provenance),
            "ais_acceptance": Measurement(found.acceptance.mean().item(), provenance),
        }

    def estimate(self, method: Method, images: Tensor, context: Context) -> Annealed:
        """Estimates per image for images [n, c, h, w] in [-1, 1]."""
        sigma, prior, pixels = method.problem.sigma, method.problem.prior, images[0].numel()
        constant = pixels / 2 * math.log(2 * math.pi * sigma**2)
        betas, parts = temperatures(self.steps), []
        numbers = torch.arange(len(images), device=images.device)
        for part in numbers.split(EVALUATION_BATCH // self.chains):
            rows = images[part].repeat_interleave(self.chains, 0)

            def log_likelihood(codes: Tensor, rows: Tensor = rows) -> Tensor:
                residual = rows - method.decoder(codes)
                return -residual.flatten(1).square().sum(1) / (2 * sigma**2) - constant

            with frozen(method.decoder), frozen(prior), statistics(method.decoder, "running"):
                parts.append(
                    annealed_importance_sampling(
                        log_likelihood,
                        part,
                        prior,
                        chains=self.chains,
                        betas=betas,
                        leapfrog=self.leapfrog,
                        generator=context.stream("annealing"),
                    )
                )
        return Annealed(
            *(
                torch.cat([getattr(part, name) for part in parts])
                for name in ("log_evidence", "effective_sample_size", "acceptance")
            )
        )
