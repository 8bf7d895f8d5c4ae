"""What the methods that infer codes by a short-run chain have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from ltvm.chain.engine import Engine
from ltvm.chain.kernels.base import Kernel, State
from ltvm.errors import InputError, require
from ltvm.methods.base import EVALUATION_BATCH, Method, check_counts
from ltvm.methods.budget import Price, Visit
from ltvm.methods.problem import Problem
from ltvm.models.batchnorm import synchronises
from ltvm.runtime.construct import construct
from ltvm.runtime.precision import Precision
from ltvm.runtime.randomness import ImageNoise, key_from

Start = Literal["persistent", "prior"]
BatchNorm = Literal["batch", "running"]


def build_kernel(parameters: Mapping[str, Any]) -> Kernel:
    """The kernel of ``config["method"]["kernel"]``; raises :class:`ltvm.errors.InputError`."""
    own = {k: v for k, v in parameters.items() if k != "name"}
    kernel = construct("method.kernel", own)
    if not isinstance(kernel, Kernel):
        raise InputError(
            f"method.kernel._target_={parameters.get('_target_')}: allowed: a subclass of Kernel"
        )
    return kernel


class ChainMethod(Method):
    """Codes come from ``steps`` steps of a kernel per visit (see ``ltvm.chain``).

    ``start`` is where a visit's chain begins: ``persistent`` (the image's code) or ``prior``
    (a fresh draw, or what ``first_state`` has in place of one). ``batchnorm`` is where batch norm
    takes its statistics in training chains. Unseen images get ``infer_steps`` steps from there,
    then ``infer_noise_free`` without noise, always with running statistics: what is decoded is
    near a mode of p(z | x), as a VAE's posterior mean is, and not one noisy draw of it. A kernel
    that cannot do without noise (``Kernel.without_noise``) ends as its chain does.
    """

    only_for_training = Method.only_for_training | {"kernel_state"}
    learn_epochs = 0  # of updates after the visits, where a method has such

    def __init__(
        self,
        problem: Problem,
        *,
        steps: int,
        kernel: Mapping[str, Any],
        start: Start,
        batchnorm: BatchNorm,
        updates_per_batch: int,
        infer_steps: int,
        infer_noise_free: int,
    ) -> None:
        check_counts(
            steps=steps, updates_per_batch=updates_per_batch, infer_steps=infer_steps,
            infer_noise_free=infer_noise_free,
        )  # fmt: skip
        require(
            updates_per_batch + self.learn_epochs >= 1,
            "method.updates_per_batch", updates_per_batch,
            "1 or more, or method.learn_epochs (1 or more, in a method that has them): the decoder "
            "would never be trained; protocol.updates_per_batch and protocol.learn_epochs set both",
        )  # fmt: skip
        require(start in ("persistent", "prior"), "method.start", start, "persistent, prior")
        require(batchnorm in ("batch", "running"), "method.batchnorm", batchnorm, "batch, running")
        self.kernel = build_kernel(kernel)
        self.steps, self.start, self.batchnorm = steps, start, batchnorm
        self.updates_per_batch = updates_per_batch
        self.infer_steps, self.infer_noise_free = infer_steps, infer_noise_free
        super().__init__(problem)
        if problem.execution.graph and batchnorm == "batch" and synchronises(self.decoder):
            # A captured graph would hold exchanges between processes.
            problem.execution = replace(problem.execution, graph=False)
        self.engine = Engine(
            self.decoder, problem.execution, kernel=self.kernel, prior=self.prior,
            sigma=problem.sigma, pool=self.updates.pool,
        )  # fmt: skip
        # What the kernel keeps of every image between its visits, beside the code.
        begun = self.kernel.init(self.codes)
        self.kernel_state: State = {
            name: begun[name] for name in self.kernel.kept if start == "persistent"
        }

    @property
    def inference_precision(self) -> Precision:
        """The execution's: that of all chains, in training and afterwards."""
        return self.problem.execution.precision

    @property
    def price(self) -> Price:
        """Of a visit: the chain's and its start's, the decoder updates' and those of the prior."""
        problem = self.problem
        chain = self.start_price + problem.chain_step * self.kernel.passes(self.steps)
        return chain + problem.decoder_update * self.updates_per_batch + problem.prior_update

    @property
    def start_price(self) -> Price:
        """Of where a visit's chains begin: see ``first_state``."""
        return self.problem.prior_draw if self.start == "prior" else Price()

    def fit_iteration(self) -> dict[str, float]:
        """Visits alone: chains, and decoder updates on what they have inferred."""
        loss = self.infer_and_learn()
        self.iteration += 1
        return {"sweep_loss": loss}

    def infer_and_learn(self, share: float = 1.0) -> float:
        """Visits until this share of the iteration's allowance is spent; the mean loss."""
        with self.problem.clock.phase("inference"):
            # The updates within a sweep are part of the paper's inference step, and its cost.
            losses: list[Tensor] = []
            for visit in self.visits(self.price, "inference", share):
                losses += self.visit(visit)
                if visit.ends_sweep:
                    self.check_codes(self.codes)
            if not visit.ends_sweep:
                self.check_codes(self.codes)
            return self.mean_loss(losses)

    def visit(self, visit: Visit) -> list[Tensor]:
        """Infer the codes of a batch of images by a chain, then update the decoder on them.

        Processes that share the batch learn on their own codes, and hand them to each other.
        """
        problem = self.problem
        images = problem.images.scaled(visit.images)
        state = self.run_chain(
            images, self.begin(images, visit), visit.images,
            problem.stream_key("noise", visit.sweep),
            steps=self.steps, constants=self.kernel.constants(self.iteration),
            batchnorm=self.batchnorm,
        )  # fmt: skip
        whole = len(visit.batch)
        self.codes[visit.batch] = problem.world.gather(state["codes"], whole)
        for name, values in self.kernel_state.items():
            values[visit.batch] = problem.world.gather(state[name], whole)
        losses = [
            self.update_decoder(images, state["codes"]) for _ in range(self.updates_per_batch)
        ]
        self.update_prior(state["codes"])
        return losses

    def begin(self, images: Tensor, visit: Visit) -> State:
        """The state from which a visit's chains run."""
        if self.start == "persistent":
            kept = {name: values[visit.images] for name, values in self.kernel_state.items()}
            return self.kernel.init(self.codes[visit.images]) | kept
        return self.first_state(images, self.problem.stream_key("start", visit.sweep), visit.images)

    def first_state(self, images: Tensor, key: int, numbers: Tensor) -> State:  # noqa: ARG002
        """Where chains of images [n, c, h, w] begin that no code is kept of: draws of the prior.

        They are those of ``key`` for images with these numbers (see ``ImageDraws``).
        """
        return self.engine.start(key, numbers)

    def run_chain(
        self,
        images: Tensor,
        state: State,
        numbers: Tensor,
        noise_key: int,
        *,
        steps: int,
        constants: tuple[float, ...],
        batchnorm: BatchNorm,
    ) -> State:
        """Chains from a state; their noise is that of the images with these numbers."""
        return self.engine.short_run(
            images, state, steps=steps, constants=constants, noise=ImageNoise(noise_key, numbers),
            batchnorm=batchnorm,
        )  # fmt: skip

    def infer(
        self, images: Tensor, generator: torch.Generator, *, steps: int | None = None
    ) -> Tensor:
        """As the contract says, by ``steps`` chain steps (None: ``infer_steps``).

        The noisy part of a longer chain with the same generator begins with that of the shorter
        one.
        """
        constants = self.kernel.constants(max(0, self.iteration - 1))
        calm = self.kernel.without_noise(constants)
        start_key, noise_key = key_from(generator), key_from(generator)
        parts = []
        for part in torch.arange(len(images), device=images.device).split(EVALUATION_BATCH):
            state = self.run_chain(
                images[part], self.first_state(images[part], start_key, part), part, noise_key,
                steps=self.infer_steps if steps is None else steps, constants=constants,
                batchnorm="running",
            )  # fmt: skip
            if calm is not None and self.infer_noise_free:
                state = self.run_chain(
                    images[part], state, part, noise_key, steps=self.infer_noise_free,
                    constants=calm, batchnorm="running",
                )  # fmt: skip
            parts.append(state["codes"])
        return torch.cat(parts)

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        return state | ({"kernel_state": self.kernel_state} if self.kernel_state else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        for name, values in state.get("kernel_state", {}).items():
            self.kernel_state[name] = values.to(self.problem.device, copy=True)
