"""A small normalising flow of affine coupling layers (zuko: ``ltvm[flows]``).

    codes -> whitened -> half of the dimensions shifted and scaled as the other half says, several
    times with random halves -> N(0, I)

Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", ICLR 2017. Whitened by a
Gaussian, it learns what a Gaussian lacks.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from ltvm.densities.base import Density, as_double, fitted_codes
from ltvm.densities.gaussian import Gaussian
from ltvm.errors import DivergedError, InputError, require
from ltvm.models.networks import seeded_defaults
from ltvm.runtime.randomness import key_from, normal

ROWS = 1_000  # codes that are computed at once, outside training


class RealNVP(Density):
    """Maximum likelihood by at most ``steps`` steps of AdamW on batches of codes.

    A share ``held_out`` of the codes, drawn at random, is not trained on. Every ``every`` steps
    their mean log density is looked at: the flow is the one at which it was highest, and training
    ends after ``patience`` looks without a higher one. ``transforms`` coupling layers, each with a
    network of two hidden layers of ``width``, whose weights decay by ``rate * decay`` a step.
    """

    def __init__(
        self,
        transforms: int = 6,
        width: int = 64,
        steps: int = 2000,
        batch: int = 200,
        rate: float = 1e-3,
        decay: float = 1.0,
        held_out: float = 0.1,
        every: int = 50,
        patience: int = 5,
    ) -> None:
        counts = {
            "transforms": transforms, "width": width, "steps": steps, "batch": batch,
            "every": every, "patience": patience,
        }  # fmt: skip
        for name, value in counts.items():
            require(type(value) is int and value >= 1, f"sampler.{name}", value, "1 or more")
        require(rate > 0, "sampler.rate", rate, "above 0")
        require(decay >= 0, "sampler.decay", decay, "0 or more")
        require(0 < held_out < 1, "sampler.held_out", held_out, "between 0 and 1")
        require_zuko()
        self.transforms, self.width = transforms, width
        self.steps, self.batch, self.rate, self.decay = steps, batch, rate, decay
        self.held_out, self.every, self.patience = held_out, every, patience

    def check(self, n: int, d: int) -> None:
        require(d >= 2, "sampler=flow: dimensions of codes", d, "2 or more")
        held = round(self.held_out * n)
        require(
            1 <= held <= n - 2, "sampler.held_out", self.held_out,
            f"at least one of the {n} codes, and two to train on",
        )  # fmt: skip

    def fit(self, codes: Tensor, generator: torch.Generator) -> None:
        codes = fitted_codes(codes)
        self.check(*codes.shape)
        order = torch.randperm(len(codes), generator=generator)
        held, trained = order.tensor_split([round(self.held_out * len(codes))])
        self.gaussian = Gaussian()
        self.gaussian.fit(codes[trained], generator)
        white = self.gaussian.whitened(codes).float()
        self.network = self.new_network(codes.shape[1], key_from(generator))
        self.found = dict(self.gaussian.found)
        self.learn(white[trained], white[held], generator)
        gain = self.log_density(codes[held]) - self.gaussian.log_density(codes[held])
        self.found["held_out_nats_above_gaussian"] = gain.mean().item()

    def new_network(self, d: int, key: int) -> Any:
        """A flow with initial weights and halves of the dimensions drawn from ``key``."""
        from zuko import flows

        hidden = (self.width, self.width)
        with seeded_defaults(key):
            return flows.RealNVP(
                d, transforms=self.transforms, randmask=True, hidden_features=hidden
            )

    def learn(self, trained: Tensor, held: Tensor, generator: torch.Generator) -> None:
        """Train on whitened codes and keep the weights at which those held out are likeliest."""
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.rate, weight_decay=self.decay
        )
        best, best_state, best_step = -torch.inf, {}, 0
        for step in range(1, self.steps + 1):
            rows = torch.randint(len(trained), (self.batch,), generator=generator)
            optimizer.zero_grad(set_to_none=True)
            (-self.network().log_prob(trained[rows]).mean()).backward()
            optimizer.step()
            if step % self.every and step < self.steps:
                continue
            reached = self.log_density_of_white(held).mean().item()
            if reached > best:
                best, best_step = reached, step
                best_state = copy.deepcopy(self.network.state_dict())
            elif step - best_step >= self.patience * self.every:
                break
        if not best_state:
            raise DivergedError("the flow's log density is not finite")
        self.network.load_state_dict(best_state)
        self.found |= {"steps": best_step, "steps_trained": step}

    @torch.no_grad()
    def log_density_of_white(self, white: Tensor) -> Tensor:
        """Whitened codes float32 [n, d] -> nats [n], float64."""
        flow = self.network()
        return torch.cat([flow.log_prob(part).double() for part in white.split(ROWS)])

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        noise = normal((n, len(self.gaussian.mean)), generator)
        undo = self.network().transform.inv
        white = torch.cat([undo(part) for part in noise.split(ROWS)])
        return self.gaussian.coloured(white.double()).float()

    def log_density(self, codes: Tensor) -> Tensor:
        white = self.gaussian.whitened(as_double(codes)).float()
        return self.log_density_of_white(white) - self.gaussian.log_size


def require_zuko() -> None:
    """Raise :class:`ltvm.errors.InputError` where zuko is not installed."""
    try:
        import zuko  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(f'sampler=flow: {error}; pip install "ltvm[flows]" adds it') from error
