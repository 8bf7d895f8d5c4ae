"""Annealed importance sampling of log p(x) (Neal, Statistics and Computing 2001).

Chains go from the prior to the posterior along the geometric path

    p_t(z) = p(z) p(x | z)^b_t / Z_t,   0 = b_0 < ... < b_T = 1,   Z_0 = 1, Z_T = p(x)

by Hamiltonian transitions with a Metropolis correction, each of which leaves its p_t as it is.
The weight of a chain, w = prod_t p(x | z_{t-1})^(b_t - b_{t-1}), has mean p(x); so the log of a
mean of weights is, in expectation, at most log p(x), and with high probability little above it
(Wu, Burda, Salakhutdinov and Grosse, ICLR 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ltvm.chain.hamiltonian import Point, transition
from ltvm.errors import require
from ltvm.models.prior import Prior
from ltvm.runtime.randomness import ImageDraws, image_normals, key_from

TARGET_ACCEPTANCE = 0.65  # of Hamiltonian transitions in many dimensions (Neal, 2011)
ADAPTATION = 0.3  # change of log step size per unit of acceptance off target
JITTER = 0.2  # relative range of step sizes around the adapted one, uniform (Neal, 2011)

LogLikelihood = Callable[[Tensor], Tensor]  # codes [n * chains, d] -> log p(x | z) [n * chains]


@dataclass(frozen=True)
class Annealed:
    """Per image [n]: log of the mean weight, effective sample size, acceptance.

    The effective sample size (sum w)^2 / sum w^2 is between 1 and the number of chains; near 1
    one chain carries the estimate, which is then likely to be low.
    """

    log_evidence: Tensor
    effective_sample_size: Tensor
    acceptance: Tensor


def temperatures(steps: int, power: float = 4.0) -> Tensor:
    """0 = b_0 < ... < b_steps = 1 as (t / steps)^power, float64 [steps + 1].

    Dense near 0, where the likelihood starts to matter (Friel and Pettitt, JRSS B 2008).
    """
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64) ** power


def annealed_importance_sampling(
    log_likelihood: LogLikelihood,
    images: Tensor,
    prior: Prior,
    *,
    chains: int,
    betas: Tensor,
    leapfrog: int,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Annealed:
    """Estimate log p(x) for images given by number (int64 [n]) under ``prior``.

    Rows of codes are image-major: image i owns rows i * chains to (i + 1) * chains - 1.
    ``leapfrog`` steps make one proposal; 1 is Metropolis-adjusted Langevin. Step sizes, one per
    image and temperature, are found by a pilot run with chains of its own and kept fixed in the
    run that counts: adapting them along the way would bias the weights. Every draw depends on
    the generator, the image's number, the chain and the temperature alone.

    Raises :class:`ltvm.errors.InputError` for a prior whose draws are approximate: weights of
    chains that do not start in the prior have another mean, and bound nothing.
    """
    check_prior(prior)
    given = (log_likelihood, images, prior, chains, betas, leapfrog, generator, dtype)
    _, step_sizes = _anneal(*given, None)
    estimates, _ = _anneal(*given, step_sizes)
    return estimates


def check_prior(prior: Prior) -> None:
    """Raise :class:`ltvm.errors.InputError` unless the prior samples exactly."""
    name = type(prior).__name__
    allowed = "one that samples exactly (annealed importance sampling is no bound without that)"
    require(prior.samples_exactly, "prior", name, allowed)


def _anneal(
    log_likelihood: LogLikelihood,
    images: Tensor,
    prior: Prior,
    chains: int,
    betas: Tensor,
    leapfrog: int,
    generator: torch.Generator,
    dtype: torch.dtype,
    step_sizes: Tensor | None,
) -> tuple[Annealed, Tensor]:
    """One run; without ``step_sizes`` [T, n] they are adapted. Returns those used, too."""
    n, d, device = len(images), prior.latent_dim, images.device
    rows = (images[:, None] * chains + torch.arange(chains, device=device)).flatten()
    codes = prior.sample(len(rows), ImageDraws(key_from(generator), rows)).to(dtype)
    point = parts(log_likelihood, prior, codes)
    log_weights = torch.zeros(n * chains, dtype=torch.float64, device=device)
    accepted = torch.zeros(n, dtype=torch.float64, device=device)
    steps = len(betas) - 1
    log_step = torch.full((n,), math.log(0.5), device=device)
    used = torch.empty(steps, n, device=device)
    for t in range(1, steps + 1):
        log_weights += (betas[t] - betas[t - 1]).item() * point["log_likelihood"].double()
        if t == steps:  # the state at b_T = 1 carries no weight
            break
        beta = betas[t].item()

        def target(codes: Tensor, beta: float = beta) -> Point:
            return annealed(parts(log_likelihood, prior, codes), beta)

        size = step_sizes[t] if step_sizes is not None else log_step.exp()
        used[t] = size
        draws = image_normals(key_from(generator), rows, 1, d + 2)[0].to(dtype)
        # A fixed length of trajectories can be near a period, where nothing mixes.
        jitter = 1 + JITTER * (2 * torch.special.ndtr(draws[:, -1:]) - 1)
        size = size.repeat_interleave(chains)[:, None].to(dtype) * jitter
        point, probability = transition(
            target, annealed(point, beta), size, leapfrog, draws[:, :-1]
        )
        mean = probability.view(n, chains).mean(1)
        accepted += mean.double()
        log_step = log_step + ADAPTATION * (mean.float() - TARGET_ACCEPTANCE)
    log_weights = log_weights.view(n, chains)
    log_evidence = log_weights.logsumexp(1) - math.log(chains)
    effective = (2 * log_weights.logsumexp(1) - (2 * log_weights).logsumexp(1)).exp()
    return Annealed(log_evidence, effective, accepted / max(1, steps - 1)), used


def annealed(point: Point, beta: float) -> Point:
    """The point for E = -log p(z) - beta log p(x | z), from what is known of both parts."""
    log_likelihood = point["log_likelihood"].double()
    return point | {
        "terms": torch.stack([point["prior"], -beta * log_likelihood], 1),
        "gradient": point["prior_gradient"] - beta * point["log_likelihood_gradient"],
    }


@torch.enable_grad()
def parts(log_likelihood: LogLikelihood, prior: Prior, codes: Tensor) -> Point:
    """-log p(z) [m], in float64, and log p(x | z) [m] at codes [m, d], and their gradients."""
    codes = codes.detach().requires_grad_(True)
    value = log_likelihood(codes)
    (gradient,) = torch.autograd.grad(value.sum(), codes)
    (prior_gradient,) = torch.autograd.grad(prior.energy(codes).sum(), codes)
    codes = codes.detach()
    with torch.no_grad():
        energy = prior.precise_energy(codes)
    return {
        "codes": codes,
        "prior": energy,
        "prior_gradient": prior_gradient,
        "log_likelihood": value.detach(),
        "log_likelihood_gradient": gradient,
    }
