"""The same number of trials for each of several methods, and what they found as configurations.

overrides -> a search for every method -> trials in turn -> method/tuned/*.yaml, ablation/*.yaml
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltvm.config import Config, resolve
from ltvm.data.cache import load_data
from ltvm.errors import require, require_one_of
from ltvm.overrides import parse
from ltvm.runs.build import build_metrics
from ltvm.runs.identity import evaluation_identity, identity
from ltvm.runtime.devices import resolve_device
from ltvm.tuning.found import write_ablation, write_method, write_trials
from ltvm.tuning.search import Direction, Search, Train, Trial
from ltvm.tuning.space import space_of

SHARE = 5  # one in so many training images is for validation,
LARGEST = 10_000  # but no more than this


@dataclass(frozen=True)
class Tuned:
    """What a search has come to: its trials that are over, and the best of them.

    ``choice`` is what ``method=...`` takes; None if no trial has a value.
    """

    search: Search
    trials: list[Trial]
    best: Trial | None
    choice: str | None


@dataclass(frozen=True)
class Tuning:
    """What came of several methods; ``ablation`` compares them (None if there is nothing to)."""

    methods: list[Tuned]
    ablation: str | None


def searches(overrides: Sequence[str], metric: str, validation: int | None = None) -> list[Search]:
    """A search for every method of ``method=[A,B]``, with all other overrides in common.

    ``validation`` training images are kept from training (None: one in five, at most 10,000).
    Raises :class:`ltvm.errors.InputError` for bad input.
    """
    parsed = parse(overrides)
    shared = [o for o, (key, _) in zip(overrides, parsed, strict=True) if key != "method"]
    given = [value for key, value in parsed if key == "method"]
    wanted = given[-1] if given else resolve(shared)["method"]["name"]
    methods = list(wanted) if isinstance(wanted, list) else [wanted]
    require(bool(methods) and len(set(methods)) == len(methods), "method", methods, "no repeats")
    found = []
    for method in methods:
        own = [*shared, f"method={method}"]
        config = resolve(own)
        again = config["method"].get("tuned")
        require(again is None, "method", method, "one that is not tuned yet")
        if config["validation_images"] is None:
            usual = min(len(load_data(config).train) // SHARE, LARGEST)
            own.append(f"validation_images={usual if validation is None else validation}")
        found.append(search_of(own, metric, {key for key, _ in parsed}))
    return found


def search_of(overrides: Sequence[str], metric: str, fixed: set[str]) -> Search:
    """The search of one method; keys that are ``fixed`` are not searched."""
    config = resolve(overrides)
    load_data(config)  # refuses numbers of images before a study is begun
    space = space_of(config, fixed)
    content = {
        "identity": identity(config),
        "evaluation": evaluation_identity(config),
        "seed": config["seed"],
        "metric": metric,
        "space": {key: repr(distribution) for key, distribution in space.items()},
    }
    names = (config[part]["name"] for part in ("method", "data", "protocol"))
    return Search(
        name="-".join([*names, digest(content)]),
        overrides=tuple(overrides),
        config=config,
        space=space,
        metric=metric,
        direction=direction_of(metric, config),
        folder=folder_of(config) / "studies",
    )


def folder_of(config: Config) -> Path:
    """Where studies are, and what they found: a directory for ``--config-dir``."""
    return Path(config["paths"]["results"]) / "tuning"


def digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:6]


def direction_of(metric: str, config: Config) -> Direction:
    """Which way a metric of the evaluation is better; raises :class:`InputError` if neither."""
    columns = {
        name: column
        for one in build_metrics(config, resolve_device(config["device"])).values()
        for name, column in one.columns().items()
        if column.direction is not None
    }
    require_one_of("--metric", metric, columns)
    return "minimize" if columns[metric].direction == "lower" else "maximize"


def tune(
    found: Sequence[Search],
    trials: int,
    train: Train,
    told: Callable[[Search, Trial], object] = lambda search, trial: None,  # noqa: ARG005
) -> Tuning:
    """Do what is not done of ``trials`` trials for each search; write and return what they found.

    They go in turn, so that methods have had equally many whenever it is stopped. ``told`` is
    called after each. A trial that fails or diverges is one all the same.
    """
    require(trials >= 1, "--trials", trials, "1 or more")
    with ExitStack() as stack:
        for search in found:
            stack.enter_context(search.held())
        for number in range(trials):
            for search in found:
                trial = search.do(number, train)
                if trial is not None:
                    told(search, trial)
        methods = [outcome(search, trials) for search in found]
    return Tuning(methods, ablation_of(methods))


def outcome(search: Search, trials: int) -> Tuned:
    """What a search has come to, written as a configuration and a table of its trials."""
    over = search.trials(trials)
    best = search.best(over)
    write_trials(search, over)
    choice = None if best is None else write_method(search, best, len(over))
    return Tuned(search, over, best, choice)


def ablation_of(tuned: Sequence[Tuned]) -> str | None:
    """Write the ablation that compares what was found; its name, or None if there is nothing."""
    found = [one for one in tuned if one.choice is not None]
    if not found:
        return None
    search, choices = found[0].search, [str(one.choice) for one in found]
    name = f"tuned-{search.config['protocol']['name']}-{digest(choices)}"
    methods = [one.search.method for one in found]
    write_ablation(search, name, choices, methods, len(found[0].trials))
    return name
