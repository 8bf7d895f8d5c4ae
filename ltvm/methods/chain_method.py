"""What the methods that infer codes by a short-run chain have in common."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ltvm.chain.engine import Engine
from ltvm.chain.langevin import Step
from ltvm.errors import require
from ltvm.methods.base import EVALUATION_BATCH, Method, check_counts
from ltvm.methods.problem import Problem
from ltvm.runtime.randomness import image_normals, key_from


class ChainMethod(Method):
    """Codes come from ``steps`` Langevin steps per visit (see ``ltvm.chain.langevin``).

    ``start`` is where a visit's chain begins: ``persistent`` (the image's code) or ``prior``
    (a fresh draw). ``batchnorm`` is where batch norm takes its statistics in training chains.
    Unseen images get ``infer_steps`` steps from the prior, always with running statistics.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        steps: int,
        step: dict[str, Any],
        start: Literal["persistent", "prior"],
        batchnorm: Literal["batch", "running"],
        updates_per_batch: int,
        infer_steps: int,
    ) -> None:
        check_counts(steps=steps, updates_per_batch=updates_per_batch, infer_steps=infer_steps)
        require(start in ("persistent", "prior"), "method.start", start, "persistent, prior")
        require(batchnorm in ("batch", "running"), "method.batchnorm", batchnorm, "batch, running")
        self.step = Step(**step)
        self.steps, self.start, self.batchnorm = steps, start, batchnorm
        self.updates_per_batch, self.infer_steps = updates_per_batch, infer_steps
        super().__init__(problem)
        self.engine = Engine(self.decoder, problem.execution)

    def sweep(self, number: int, of: int, share: float = 1.0) -> float:
        """Visit every image once: chain, then decoder updates; return the mean last loss.

        ``number`` of ``of`` sweeps names the random streams and the progress, of which the
        sweeps are the given share of the iteration.
        """
        with self.problem.clock.phase("inference"):
            # The updates within a sweep are part of the paper's inference step, and its cost.
            losses: list[Tensor] = []
            batches = self.batches(number)
            for visited, batch in enumerate(batches):
                self.problem.progress(
                    share * (number + visited / len(batches)) / of,
                    f"inference sweep {number + 1}/{of}",
                )
                losses += self.visit(batch, number)
            self.passes += self.steps + self.updates_per_batch
            self.check_codes(self.codes)
            return self.mean_loss(losses)

    def visit(self, batch: Tensor, sweep: int) -> list[Tensor]:
        """Infer the codes of a batch of images by a chain, then update the decoder on them."""
        problem, d = self.problem, self.problem.latent_dim
        images = problem.images.scaled(batch)
        eta, tau = self.step.at(self.iteration)
        if self.start == "prior":
            key = problem.stream_key("start", self.iteration, sweep)
            codes = image_normals(key, batch, 1, d)[0]
        else:
            codes = self.codes[batch]
        noise_key = problem.stream_key("noise", self.iteration, sweep)
        codes = self.engine.short_run(
            images,
            codes,
            steps=self.steps,
            eta=eta,
            tau=tau,
            sigma=problem.sigma,
            noise=image_normals(noise_key, batch, self.steps, d) if tau > 0 else None,
            batchnorm=self.batchnorm,
        )
        self.codes[batch] = codes
        return [self.update_decoder(images, codes) for _ in range(self.updates_per_batch)]

    def infer(
        self, images: Tensor, generator: torch.Generator, *, steps: int | None = None
    ) -> Tensor:
        """As the contract says, by ``steps`` chain steps (None: ``infer_steps``).

        A longer chain with the same generator begins with the shorter one.
        """
        steps = self.infer_steps if steps is None else steps
        d, n = self.problem.latent_dim, len(images)
        eta, tau = self.step.at(max(0, self.iteration - 1))
        start_key, noise_key = key_from(generator), key_from(generator)
        parts = [
            self.engine.short_run(
                images[part],
                image_normals(start_key, part, 1, d)[0],
                steps=steps,
                eta=eta,
                tau=tau,
                sigma=self.problem.sigma,
                noise=image_normals(noise_key, part, steps, d) if tau > 0 else None,
                batchnorm="running",
            )
            for part in torch.arange(n, device=images.device).split(EVALUATION_BATCH)
        ]
        return torch.cat(parts)
