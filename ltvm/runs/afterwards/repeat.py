"""A record held against a repetition of it: the same configuration and seed, trained again.

On the same kind of machine, with the same versions, the values are the same bits. Elsewhere
rounding differs, which a chain of thousands of steps makes into another draw of the same law; so a
value that differs is held against the other seeds of its cell: whether it lies in the interval in
which a further seed would be expected (Student's prediction interval of a normal law, at 99 %).
With two or three seeds that interval is wide, and what lies within is no proof.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats

from ltvm.errors import InputError, UnreadableError, require
from ltvm.runs.afterwards.kept import kept
from ltvm.runs.files.store import FINAL, Run, Store
from ltvm.runs.identity import evaluation_identity
from ltvm.runs.places import at_home

Verdict = Literal["same", "as another seed", "differs", "cannot be told"]
SAME = 1e-6  # relative: the digits that a value of float32 has
LEVEL = 0.99


@dataclass(frozen=True)
class Compared:
    """A value of a record and of its repetition; ``low`` and ``high``: the cell's interval.

    ``absent`` says why the repetition has none: ``repeated`` is then NaN.
    """

    metric: str
    recorded: float
    repeated: float
    low: float
    high: float
    absent: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.absent:
            return "differs"
        if math.isclose(self.recorded, self.repeated, rel_tol=SAME, abs_tol=1e-12):
            return "same"
        if math.isnan(self.low):
            return "cannot be told"
        return "as another seed" if self.low <= self.repeated <= self.high else "differs"


def prediction_interval(values: list[float], level: float = LEVEL) -> tuple[float, float]:
    """Where a further draw of the normal law that gave these lies with probability ``level``.

    mean ± t(n - 1) s sqrt(1 + 1 / n), NaN for fewer than two (Hahn and Meeker, Statistical
    Intervals, 1991, section 4.7).
    """
    if len(values) < 2:
        return math.nan, math.nan
    n, mean = len(values), float(np.mean(values))
    half = float(
        stats.t.ppf((1 + level) / 2, n - 1) * np.std(values, ddof=1) * math.sqrt(1 + 1 / n)
    )
    return mean - half, mean + half


def drawn(results: Path, key: int) -> Run:
    """One of the runs below ``results``, each equally likely: done, and with its images here.

    Raises :class:`ltvm.errors.InputError` where there is none.
    """
    runs = [run for run in Store(results).runs() if is_done(run)]
    if not runs:
        raise InputError(f"--results={results}: no run there is done; allowed: one with records")
    here = [run for run in runs if has_images(run)]
    if not here:
        raise InputError(f"--results={results}: {len(runs)} runs are done, the images of none here")
    return random.Random(key).choice(here)


def has_images(run: Run) -> bool:
    """Whether a run's images come with this package, or lie where it looks for them.

    Of loaders from elsewhere that is not known.
    """
    config = at_home(run.config())
    load = config["data"].get("load") or {}
    if load.get("path") is not None:
        return Path(str(load["path"])).expanduser().is_dir()
    if load.get("root") is None or not str(load.get("_target_")).startswith("ltvm."):
        return True
    name = str(config["data"]["name"]).split("_")[0]  # mnist of mnist_without
    return (Path(str(load["root"])).expanduser() / name).is_dir()


def is_done(run: Run) -> bool:
    try:
        return run.status() == "done" and "external" not in (run.record() or {})
    except UnreadableError:
        return False


def repeat(directory: Path, results: Path, device: str = "auto") -> tuple[Run, Run]:
    """Train the run of a record again, below ``results``, with the evaluation it was trained with.

    Returns both. What is done there already is not done again, which is said. Raises
    :class:`ltvm.errors.InputError` for what is no run that is done, or is not to be trusted, where
    ``results`` are the run's own, and where another process is at the repetition.
    """
    from ltvm.runs.execution.execute import check_input, execute  # torch takes seconds to import

    run, record, config = kept(directory)
    config |= {"device": device, "paths": {**config["paths"], "results": str(results)}}
    again = Store(results).run(config)
    is_own = again.directory.resolve() == run.directory.resolve()
    require(not is_own, "--into", results, "another place than the run's own results")
    check_input(config)
    if again.status(evaluation_identity(config)) in FINAL:
        print(f"ltvm: {again.directory}: the repetition was done before: nothing is trained",
              file=sys.stderr)  # fmt: skip
    done = execute(config, record["command"])
    if done["status"] == "running":
        raise InputError(f"{again.directory}: {done['reason']}; allowed: one process at a time")
    return run, again


def compared(run: Run, again: Run) -> list[Compared]:
    """The values of a run's record, each beside the repetition's and the interval of its cell.

    Those of the evaluations that the repetition was asked for; of all where it is not trained.
    Raises :class:`ltvm.errors.InputError` if there is none.
    """
    untrained = why_absent("training", again.record())
    repeated, found = again.evaluations(), []
    for identity, evaluation in run.evaluations().items():
        other = repeated.get(identity)
        if other is None and not untrained:
            continue
        values = {} if other is None or untrained else other["values"]
        why = untrained or why_absent("evaluation", other) or "its evaluation has no such value"
        cell = list(of_cell(run, identity))
        for metric, content in evaluation["values"].items():
            interval = prediction_interval([v[metric]["value"] for v in cell if metric in v])
            there = metric in values
            value = values[metric]["value"] if there else math.nan
            absent = "" if there else why
            found.append(Compared(metric, content["value"], value, *interval, absent))
    if not found:
        raise InputError(f"{run.directory}: no evaluation with values is one of this version's")
    return found


def why_absent(what: str, content: dict[str, Any] | None) -> str:
    """``its training diverged: the loss is nan``; "" for one that is done."""
    status = "is not there" if content is None else content["status"]
    reason = (content or {}).get("reason")
    return "" if status == "done" else f"its {what} {status}{f': {reason}' if reason else ''}"


def of_cell(run: Run, evaluation: str) -> Iterator[dict[str, Any]]:
    """The values of this evaluation for each seed of a run's cell that has them."""
    for directory in sorted(run.directory.parent.glob("seed=*")):
        try:
            content = Run(directory).evaluation(evaluation)
        except UnreadableError:
            continue
        if content is not None and content["status"] == "done":
            yield content["values"]
