"""The contract of a method, and what every method shares.

    problem -> method.fit_iteration() ... -> method.sample / infer / reconstruct -> metrics

A new method is one Python file with a subclass of :class:`Method` and one YAML file with its
``_target_`` (see CONTRIBUTING.md); ``ltvm.testing`` checks any method against this contract.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ltvm.chain.onednn import products
from ltvm.chain.short_run import energy
from ltvm.errors import DivergedError, require
from ltvm.methods.answers import inferred
from ltvm.methods.budget import Price, Visit
from ltvm.methods.problem import Problem
from ltvm.methods.static_update import StaticUpdates
from ltvm.models.batchnorm import statistics
from ltvm.runtime.precision import Precision
from ltvm.runtime.randomness import GeneratorDraws, RowsOfDraws, shuffled_batches

EVALUATION_BATCH = 1_000  # fixed: results depend a little on the batch
COUNTS = ("sweeps_done", "batches_done", "image_passes", "flops", "decoder_updates")


class Method(ABC):
    """A latent-variable model in training.

    Subclasses implement ``fit_iteration`` and ``infer``, and hold one code per training image
    in ``self.codes`` [n, d]; keep anything else that training needs in ``state_dict``, and name in
    ``only_for_training`` what of it a trained method does without.

    A subclass that trains networks of its own (``learned_parameters``) makes them before it calls
    ``super().__init__(problem)``, which builds the optimiser over all.
    """

    corrects: ClassVar[bool] = False  # whether codes are moved towards the prior after inference
    samples_need_codes: ClassVar[bool] = False  # whether samples are of codes, not of the prior
    only_for_training: ClassVar[frozenset[str]] = frozenset({"optimizer", "prior_optimizer"})

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.iteration = 0  # outer iterations done
        self.sweeps_done = 0  # over all images, all iterations
        self.batches_done = 0  # of the sweep that is under way
        self.image_passes = 0  # of all images together
        self.flops = 0  # of all visits: see ``ltvm.models.flops``
        self.decoder_updates = 0  # Adam steps
        self.decoder = problem.new_decoder()
        rate = problem.budget.learning_rate
        self.optimizer = self.adam(self.learned_parameters(), rate)
        own_step = type(self).step_optimizer is not Method.step_optimizer
        self.updates = StaticUpdates(
            lambda images, codes: self._adam_step(
                self.squared_error(images, codes), len(images), self.optimizer
            ),
            problem.execution.graph and problem.world.size == 1 and not own_step,
        )
        self.prior, self.prior_updates = problem.prior, 0
        self.prior_optimizer: torch.optim.Adam | None = None
        if list(self.prior.parameters()):
            own_rate = self.prior.own_rate
            self.prior_optimizer = self.adam(
                list(self.prior.parameters()), rate if own_rate is None else own_rate
            )
        self.codes = problem.sample_prior(len(problem.images), problem.stream("initial codes"))

    # The contract

    @abstractmethod
    def fit_iteration(self) -> dict[str, float]:
        """Train for one outer iteration; return scalars for the history.

        Raises :class:`ltvm.errors.DivergedError` when the numbers leave the finite range.
        """

    @abstractmethod
    def infer(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Codes [n, d] of unseen images [n, c, h, w] in [-1, 1]; no image affects another."""

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """g(z) with running statistics: [n, d] -> float32 [n, c, h, w] in [-1, 1].

        Raises :class:`ltvm.errors.DivergedError` if a pixel is not finite.
        """
        with statistics(self.decoder, "running"):
            images = torch.cat([self.decoder(part) for part in codes.split(EVALUATION_BATCH)])
        if not images.isfinite().all():
            raise DivergedError("the decoder makes images that are not finite")
        return images

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        """Codes [n, d] that samples are decoded from: the prior's, unless a method has others."""
        return self.problem.sample_prior(n, generator)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Generate ``n`` images in [-1, 1]: z by ``draw_codes``, x = g(z)."""
        return self.decode(self.draw_codes(n, generator))

    def reconstruct(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """g(infer(x)) for images [n, c, h, w] in [-1, 1]."""
        return self.decode(inferred(self, images, generator))

    @property
    def inference_precision(self) -> Precision:
        """What networks compute in where codes are inferred; ``decode`` is in float32 always."""
        return "float32"

    def posterior_draws(self) -> Tensor:
        """One draw of the posterior per training image [n, d], to compare with the prior.

        What inference gives, before anything moves it towards the prior.
        """
        return self.codes

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later ``load_state_dict`` needs to go on as if never stopped."""
        state = {
            "iteration": self.iteration,
            **{name: getattr(self, name) for name in COUNTS},
            "decoder": self.decoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "codes": self.codes,
        }
        if self.prior_optimizer is not None:
            state |= {
                "prior": self.prior.state_dict(),
                "prior_updates": self.prior_updates,
                "prior_optimizer": self.prior_optimizer.state_dict(),
            }
        return state

    def trained_state(self) -> dict[str, Any]:
        """``state_dict`` without what is ``only_for_training``: what a trained method is."""
        state = self.state_dict()
        return {key: value for key, value in state.items() if key not in self.only_for_training}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` or ``trained_state`` returned."""
        self.iteration = state["iteration"]
        for name in COUNTS:
            setattr(self, name, state[name])
        self.decoder.load_state_dict(state["decoder"])
        self.codes = state["codes"].to(self.problem.device, copy=True)
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
            self.updates.forget()
        if self.prior_optimizer is not None:
            self.prior.load_state_dict(state["prior"])
            self.prior_updates = state["prior_updates"]
            if "prior_optimizer" in state:
                self.prior_optimizer.load_state_dict(state["prior_optimizer"])

    # What subclasses build on

    def learned_parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimiser trains; the decoder's, unless a method has more."""
        return list(self.decoder.parameters())

    def adam(self, parameters: list[nn.Parameter], rate: float) -> torch.optim.Adam:
        """Adam as every method has it; one kernel for all parameters, on a CPU too."""
        return torch.optim.Adam(parameters, lr=rate, betas=self.problem.betas, fused=True)

    def visits(self, price: Price, doing: str, share: float = 1.0) -> Iterator[Visit]:
        """Batches of images to be worked on, until the iteration has spent its allowance.

        Sweep after sweep over all images, in an order that is the same for every method of this
        seed; an iteration goes on where the last one stopped. ``price`` is what the caller does
        with each batch, and is accounted for here. ``share`` in (0, 1] is how much of the
        iteration's allowance is spent when the visits end, what came before included: a method
        with several phases splits its allowance so. Visits end within half a batch of it, after
        one at least; what is left over or overspent is settled by the next iteration.
        """
        problem, currency = self.problem, self.problem.budget.equal
        begun, start = self.spent(), self.iteration * problem.allowance
        until = start + share * problem.allowance
        order = self.batches(self.sweeps_done)
        for made in itertools.count():
            batch, spent = order[self.batches_done], self.spent()
            if currency == "seconds":
                cost = (spent - begun) / made if made else 0.0
            else:
                cost = price.of(currency, len(batch))
                require(cost > 0, "protocol.equal", currency, f"a currency that {doing} spends")
            if made and spent + cost / 2 > until:
                return
            self.problem.progress((spent - start) / problem.allowance, doing)
            self.batches_done += 1
            ends_sweep = self.batches_done == len(order)
            yield Visit(problem.world.share(batch), self.sweeps_done, ends_sweep, batch)
            self.image_passes += price.of("passes", len(batch))
            self.flops += price.of("flops", len(batch))
            if ends_sweep:
                self.sweeps_done, self.batches_done = self.sweeps_done + 1, 0
                order = self.batches(self.sweeps_done)

    def spent(self) -> float:
        """So far, all iterations, in the currency in which terms are equal.

        Seconds are those of the first process's clock, so that all end together.
        """
        currency = self.problem.budget.equal
        if currency == "seconds":
            return self.problem.world.first(self.problem.clock.training_seconds)
        return {
            "passes": self.image_passes, "flops": self.flops, "updates": self.decoder_updates,
        }[currency]  # fmt: skip

    @property
    def passes(self) -> float:
        """Per image: see ``ltvm.methods.budget.Price``."""
        return self.image_passes / len(self.problem.images)

    def batches(self, sweep: int) -> tuple[Tensor, ...]:
        """Shuffled batches of image indices, the same for every method of this seed."""
        problem, order = self.problem, self.problem.stream("order", sweep)
        return shuffled_batches(len(problem.images), problem.budget.batch, order, problem.device)

    def update_decoder(self, images: Tensor, codes: Tensor) -> Tensor:
        """One Adam step on mean_i |x_i - g(z_i)|^2 (sum over pixels); returns that loss.

        The images and codes are those of this process's share of a batch, the mean is over all.
        With CUDA graphs the update is one (see ``StaticUpdates.suit``), which leaves no gradients
        behind, unless ``step_optimizer`` is a method's own.
        """
        if not self.updates.suit(self.optimizer, codes):
            return self.step_optimizer(self.squared_error(images, codes), len(images))
        loss = self.updates(self.optimizer, images, codes)
        self.decoder_updates += 1
        return loss

    def squared_error(self, images: Tensor, codes: Tensor) -> Tensor:
        """mean_i |x_i - g(z_i)|^2, as learning computes it."""
        with statistics(self.decoder, "learn"), self.computing():
            residual = images - self.decoder(codes).float()
            return residual.flatten(1).square().sum(1).mean()

    def step_optimizer(
        self, loss: Tensor, n: int, optimizer: torch.optim.Optimizer | None = None
    ) -> Tensor:
        """One step on ``loss``, the mean over this process's ``n`` images, by the given optimiser.

        Returns the mean over those of all processes, still on the device: see ``mean_loss``.
        """
        loss = self._adam_step(loss, n, self.optimizer if optimizer is None else optimizer)
        self.decoder_updates += 1
        return loss

    def _adam_step(self, loss: Tensor, n: int, optimizer: torch.optim.Optimizer) -> Tensor:
        """``step_optimizer``, uncounted: a graph holds it."""
        optimizer.zero_grad(set_to_none=True)
        loss = self.problem.world.backward(loss, n, optimizer)
        optimizer.step()
        return loss

    def update_prior(self, codes: Tensor) -> None:
        """Adam steps on the prior's parameters, if it has any, given inferred codes [n, d].

        On ``Prior.loss``, ``Prior.updates`` times.
        """
        if self.prior_optimizer is None:
            return
        n, world = len(codes), self.problem.world
        counts = world.counts(n)
        before = sum(counts[: world.rank])
        for _ in range(self.prior.updates):
            generator = self.problem.stream("prior learning", self.prior_updates)
            draws = GeneratorDraws(generator, self.problem.device)
            rows = RowsOfDraws(draws, sum(counts), slice(before, before + n))
            loss = self.prior.loss(codes.detach(), rows)
            self.prior_optimizer.zero_grad(set_to_none=True)
            world.backward(loss, n, self.prior_optimizer)
            self.prior_optimizer.step()
            self.prior_updates += 1

    def learn_by(self, work: Callable[[Visit], Tensor], price: Price, share: float = 1.0) -> float:
        """``work`` on visits until this share of the allowance is spent; the mean of its losses.

        They are looked at after every sweep, so that a training that has diverged ends there.
        """
        sums, visits, losses = 0.0, 0, []
        for visit in self.visits(price, "learning", share):
            losses.append(work(visit))
            if visit.ends_sweep:
                sums += len(losses) * self.mean_loss(losses)
                visits += len(losses)
                losses = []
        if losses:  # the allowance may end within a sweep
            sums += len(losses) * self.mean_loss(losses)
            visits += len(losses)
        return sums / visits if visits else float("nan")

    def mean_loss(self, losses: list[Tensor]) -> float:
        """The mean of losses; NaN if there are none.

        The one place where losses leave the device, since the host would wait for each of
        them there. Raises :class:`ltvm.errors.DivergedError` if one is not finite.
        """
        if not losses:
            return float("nan")
        mean = torch.stack(losses).mean().item()
        if not math.isfinite(mean):
            raise DivergedError(f"loss is {mean} in iteration {self.iteration + 1}")
        return mean

    @contextmanager
    def computing(self) -> Iterator[None]:
        """The execution's precision and matrix products, for learning steps."""
        execution = self.problem.execution
        with (
            torch.autocast(
                self.problem.device.type, execution.dtype, enabled=execution.dtype is not None
            ),
            products(execution.products),
        ):
            yield

    @torch.no_grad()
    def energy(self, images: Tensor, codes: Tensor) -> Tensor:
        """U(z; x) [n] with running statistics, in float32, by batches."""
        with statistics(self.decoder, "running"):
            parts = [
                energy(self.decoder, x, z, sigma=self.problem.sigma, prior=self.prior)
                for x, z in zip(
                    images.split(EVALUATION_BATCH), codes.split(EVALUATION_BATCH), strict=True
                )
            ]
        return torch.cat(parts)

    def check_alike(self) -> None:
        """Raise ``RuntimeError`` if processes that train together have come apart."""
        if self.problem.world.size == 1:
            return
        learned = [*self.learned_parameters(), *self.prior.parameters()]
        weights = torch.stack([p.detach().double().sum() for p in learned])
        self.problem.world.check_alike({"codes": self.codes, "weights": weights})

    def check_codes(self, codes: Tensor, largest: float = 1e3) -> None:
        """Raise :class:`DivergedError` if any code is not finite, or |z|^2/d above ``largest``."""
        size = (codes.square().sum(1) / codes.shape[1]).max().item()
        if not math.isfinite(size):
            raise DivergedError(f"a code is not finite in iteration {self.iteration + 1}")
        if size > largest:
            raise DivergedError(
                f"codes explode in iteration {self.iteration + 1}: |z|^2/d = {size:.3g} > "
                f"{largest:g}"
            )


def check_counts(**counts: int) -> None:
    """Raise :class:`ltvm.errors.InputError` for a ``method.<key>`` below 1 (below 0: epochs)."""
    for key, value in counts.items():
        least = 0 if key in ("updates_per_batch", "learn_epochs", "infer_noise_free") else 1
        require(value >= least, f"method.{key}", value, f"{least} or more")
