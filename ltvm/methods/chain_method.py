"""What the methods that infer codes by a short-run chain have in common."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ltvm.errors import require
from ltvm.langevin import Step, short_run
from ltvm.methods.base import EVALUATION_BATCH, Method, check_counts
from ltvm.problem import Problem
from ltvm.randomness import normal


class ChainMethod(Method):
    """Codes come from ``steps`` Langevin steps per visit (see ``ltvm.langevin``).

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

    def sweep(self, number: int, of: int, share: float = 1.0) -> float:
        """Visit every image once: chain, then decoder updates; return the mean last loss.

        ``number`` of ``of`` sweeps names the random streams and the progress, of which the
        sweeps are the given share of the iteration.
        """
        problem, clock = self.problem, self.problem.clock
        eta, tau = self.step.at(self.iteration)
        noise = problem.stream("noise", self.iteration, number)
        losses = []
        batches = self.batches(number)
        for visited, batch in enumerate(batches):
            problem.progress(
                share * (number + visited / len(batches)) / of, f"inference sweep {number + 1}/{of}"
            )
            images = problem.images.scaled(batch)
            with clock.phase("inference"):
                codes = (
                    normal((len(batch), problem.latent_dim), noise)
                    if self.start == "prior"
                    else self.codes[batch]
                )
                codes = short_run(
                    self.decoder,
                    images,
                    codes,
                    steps=self.steps,
                    eta=eta,
                    tau=tau,
                    sigma=problem.sigma,
                    generator=noise,
                    batchnorm=self.batchnorm,
                    dtype=problem.autocast,
                )
                self.check_codes(codes)
                self.codes[batch] = codes
                # The updates within a sweep are part of the paper's inference step, and its cost.
                losses += [
                    self.update_decoder(images, codes) for _ in range(self.updates_per_batch)
                ]
        self.passes += self.steps + self.updates_per_batch
        return sum(losses) / len(losses) if losses else float("nan")

    def infer(self, images: Tensor, generator: torch.Generator) -> Tensor:
        starts = normal((len(images), self.problem.latent_dim), generator)
        eta, tau = self.step.at(max(0, self.iteration - 1))
        parts = [
            short_run(
                self.decoder,
                x,
                z,
                steps=self.infer_steps,
                eta=eta,
                tau=tau,
                sigma=self.problem.sigma,
                generator=generator,
                batchnorm="running",
                dtype=self.problem.autocast,
            )
            for x, z in zip(
                images.split(EVALUATION_BATCH), starts.split(EVALUATION_BATCH), strict=True
            )
        ]
        return torch.cat(parts)
