"""What the benchmarks share: workers of their own process, timing, rows of contenders, tables."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ltvm.runs.environment import commit, versions
from ltvm.runtime.devices import describe, resolve_device


class Worker:
    """A process that holds one contender and times it whenever it is asked to.

    Contenders take turns, so that a machine whose speed drifts slows all of them; each has a
    process of its own, so that memory settings and peaks are its own too. ``make`` returns the
    function to call, which returns what is to be sent back.
    """

    def __init__(self, make: Callable[..., Callable[[], Any]], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, inner = context.Pipe()
        self.process = context.Process(target=_serve, args=(inner, make, arguments), daemon=True)
        self.process.start()

    def __call__(self) -> Any:
        self.pipe.send("go")
        kind, answer = self.pipe.recv()
        if kind == "error":
            raise RuntimeError(answer)
        return answer

    def stop(self) -> None:
        self.pipe.send("stop")
        self.process.join()


def _serve(pipe: Any, make: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...]) -> None:
    call = None
    while pipe.recv() == "go":
        try:
            call = call or make(*arguments)
            pipe.send(("answer", call()))
        except Exception as error:
            pipe.send(("error", f"{type(error).__name__}: {error}"))


def take_turns(workers: dict[str, Worker], repeats: int) -> dict[str, list[Any]]:
    """Call every worker ``repeats`` times in turn, after a first time that warms up."""
    answers: dict[str, list[Any]] = {name: [] for name in workers}
    for repeat in range(repeats + 1):
        for name, worker in workers.items():
            answer = worker()
            if repeat:
                answers[name].append(answer)
    for worker in workers.values():
        worker.stop()
    return answers


def seconds(run: Callable[[], Any], device: torch.device) -> float:
    """Of one call, until the device has done it."""

    def synchronise() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    synchronise()
    started = time.perf_counter()
    run()
    synchronise()
    return time.perf_counter() - started


def product_rate(precision: str, device: torch.device) -> float:
    """FLOP/s of a large matrix product."""
    n = 8192 if device.type == "cuda" else 2048
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    torch.mm(a, b)
    return 2 * n**3 / statistics.median(seconds(lambda: torch.mm(a, b), device) for _ in range(3))


def ratios(slow: Sequence[float], fast: Sequence[float]) -> dict[str, str]:
    """The median of the ratios turn by turn, and their range."""
    found = [a / b for a, b in zip(slow, fast, strict=True)]
    return {
        "ratio": f"{statistics.median(found):.2f}",
        "range of ratios": f"{min(found):.2f} to {max(found):.2f}",
    }


def contender_rows(
    what: dict[str, str], answers: dict[str, list[Any]], rate: str, amount: float, flops: float
) -> list[dict[str, Any]]:
    """A row per contender, compared with the first; ``what`` begins each of them.

    In its ``seconds`` a contender does ``amount`` of what ``rate`` counts, with ``flops``
    operations; ``words`` say how, ``products`` is the rate of matrix products at that time.
    """
    first = [answer["seconds"] for answer in next(iter(answers.values()))]
    rows = []
    for kind, given in answers.items():
        spent = [answer["seconds"] for answer in given]
        typical = statistics.median(spent)
        share = flops / typical / statistics.median(answer["products"] for answer in given)
        row = {
            **what,
            "contender": kind,
            "computed in": given[-1]["words"],
            rate: f"{amount / typical:,.{2 if amount / typical < 100 else 0}f}",
            **ratios(first, spent),
            "share of matrix-product rate": f"{share:.0%}",
        }
        if "peak" in given[0]:
            row["peak memory, MB"] = f"{max(answer['peak'] for answer in given):,.0f}"
        rows.append(row)
    return rows


def publish(
    name: str,
    title: str,
    tables: dict[str, list[dict[str, Any]]],
    out: Path | None,
    device: str,
    **raw: Any,
) -> None:
    """Print Markdown tables; with ``out``, write ``<name>.md`` and ``<name>.json`` there.

    ``raw`` goes to the JSON beside the tables: the numbers before they were rounded.
    """
    command = shlex.join(["python", *sys.argv])
    machine = describe(resolve_device(device))
    lines = [f"# {title}", "", f"{machine}; torch {torch.__version__}. Command: `{command}`."]
    for caption, rows in tables.items():
        table = pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True)
        lines += ["", caption, "", table]
    text = "\n".join(lines) + "\n"
    print(text, flush=True)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text)
    content = {
        "command": command,
        "machine": machine,
        "versions": versions(),
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "tables": tables,
        **raw,
    }
    (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
