"""What the benchmarks share: workers of their own process, medians of ratios, tables."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import shlex
import statistics
import sys
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


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median of the ratios turn by turn."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


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
