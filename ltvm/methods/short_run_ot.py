"""Short-run inference with optimal-transport correction (An, Xie and Li, CVPR 2021).

One outer iteration, every training image i owning a code z_i:

1. inference: L sweeps of K Langevin steps from the image's code, then decoder updates;
2. correction: z_i <- (1 - alpha) z_i + alpha T(z_i), where T couples the codes to n draws
   from the prior that are made once and kept;
3. learning: epochs of Adam on mean_i |x_i - g(z_i)|^2 with the corrected codes held fixed.

alpha = 0 is "no correction" and changes nothing else: the learning passes are still made.
alpha = 1 replaces the codes by prior draws; the paper blends (0.5 on MNIST, 0.3 elsewhere).

What isolates one idea of it (no such variant is in the paper): ``targets`` drawn afresh for every
correction, ``start`` at the prior in every visit, as in SRI, and 3 before 2 (``correction``), so
that a correction says where the next chains start and the decoder never sees its codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from torch import Tensor

from ltvm.errors import require, require_one_of
from ltvm.methods.base import check_counts
from ltvm.methods.chain_method import ChainMethod
from ltvm.methods.problem import Problem
from ltvm.runtime.randomness import number_of_batches
from ltvm.transport import build_solver
from ltvm.transport.coupling import checked


class ShortRunOT(ChainMethod):
    """The method of the paper; ``alpha`` in [0, 1], ``solver`` as ``ltvm.transport`` names it."""

    corrects = True
    only_for_training = ChainMethod.only_for_training | {"solver_state"}

    def __init__(
        self,
        problem: Problem,
        *,
        steps: int,
        kernel: Mapping[str, Any],
        alpha: float,
        sweeps: int,
        learn_epochs: int,
        updates_per_batch: int,
        infer_steps: int,
        infer_noise_free: int,
        solver: str = "auto",
        solver_options: dict[str, Any] | None = None,
        start: Literal["persistent", "prior"] = "persistent",
        targets: Literal["kept", "fresh"] = "kept",
        correction: Literal["before_learning", "after_learning"] = "before_learning",
        batchnorm: Literal["batch", "running"] = "batch",
    ) -> None:
        require(0 <= alpha <= 1, "method.alpha", alpha, "0 to 1")
        check_counts(sweeps=sweeps, learn_epochs=learn_epochs)
        require_one_of("method.targets", targets, ("kept", "fresh"))
        require_one_of("method.correction", correction, ("before_learning", "after_learning"))
        self.alpha, self.sweeps, self.learn_epochs = alpha, sweeps, learn_epochs
        self.redraws, self.corrects_last = targets == "fresh", correction == "after_learning"
        self.solver = build_solver(solver, **(solver_options or {}))
        super().__init__(
            problem,
            steps=steps,
            kernel=kernel,
            start=start,
            batchnorm=batchnorm,
            updates_per_batch=updates_per_batch,
            infer_steps=infer_steps,
            infer_noise_free=infer_noise_free,
        )
        self.targets = problem.sample_prior(len(self.codes), problem.stream("prior"))  # p_1..p_n
        self.solver_state: dict[str, Any] = {}
        self.inferred = self.codes  # the codes as the last sweep left them, before the blend
        largest = getattr(self.solver, "largest", None)
        require(
            largest is None or len(self.codes) <= largest,
            "method.solver",
            f"{solver} with {len(self.codes)} images",
            f"at most {largest} (it holds an n x n matrix); use auto",
        )

    def fit_iteration(self) -> dict[str, float]:
        scalars = {"sweep_loss": self.infer_and_learn(self.inference_share)}
        self.inferred = self.codes
        if not self.corrects_last:
            scalars |= self.transport()
        if self.learn_epochs:
            with self.problem.clock.phase("learning"):
                scalars["learning_loss"] = self.learn()
        if self.corrects_last:
            scalars |= self.transport()
        self.iteration += 1
        return scalars

    def transport(self) -> dict[str, float]:
        """The correction, as a phase of the iteration."""
        done = 1.0 if self.corrects_last else self.inference_share
        self.problem.progress(done, "transport")
        with self.problem.clock.phase("transport"):
            return self.correct()

    @cached_property
    def inference_share(self) -> float:
        """Of an iteration's allowance: L sweeps beside so many learning epochs, by their price.

        Where these cost more or less than the allowance (another K than the protocol's, say),
        both phases are shorter or longer in proportion, and every iteration has its correction.
        """
        equal, n = self.problem.budget.equal, len(self.problem.images)
        currency = "flops" if equal == "seconds" else equal
        batches = number_of_batches(n, self.problem.budget.batch)
        sweeps = (self.price * self.sweeps).of(currency, n, batches)
        learning = (self.problem.decoder_update * self.learn_epochs).of(currency, n, batches)
        return sweeps / max(1, sweeps + learning)

    def correct(self) -> dict[str, float]:
        """Blend the codes with their transported images; nothing to solve at alpha = 0."""
        if self.alpha == 0:
            return {}
        if self.prior_optimizer is not None:
            self.flops += len(self.codes) * self.problem.prior_draw.flops  # for new targets
        scalars = self.problem.world.first(self.blend)  # one process solves
        self.codes = self.problem.world.from_first(self.codes)
        return scalars

    def blend(self) -> dict[str, float]:
        """The same, of all codes in this process."""
        moved = self.prior_optimizer is not None  # a prior that learns, since the last time
        if moved or (self.redraws and self.iteration > 0):
            draws = self.problem.stream("prior", self.iteration)
            self.targets, self.solver_state = self.problem.sample_prior(len(self.codes), draws), {}
        generator = self.problem.stream("transport", self.iteration)
        found = self.solver(self.codes, self.targets, self.solver_state, generator)
        coupling = checked(found, self.solver)
        self.codes = (1 - self.alpha) * self.codes + self.alpha * coupling.mapped  # a new tensor
        self.solver_state = coupling.state
        scalars = {"correction_cost": coupling.cost}
        if coupling.gap is not None:
            scalars["correction_gap"] = coupling.gap
        return scalars

    def learn(self) -> float:
        """Decoder updates on the corrected codes; returns their mean loss."""
        images, codes = self.problem.images, self.codes
        return self.learn_by(
            lambda visit: self.update_decoder(images.scaled(visit.images), codes[visit.images]),
            self.problem.decoder_update,
        )

    def posterior_draws(self) -> Tensor:
        """The inferred codes, not the corrected ones: those are part prior by construction."""
        return self.inferred

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "solver_state": self.solver_state,
            "inferred": self.inferred,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.solver_state = state.get("solver_state", {})
        self.inferred = state["inferred"].to(self.problem.device, copy=True)
