"""Which execution is fastest on this machine: a short measured trial, kept for the next time.

Every ``auto`` in ``execution`` is decided one after the other, each by timing the chain with and
without; what was found is kept in a file per user (``cache_file``) and used until torch, the device
or its driver changes. Precision is none of them: it decides numbers, not speed alone.

Of several processes one measures and the others wait: they would time each other, and might decide
differently. The trial is where the runs are, which need not be where they are launched.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn

from ltvm.chain.engine import Engine
from ltvm.chain.execution import Execution, check_wanted
from ltvm.chain.kernels.langevin import Langevin
from ltvm.chain.onednn import onednn_available
from ltvm.models.doubling import DoublingConv
from ltvm.models.prior import StandardNormal
from ltvm.runtime.cache import cache_directory
from ltvm.runtime.devices import describe, software
from ltvm.runtime.files import read_json, remove_aside, write_json
from ltvm.runtime.randomness import ImageNoise

PATIENCE = 300.0  # seconds that another process, which may be suspended, is waited for
WORTH_IT = 1.1  # a faster way must be this much faster: less is noise


def choose_execution(
    wanted: Mapping[str, Any],
    build: Callable[[], nn.Module],
    shape: tuple[int, ...],
    latent_dim: int,
    device: torch.device,
    name: str,
) -> Execution:
    """The fastest execution that ``wanted`` (see ``check_wanted``) allows.

    ``build`` makes the decoder and ``shape`` is that of a batch of images [n, c, h, w];
    ``name`` says which decoder it is, to find the decision again.
    """
    decoder = build()
    chosen = replace(
        Execution(), **{key: value for key, value in wanted.items() if value != "auto"}
    )
    if device.type != "cuda":
        chosen = replace(chosen, graph=False)  # there are none, and the record says how it was done
    questions = open_questions(wanted, decoder, device)
    if not questions:
        return chosen
    where = f"{describe(device)}; {software(device)}"
    key = f"{name}; batch {shape[0]}; {where}; {dict(wanted)}"
    known = known_executions()
    if key in known:
        return known[key]

    def compare(first: Execution, second: Execution) -> float:
        return trial(build, first, second, shape, latent_dim, device)

    with alone():
        known = known_executions()  # another process may have measured it meanwhile
        if key in known:
            return known[key]
        chosen, account = decide(chosen, questions, compare)
        if account:
            print(f"{name}: {chosen} ({account}; kept in {cache_file()})", file=sys.stderr)
            remember(key, chosen)
    return chosen


def decide(
    chosen: Execution,
    questions: Sequence[Callable[[Execution], dict[str, Any]]],
    compare: Callable[[Execution, Execution], float],
) -> tuple[Execution, str]:
    """What is chosen after every question, and an account of the trials; empty: there were none."""
    started = time.perf_counter()
    rates: list[str] = []
    for question in questions:
        for field, value in question(chosen).items():
            other = replace(chosen, **{field: value})
            ratio = compare(chosen, other)
            rates.append(f"{field}={value} {ratio:.2f}x")
            chosen = other if ratio >= WORTH_IT else chosen
    spent = f"trial of {time.perf_counter() - started:.1f} s"
    return chosen, f"{spent}: {'; '.join(rates)}" if rates else ""


def open_questions(
    wanted: Mapping[str, Any], decoder: nn.Module, device: torch.device
) -> list[Callable[[Execution], dict[str, Any]]]:
    """What to try, in order: each gives the one field to change, or none, given what is decided."""
    automatic = {field for field, value in wanted.items() if value == "auto"}
    spatial = (nn.ConvTranspose2d, DoublingConv)  # not those on rows of pixels
    convolutions = any(type(layer) in spatial for layer in decoder.modules())
    questions: list[Callable[[Execution], dict[str, Any]]] = []
    if "layout" in automatic and convolutions:
        questions.append(lambda _: {"layout": "channels_last"})
    if "products" in automatic and device.type == "cpu" and onednn_available():
        # torch's own bfloat16 products are oneDNN's already.
        questions.append(lambda p: {"products": "onednn"} if p.precision == "float32" else {})
    if "graph" in automatic and device.type == "cuda":
        questions.append(lambda _: {"graph": True})
    return questions


def trial(
    build: Callable[[], nn.Module],
    first: Execution,
    second: Execution,
    shape: tuple[int, ...],
    latent_dim: int,
    device: torch.device,
) -> float:
    """How many times faster chains run the second way than the first (medians of 3)."""
    draw = torch.Generator().manual_seed(0)
    n = shape[0] if device.type == "cuda" else min(shape[0], 32)
    images = (torch.rand(n, *shape[1:], generator=draw) * 2 - 1).to(device)
    codes = torch.randn(n, latent_dim, generator=draw).to(device)
    kernel, prior = Langevin("langevin", 0.01, noise=False), StandardNormal(latent_dim)
    engines = [
        Engine(way.prepare(build().to(device)), way, kernel=kernel, prior=prior, sigma=0.3)
        for way in (first, second)
    ]
    times: list[list[float]] = [[], []]
    for repeat in range(5):  # the first two warm up: a graph is recorded in the second
        for engine, spent in zip(engines, times, strict=True):
            seconds = time_chain(engine, images, codes)
            if repeat > 1:
                spent.append(seconds)
    slow, fast = (sorted(spent)[1] for spent in times)
    return slow / fast


def time_chain(engine: Engine, images: Tensor, codes: Tensor) -> float:
    """Seconds of a chain of 2 steps."""
    noise = ImageNoise(0, torch.arange(len(codes), device=codes.device))

    def synchronise() -> None:
        if codes.is_cuda:
            torch.cuda.synchronize(codes.device)

    synchronise()
    started = time.perf_counter()
    state, constants = engine.kernel.init(codes), engine.kernel.constants(0)
    engine.short_run(images, state, steps=2, constants=constants, noise=noise)
    synchronise()
    return time.perf_counter() - started


def cache_file() -> Path:
    """Where decisions are kept (see ``ltvm.runtime.cache``)."""
    return cache_directory() / "executions.json"


def known_executions() -> dict[str, Execution]:
    """What was found before; nothing where there is no file, or a damaged one: measure again."""
    try:
        content = read_json(cache_file())
        for way in content.values():
            check_wanted(way)
        return {key: Execution(**way) for key, way in content.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


@contextmanager
def alone() -> Iterator[None]:
    """While this is entered no other process of this user measures or writes what it found."""
    lock = FileLock(cache_file().with_suffix(".lock"), timeout=PATIENCE)
    try:
        cache_directory().mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # no place for it, no locks there, too long
        print(f"ltvm: others may be measuring at the same time: {error}", file=sys.stderr)
    else:
        remove_aside(cache_file())
    try:
        yield
    finally:
        lock.release()


def remember(key: str, execution: Execution) -> None:
    try:
        known = known_executions() | {key: execution}
        write_json(cache_file(), {name: asdict(way) for name, way in known.items()})
    except OSError as error:
        print(f"ltvm: what was measured cannot be kept: {error}", file=sys.stderr)
