"""The same number of trials for each of several methods, and what they found, as files.

overrides -> a search for every method, or cell of an ablation -> trials in turn -> what was found
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltvm.config import Config, resolve
from ltvm.data.cache import load_data
from ltvm.errors import InputError, require, require_one_of
from ltvm.overrides import parse
from ltvm.runs.ablations.ablation import cells_of, defined, ordered
from ltvm.runs.ablations.found import Wanted, check_space, searched, seeds_said, untuned
from ltvm.runs.ablations.grid import Ablation
from ltvm.runs.execution.build import build_metrics
from ltvm.runs.execution.execute import check_input
from ltvm.runs.files.store import check_writable
from ltvm.runs.identity import evaluation_identity, identity
from ltvm.runtime.devices import resolve_device
from ltvm.tuning.found import chosen, write_found, write_method, write_trials
from ltvm.tuning.search import Direction, Search, Train, Trial
from ltvm.tuning.space import at_most, ends, space_of

SHARE = 5  # one in so many training images is for validation,
LARGEST = 10_000  # but no more than this


@dataclass(frozen=True)
class Tuned:
    """What a search has come to: its trials that are over, the best of them, what they cost.

    ``choice`` is what ``method=...`` takes; None if no trial has a value.
    """

    search: Search
    trials: list[Trial]
    best: Trial | None
    choice: str | None
    cost: dict[str, float]  # FLOP and seconds of the trials' trainings


@dataclass(frozen=True)
class Asked:
    """What is to be tuned: searches, with so many trials for each.

    ``comparison`` are the overrides of the ablation that compares what they find.
    """

    searches: list[Search]
    trials: int
    comparison: list[str]


@dataclass(frozen=True)
class Tuning:
    """What came of several methods, and the overrides of the ablation that compares them."""

    methods: list[Tuned]
    comparison: list[str]


TRIALS = 20  # by default
OF_TRIALS = ("validation_images", "device", "tensorboard")  # no run of what was found has these
NOT_SHARED = (*OF_TRIALS, "method", "seed")  # nor do ablations of what was found


def asked(
    overrides: Sequence[str],
    metric: str | None = None,
    trials: int | None = None,
    validation: int | None = None,
    seeds: Sequence[int] | None = None,
) -> Asked:
    """The searches of ``method=[A,B]``, or of all cells of an ``ablation=NAME`` with ``tuned``.

    Such an ablation says how many trials, and by which metric. ``validation`` training images are
    kept from training (None: one in five, at most 10,000). With ``seeds`` the value of a trial is
    the mean of a run with each. Raises :class:`ltvm.errors.InputError` for bad input.
    """
    known = seeds_said(seeds or [])
    if known is None:
        raise InputError(
            f"--seeds={seeds}: allowed: two different whole numbers from 0 on, or more"
        )
    if not any(key.partition(".")[0] == "ablation" for key, _ in parse(overrides)):
        trials = TRIALS if trials is None else trials
        found = searches(overrides, metric, validation, known)
        return Asked(found, trials, comparison(found, overrides, trials))
    ablation, shared = defined(overrides)
    if ablation.tuned is None:
        raise InputError(
            f"ablation={ablation.name}: it compares no tuned methods; allowed: ablation=tuned, or "
            "'ablation.tuned={trials: 8, metric: fd_digits}'"
        )
    wanted = Wanted.of(ablation.tuned)
    for flag, given, own in (
        ("trials", trials, wanted.trials),
        ("metric", metric, wanted.metric),
        ("seeds", known or None, wanted.seeds or "none"),
    ):
        allowed = f"{own}, which ablation.tuned.{flag}=... changes"
        require(given in (None, own), f"--{flag}", given, allowed)
    kept = "validation_images"  # of the user's alone: of the ablation's, its runs would have them
    of_all = {key for cell in cells_of(ablation, shared) for key, _ in parse(cell[1])}
    if kept in of_all - {key for key, _ in parse(overrides)}:
        raise InputError(f"{kept} in ablation={ablation.name}: allowed: --validation")
    found = of_cells(ablation, shared, wanted, validation)
    return Asked(found, wanted.trials, without(overrides, OF_TRIALS))


def of_cells(
    ablation: Ablation, shared: Sequence[str], wanted: Wanted, validation: int | None
) -> list[Search]:
    """A search for every cell of an ablation; cells that train the same share theirs."""
    cells = [ordered(wanted.at(own)) for _, own in cells_of(ablation, shared)]
    keys = [{key for key, _ in parse(overrides)} for overrides in cells]
    configs = [resolve(overrides) for overrides in cells]
    check_space(wanted, list(zip(configs, keys, strict=True)))
    found: dict[tuple[str, tuple[str, ...]], Search] = {}
    for overrides, fixed in zip(cells, keys, strict=True):
        search = search_of(overrides, wanted.metric, fixed, validation, wanted.space, wanted.seeds)
        found.setdefault((untuned(search.config), tuple(sorted(search.space))), search)
    for search in found.values():
        check_ends(search, wanted.space)
    return list(found.values())


def check_ends(search: Search, asked_for: Collection[str]) -> None:
    """Raise :class:`InputError` where an end of a range, or a choice, is none that a run takes."""
    for key in sorted(set(search.space) & set(asked_for)):
        for value in ends(search.space[key]):
            try:
                check_input(resolve(search.command({key: value})))
            except InputError as error:
                raise InputError(f"ablation.tuned.space: {key}: {error}") from error


def without(overrides: Sequence[str], keys: Collection[str]) -> list[str]:
    """Overrides of other keys."""
    found = [key for key, _ in parse(overrides)]
    return [o for o, key in zip(overrides, found, strict=True) if key not in keys]


def comparison(found: Sequence[Search], overrides: Sequence[str], trials: int) -> list[str]:
    """The overrides of ``ablation=tuned`` that compare what searches of methods find."""
    seeds = f",seeds:[{','.join(map(str, found[0].seeds))}]" if found[0].seeds else ""
    return [
        "ablation=tuned",
        f"ablation.axes.method=[{','.join(chosen(search) for search in found)}]",
        f"ablation.tuned={{trials:{trials},metric:{found[0].metric}{seeds}}}",
        *without(overrides, NOT_SHARED),
    ]


def searches(
    overrides: Sequence[str],
    metric: str | None,
    validation: int | None = None,
    seeds: tuple[int, ...] = (),
) -> list[Search]:
    """A search for every method of ``method=[A,B]``, with all other overrides in common.

    ``validation`` training images are kept from training (None: one in five, at most 10,000); the
    value of a trial is the mean of ``seeds``. Raises :class:`ltvm.errors.InputError` for bad input.
    """
    parsed = parse(overrides)
    shared = [o for o, (key, _) in zip(overrides, parsed, strict=True) if key != "method"]
    given = [value for key, value in parsed if key == "method"]
    wanted = given[-1] if given else resolve(shared)["method"]["name"]
    methods = list(wanted) if isinstance(wanted, list) else [wanted]
    require(bool(methods) and len(set(methods)) == len(methods), "method", methods, "no repeats")
    keys = {key for key, _ in parsed}
    return [
        search_of([*shared, f"method={method}"], metric, keys, validation, seeds=seeds)
        for method in methods
    ]


def search_of(
    overrides: Sequence[str],
    metric: str | None,
    fixed: set[str],
    validation: int | None = None,
    ranges: Mapping[str, Any] | None = None,
    seeds: tuple[int, ...] = (),
) -> Search:
    """The search of one method, or cell; keys that are ``fixed`` are not searched.

    ``ranges`` are in place of the method's own, for keys that it has; ``seeds`` in place of the
    configuration's.
    """
    config = resolve(overrides)
    if seeds and "seed" in fixed:
        raise InputError(f"seed={config['seed']}: allowed: one of this and seeds of the trials")
    method = config["method"]["name"]
    require(config["method"].get("tuned") is None, "method", method, "one that is not tuned yet")
    given = config["validation_images"]
    require(validation in (None, given) or given is None, "--validation", validation, str(given))
    if given is None:
        usual = min(len(load_data(config).train) // SHARE, LARGEST)
        kept = usual if validation is None else validation
        overrides = [*overrides, f"validation_images={kept}"]
        config = resolve(overrides)
    images = len(load_data(config).train)  # refuses numbers of images before a study is begun
    space = space_of(config, fixed, ranges)
    if "protocol.batch" not in (ranges or {}):  # asked for, it is as it was said, or refused
        space = at_most(space, "protocol.batch", images)
    direction = direction_of(metric, config)
    assert metric is not None
    content = {
        "identity": identity(config),
        "evaluation": evaluation_identity(config),
        "seed": list(seeds) or config["seed"],
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
        direction=direction,
        folder=folder_of(config) / "studies",
        ranges=searched(config, fixed, ranges),
        seeds=seeds,
    )


def folder_of(config: Config) -> Path:
    """Where studies are, and what they found: a directory for ``--config-dir``."""
    return Path(config["paths"]["results"]) / "tuning"


def digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:6]


def direction_of(metric: str | None, config: Config) -> Direction:
    """Which way a metric of the evaluation is better; raises :class:`InputError` if neither."""
    columns = {
        name: column
        for one in build_metrics(config, resolve_device(config["device"])).values()
        for name, column in one.columns().items()
        if column.direction is not None
    }
    if metric is None:
        raise InputError(f"--metric is missing; allowed: {', '.join(columns)}")
    require_one_of("--metric", metric, columns)
    return "minimize" if columns[metric].direction == "lower" else "maximize"


def tune(
    found: Sequence[Search],
    trials: int,
    train: Train,
    told: Callable[[Search, Trial], object] = lambda search, trial: None,  # noqa: ARG005
) -> list[Tuned]:
    """Do what is not done of ``trials`` trials for each search; write and return what they found.

    They go in turn, so that methods have had equally many whenever it is stopped. ``told`` is
    called after each. A trial that fails or diverges is one all the same.
    """
    require(trials >= 1, "--trials", trials, "1 or more")
    for search in found:
        check_writable("paths.results", search.folder.parents[1])
    with ExitStack() as stack:
        for search in found:
            stack.enter_context(search.held())
        for number in range(trials):
            for search in found:
                trial = search.do(number, train)
                if trial is not None:
                    told(search, trial)
        return [outcome(search, trials) for search in found]


def outcome(search: Search, trials: int) -> Tuned:
    """What a search has come to, written as a configuration and a table of its trials."""
    over = search.trials(trials)
    best = search.best(over)
    write_trials(search, search.trials())
    found = write_found(search, over, best)
    choice = None if best is None else write_method(search, best, found)
    return Tuned(search, over, best, choice, found["cost"])
