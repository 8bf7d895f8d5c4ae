"""What an iteration does, counted while it runs: to hold a method to the cost that it declares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from ltvm.chain.engine import Engine
from ltvm.methods.base import Method
from ltvm.methods.budget import Price, Visit
from ltvm.models.doubling import DoublingConv
from ltvm.models.flops import Counter
from ltvm.runtime.clock import Clock
from ltvm.runtime.phases import Phase

# Of the FLOPs that are declared. The suite's methods declare theirs exactly; this leaves room for
# what a step does beside its networks, such as a decoder's gradient of codes that are learned.
TOLERANCE = 0.05
APART: tuple[Phase, ...] = ("transport", "evaluation")  # need no price


@dataclass(frozen=True)
class Counted:
    """Of one iteration, FLOPs as ``ltvm.models.flops`` counts them.

    ``flops`` are those of training, ``flops_apart`` those of the phases that need no price.
    ``updates`` are Adam steps on the decoder; what is declared of them is the price of the visits
    (``priced_updates``), and what the method has counted (``declared_updates``). ``left_over`` is
    how far all iterations together are from their allowance, and ``dearest`` what the dearest
    batch took, both in the currency in which terms are equal.
    """

    flops: int
    flops_apart: int
    declared_flops: int
    updates: int
    priced_updates: int
    declared_updates: int
    left_over: float
    dearest: float

    @property
    def allowance_holds(self) -> bool:
        """Whether what was spent is what every method may spend, within one batch."""
        return self.left_over <= self.dearest

    @property
    def flops_hold(self) -> bool:
        """Whether what is declared is what is done; what needs no price may have one."""
        most = self.flops + self.flops_apart
        enough = self.flops <= self.declared_flops * (1 + TOLERANCE)
        return enough and self.declared_flops <= most * (1 + TOLERANCE)

    @property
    def updates_hold(self) -> bool:
        """Whether no update is undeclared; a network beside the decoder may have updates, too."""
        return self.updates <= self.declared_updates == self.priced_updates


def count_iteration(method: Method) -> Counted:
    """Train for one iteration, on the CPU, and count.

    It has to be one of a method that has trained before: what an iteration computes in order to
    name its prices would be counted with the rest.
    """
    counter, priced, dearest = Counter(), [0], [0.0]
    clock = CountingClock(method.problem.clock, counter)
    flops, updates, visits = method.flops, method.decoder_updates, method.visits

    def noting(price: Price, doing: str, share: float = 1.0) -> Iterator[Visit]:
        for visit in visits(price, doing, share):
            before = method.spent()
            yield visit
            priced[0] += price.updates
            dearest[0] = max(dearest[0], price_of(price, visit, method, before))

    method.visits = noting  # type: ignore[method-assign]
    method.problem.clock = clock
    as_counted(method)
    with counting_steps(method.decoder) as steps, counter:
        method.fit_iteration()
    del method.visits
    return Counted(
        flops=int(counter.total) - clock.apart,
        flops_apart=clock.apart,
        declared_flops=method.flops - flops,
        updates=len(steps),
        priced_updates=priced[0],
        declared_updates=method.decoder_updates - updates,
        left_over=abs(method.spent() - method.iteration * method.problem.allowance),
        dearest=dearest[0],
    )


def price_of(price: Price, visit: Visit, method: Method, before: float) -> float:
    """What a visit took in the currency of equal terms; ``before`` it so much was spent."""
    currency = method.problem.budget.equal
    if currency == "seconds":
        return method.spent() - before
    return float(price.of(currency, len(visit.batch)))


class CountingClock(Clock):
    """Goes on from a clock, and adds up the FLOPs of the phases that need no price."""

    def __init__(self, clock: Clock, counter: Counter) -> None:
        super().__init__(clock.device)
        self.seconds, self.counter, self.apart = clock.seconds, counter, 0

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        before = int(self.counter.total)
        with super().phase(name):
            yield
        if name in APART:
            self.apart += int(self.counter.total) - before


def as_counted(method: Method) -> None:
    """Have products and convolutions done as they are counted, not as they are fastest."""
    plain = replace(method.problem.execution, products="torch")
    method.problem.execution = plain
    parts = list(vars(method).values())
    for engine in [part for part in parts if isinstance(part, Engine)]:
        engine.execution = plain
        parts.append(engine.current_decoder())  # in another precision a copy
    for network in [part for part in parts if isinstance(part, nn.Module)]:
        for layer in network.modules():
            if isinstance(layer, DoublingConv):
                layer.by_products = False


@contextmanager
def counting_steps(network: nn.Module) -> Iterator[list[torch.optim.Optimizer]]:
    """The optimisers of the steps that are made on a network's parameters, as they are made."""
    own, made = {id(parameter) for parameter in network.parameters()}, []

    def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
            made.append(optimizer)

    hook = register_optimizer_step_post_hook(note)
    try:
        yield made
    finally:
        hook.remove()
