"""Two-stage VAE (Dai and Wipf, "Diagnosing and enhancing VAE models", ICLR 2019, section 4).

Stage one is a VAE that learns the standard deviation gamma of its likelihood, for D pixels

    loss = |x - g(z)|^2 / (2 gamma^2) + D log(gamma / sigma) + KL(q(z | x) || N(0, I))

whose minimum over gamma is the root mean squared error of a pixel; at gamma = sigma, the suite's,
where it starts, it is the loss of ``vae``. (The script starts at 1 in pixels of [0, 1], 2 here,
from where a few hundred updates do not come back.) As gamma falls, codes fill less and less of the
prior. So stage two is a VAE on codes z ~ q(z | x), whose latent u is as wide as z, with a gamma of
its own:

    loss = |z - h(u)|^2 / (2 gamma'^2) + d log gamma' + KL(q(u | z) || N(0, I))

Samples: u from the prior, z ~ N(h(u), gamma'^2 I), x = g(z). Encoder and decoder of stage two have
three layers of 1,024 and pass their input on to the last one, as in the authors' script.

The script trains stage one in 400 epochs, then stage two in 800. Here every iteration does both,
in this proportion of passes, so that it ends with a whole model: stage two goes on with the codes
that stage one has reached. Both learn at the protocol's rate. The steps of both stages count as
updates and passes, and the encoder's pass between them is counted in FLOPs.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ltvm.errors import require
from ltvm.methods.base import check_counts
from ltvm.methods.budget import Price, Visit
from ltvm.methods.problem import Problem
from ltvm.methods.vae import VariationalAutoEncoder
from ltvm.models.flops import IMAGES, on_cpu, operations
from ltvm.models.networks import seeded_defaults
from ltvm.models.weights import xavier_
from ltvm.runtime.randomness import image_normals, normal, number_of_batches


class TwoStageVAE(VariationalAutoEncoder):
    """A VAE, and a VAE of its codes; ``width`` units in each of ``depth`` layers of the second.

    ``second_epochs`` are the second's passes over all codes for one of the first over all images.
    """

    samples_need_codes = True
    learns_last = True
    only_for_training = VariationalAutoEncoder.only_for_training | {"second_optimizer"}

    def __init__(
        self,
        problem: Problem,
        *,
        encoder: Mapping[str, Any] | None,
        width: int,
        depth: int,
        second_epochs: int,
    ) -> None:
        check_counts(width=width, depth=depth)
        require(second_epochs >= 1, "method.second_epochs", second_epochs, "1 or more")
        self.second_epochs = second_epochs
        sigma = torch.tensor(float(problem.sigma), device=problem.device)
        self.log_gamma = nn.Parameter(sigma.log())
        super().__init__(problem, encoder=encoder)
        with seeded_defaults(problem.stream_key("second stage defaults")):
            second = CodeVAE(problem.latent_dim, width, depth)
        xavier_(second, problem.stream("second stage"))
        self.second = second.to(problem.device)
        rate = problem.budget.learning_rate
        self.second_optimizer = self.adam(list(self.second.parameters()), rate)

    def learned_parameters(self) -> list[nn.Parameter]:
        return [*super().learned_parameters(), self.log_gamma]

    def misfit(self, residual: Tensor) -> Tensor:
        squares = residual.flatten(1).square()
        widening = self.log_gamma - torch.log(self.log_gamma.new_tensor(self.problem.sigma))
        return squares.sum(1) / (2 * (2 * self.log_gamma).exp()) + squares.shape[1] * widening

    def complete(self, encoded: Tensor) -> dict[str, float]:
        """Stage two on the codes of stage one, with what is left of the allowance."""
        with self.problem.clock.phase("learning"):
            loss = self.learn_by(lambda visit: self.learn_codes(visit, encoded), self.second_price)
        gammas = {"gamma": self.log_gamma, "second_gamma": self.second.log_gamma}
        return {"second_bound": loss} | {k: v.exp().item() for k, v in gammas.items()}

    def learn_codes(self, visit: Visit, encoded: Tensor) -> Tensor:
        """An Adam step of stage two; returns its mean loss (nats, up to a constant)."""
        mean, log_variance = encoded[visit.images].chunk(2, dim=1)
        key = self.problem.stream_key("second noise", visit.sweep)
        noise = image_normals(key, visit.images, 2, mean.shape[1])
        codes = mean + (log_variance / 2).exp() * noise[0]
        with self.computing():
            u_mean, u_log_variance, u, made = self.second(codes, noise[1])
        divergence = self.divergence(u_mean, u_log_variance, u)
        loss = (self.second.misfit(codes - made) + divergence).mean()
        return self.step_optimizer(loss, len(codes), self.second_optimizer)

    @cached_property
    def second_price(self) -> Price:
        """Of a visit of stage two: a pass through each of its networks, and an Adam step."""
        return Price(passes=2, flops=code_vae_flops(self.second, self.codes.shape[1]), updates=1)

    @property
    def learning_share(self) -> float:
        """Of stage one: by the price of its passes beside those of stage two."""
        n, budget = len(self.problem.images), self.problem.budget
        currency = "flops" if budget.equal == "seconds" else budget.equal
        batches = number_of_batches(n, budget.batch)
        first = self.price.of(currency, n, batches)
        second = (self.second_price * self.second_epochs).of(currency, n, batches)
        return self.share_without_encoding * first / (first + second)

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        u = super().draw_codes(n, generator)
        return self.second.draw(u, normal(tuple(u.shape), generator, u.device))

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "log_gamma": self.log_gamma.detach().clone(),
            "second": self.second.state_dict(),
            "second_optimizer": self.second_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        with torch.no_grad():
            self.log_gamma.copy_(state["log_gamma"])
        self.second.load_state_dict(state["second"])
        if "second_optimizer" in state:
            self.second_optimizer.load_state_dict(state["second_optimizer"])


class CodeVAE(nn.Module):
    """A VAE of codes [n, d] with a latent u [n, d] and a likelihood whose gamma it learns."""

    def __init__(self, d: int, width: int, depth: int) -> None:
        super().__init__()
        self.encoder = PassingOn(d, width, depth, 2 * d)
        self.decoder = PassingOn(d, width, depth, d)
        self.log_gamma = nn.Parameter(torch.zeros(()))

    def forward(self, codes: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean and log-variance of q(u | z), a draw of it by ``noise``, and h(u): [n, d] each."""
        mean, log_variance = self.encoder(codes).float().chunk(2, dim=1)
        u = mean + (log_variance / 2).exp() * noise
        return mean, log_variance, u, self.decoder(u).float()

    def misfit(self, residual: Tensor) -> Tensor:
        """-log p(z | u) of residuals [n, d], up to a constant: [n]."""
        precision = (-2 * self.log_gamma).exp()
        return precision * residual.square().sum(1) / 2 + residual.shape[1] * self.log_gamma

    @torch.no_grad()
    def draw(self, u: Tensor, noise: Tensor) -> Tensor:
        """Codes [n, d] of p(z | u), by ``noise`` from N(0, I)."""
        made: Tensor = self.decoder(u)
        return made + self.log_gamma.exp() * noise


class PassingOn(nn.Module):
    """``depth`` layers of ``width`` with ReLU, and a last one that sees the input as well."""

    def __init__(self, d: int, width: int, depth: int, out: int) -> None:
        super().__init__()
        sizes = [d, *[width] * depth]
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(d + width, out)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.last(torch.cat([x, self.layers(x)], dim=1))
        return made


def code_vae_flops(network: CodeVAE, d: int) -> int:
    """Operations per image of a learning step of stage two."""
    copied, codes = on_cpu(network), torch.zeros(IMAGES, d)

    def learn() -> None:
        mean, log_variance, _, made = copied(codes, codes)
        (made.sum() + mean.sum() + log_variance.sum()).backward()

    return operations(learn) // IMAGES
