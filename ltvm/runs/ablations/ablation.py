"""An ablation: a named set of cells with the question it answers.

ablation YAML + overrides -> cells x seeds -> run identities -> those not yet done
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from ltvm.config import (
    Config,
    choices,
    compose_raw,
    resolve,
    settled,
    to_dict,
)
from ltvm.errors import InputError, did_you_mean, require, require_one_of
from ltvm.hydra_private import hydra_session
from ltvm.overrides import GROUPS, parse, refuse_repeated
from ltvm.runs.ablations.claims import claims_of, compared, refuse_ambiguous, why_not_asked
from ltvm.runs.ablations.external import Card, read_cards
from ltvm.runs.ablations.forecast import kind_of
from ltvm.runs.ablations.found import (
    NOTHING,
    Wanted,
    as_overrides,
    check_equal_terms,
    check_space,
    found_for,
)
from ltvm.runs.ablations.grid import Ablation, Cell, changed
from ltvm.runs.files.store import FINAL, Run, Status, Store
from ltvm.runs.identity import evaluation_identity, identity, sampler_identity
from ltvm.runs.trust import check_name
from ltvm.runtime.commands import command_line

LONGEST_NAME = 80  # characters of a report's name, which is that of a file and of a folder


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """One run of an ablation: what to override, what that resolves to, where it lives."""

    overrides: tuple[str, ...]
    config: Config
    values: dict[str, Any]  # of the swept keys
    run: Run
    evaluation: str  # its identity
    cell: (
        str  # the run's identity and its sampler's; where cells differ in the evaluation, that too
    )
    note: str = ""  # what sets a further cell apart from those of the axes

    @property
    def command(self) -> str:
        """The exact command that does this run alone."""
        return train_command(self.overrides)

    @property
    def row(self) -> dict[str, Any]:
        """What tells its cell from others, as a manifest has it."""
        return {
            "cell": self.cell,
            "data": self.config["data"]["name"],
            "method": self.config["method"]["name"],
            "values": self.values,
            "note": self.note,
            **sampler_of(self.config),
        }

    @property
    def kind(self) -> str:
        """What runs of it with other seeds have in common, their duration for one."""
        return kind_of(self.config)

    @property
    def label(self) -> str:
        """What is swept, in words: the method, the values of the other axes, the seed."""
        words = label_of_values(self.config["method"]["name"], self.values, self.note)
        return f"{words} seed={self.config['seed']}"

    @property
    def status(self) -> Status:
        """Of the run and its evaluation."""
        return self.run.status(self.evaluation)

    @property
    def is_trained(self) -> bool:
        """Whether its training has ended, so that at most its evaluation is to do."""
        return self.run.status() in FINAL


def label_of_values(method: str, values: Mapping[str, Any], note: str) -> str:
    """A cell in words: ``short_run_ot alpha=0.3``."""
    words = [method]
    for key, value in values.items():
        if key != "method" and value is not None:
            words.append(f"{key.removeprefix('method.')}={value}")
    return " ".join([*words, *filter(None, [note])])


def tuned_of(config: Config) -> dict[str, Any]:
    """``tuned``: how many trials found the method's settings, by what; nothing without any."""
    tuned = config["method"].get("tuned")
    return {"tuned": tuned} if tuned else {}


def sampler_of(config: Config) -> dict[str, Any]:
    """``sampler``: its name and label; nothing where images are what the method samples."""
    sampler = config.get("sampler") or {}
    name = sampler.get("name")
    known = {"name": name, "label": sampler.get("label") or name}
    return {"sampler": known} if "_target_" in sampler else {}


def train_command(overrides: Sequence[str]) -> str:
    return command_line("train", *overrides)


@dataclass(frozen=True)
class Plan:
    """An ablation with the command line's overrides applied: all its runs."""

    ablation: Ablation
    overrides: tuple[str, ...]  # of the command line, without those of the ablation itself
    runs: tuple[PlannedRun, ...]
    report_name: str
    command: str
    external: tuple[Card, ...] = ()  # rows from other frameworks
    one_row: tuple[str, ...] = ()  # which cells are one though they were tuned otherwise, in words

    @property
    def not_done(self) -> list[PlannedRun]:
        return [planned for planned in self.runs if planned.status not in FINAL]

    def not_asked(self) -> list[tuple[str, str]]:
        """(name, which row is not there) of claims that these runs cannot answer."""
        entries = [planned.row for planned in self.runs]
        claims = claims_of(self.ablation.claims)
        found = [(c.name, why_not_asked(c, compared(c, entries))) for c in claims]
        return [(name, why) for name, why in found if why]

    def by_seed(self) -> list[list[PlannedRun]]:
        """The runs within ``max_runs``, a list for every seed in the order of the definition."""
        seeds = self.ablation.seeds
        ordered = [[run for run in self.runs if run.config["seed"] == s] for s in seeds]
        left = self.ablation.max_runs or len(self.runs)
        found = []
        for runs in ordered:
            found.append(runs[:left])
            left -= len(found[-1])
        return found


def plan(overrides: Sequence[str], name: str | None = None) -> Plan:
    """Expand ``ablation=NAME`` and further overrides into runs; composes, runs nothing.

    ``name`` is that of the report; by default the ablation's and the data set's, and the
    protocol's where it is not the ablation's own. Raises :class:`InputError`.
    """
    ablation, shared = defined(overrides)
    own = own_overrides(overrides)
    passed = [o for o in overrides if o not in own]
    if name is not None:
        check_name("--name", name)
    with hydra_session():  # once for all cells
        runs, one_row = planned_runs(ablation, shared, overrides)
    refuse_ambiguous(claims_of(ablation.claims), [planned.row for planned in runs])
    check_reference(ablation, runs, any(o.startswith("ablation.reference=") for o in own))
    command = command_line("ablate", *overrides, *(["--name", name] if name else []))
    report_name = name or default_name(ablation, own, passed, runs[0].config)
    check_name("ablation.name", report_name)
    cards = read_cards(ablation.external, [run.config for run in runs])
    return Plan(ablation, tuple(passed), tuple(runs), report_name, command, cards, tuple(one_row))


def own_overrides(overrides: Sequence[str]) -> list[str]:
    """Those of the ablation itself: which it is, and what of its definition is changed."""
    parsed = zip(overrides, parse(overrides), strict=True)
    return [o for o, (key, _) in parsed if key == "ablation" or key.startswith("ablation.")]


def defined(overrides: Sequence[str]) -> tuple[Ablation, list[str]]:
    """The ablation that ``ablation=NAME`` and further overrides define, and what its cells share.

    Raises :class:`InputError`.
    """
    refuse_repeated(overrides)
    own = own_overrides(overrides)
    passed = [o for o in overrides if o not in own]
    for removed in (o for o in own if o.startswith("~")):
        raise InputError(f"{removed}: cannot be left out; allowed: KEY=VALUE")
    if not any(o.startswith("ablation=") for o in own):
        names = ", ".join(choices("ablation"))
        raise InputError(
            f"ablation=NAME is missing; allowed: {names}; `ltvm ablate --list` says more"
        )
    choice = [o for o in own if o.startswith("ablation=")]
    content = to_dict(compose_raw([*choice, *passed])).get("ablation")
    if not isinstance(content, dict):
        raise InputError("ablation=null: allowed: the name of an ablation")
    check_own_name(content, choice[0])
    content = changed(content, parse([o for o in own if o not in choice]))
    check_whole(content, choice[0])
    ablation = Ablation(**content)
    given = [key for key, _ in parse(passed)]
    for key in given:
        if key in ablation.keys or key == "seed":
            axis = "seeds" if key == "seed" else f"axes.{key}"
            raise InputError(
                f"{key}: swept by ablation={ablation.name}; allowed: 'ablation.{axis}=[...]'"
            )
    return ablation, [*(o for o in ablation.base if o.split("=")[0] not in given), *passed]


def check_own_name(content: Mapping[str, Any], choice: str) -> None:
    """Raise :class:`InputError` for a file that has another's name, whose report it would be."""
    stem = choice.removeprefix("ablation=").rsplit("/", 1)[-1]
    name = content.get("name", stem)  # without one it is refused for that
    require(name == stem, f"{choice}: name in its file", name, f"{stem}, as the file")


def check_whole(content: Mapping[str, Any], choice: str) -> None:
    """Raise :class:`InputError` for a definition without a key that all have, or with another."""
    known = {field.name: field for field in fields(Ablation)}
    for key, value in content.items():
        near = did_you_mean(str(key), known)
        require(key in known, f"{choice}: ablation.{key}", value, f"{', '.join(known)}{near}")
    needed = [k for k, one in known.items() if one.default is one.default_factory is MISSING]
    absent = ", ".join(name for name in needed if name not in content)
    if absent:
        raise InputError(f"{choice}: its file has no {absent}; needed: {', '.join(needed)}")


def cells_of(ablation: Ablation, shared: Sequence[str]) -> Iterator[tuple[Cell, list[str]]]:
    """Every cell as it is defined, and all its overrides, in their order."""
    for cell in ablation.cells():
        yield cell, ordered([*shared, *cell])


def check_reference(ablation: Ablation, runs: Sequence[PlannedRun], asked_for: bool) -> None:
    """Raise :class:`InputError` for a reference that is no method, or none of the plan's.

    That of a definition need not be among the methods that the command line leaves.
    """
    if ablation.reference is None:
        return
    known = list(dict.fromkeys(run.config["method"]["name"] for run in runs))
    known = known if asked_for else [*known, *choices("method")]
    require_one_of("ablation.reference", ablation.reference, known)


def planned_runs(
    ablation: Ablation, shared: Sequence[str], given: Sequence[str]
) -> tuple[list[PlannedRun], list[str]]:
    """Every cell and seed once, with the overrides that all cells share; ``given`` by the user.

    Cells that train the same but are evaluated differently share their runs. Values of different
    samplers are never those of one cell, whatever else was measured. Cells that are the same, but
    for how they were tuned, are one, the first; also returns which they are, in words.
    """
    cells: dict[tuple[str, str], tuple[list[str], Config, str]] = {}
    names: dict[tuple[str, str], str] = {}
    one_row: list[str] = []
    defined_cells = list(cells_of(ablation, shared))
    if ablation.tuned is not None:
        defined_cells = tuned_cells(defined_cells, Wanted.of(ablation.tuned), given)
    for cell, overrides in defined_cells:
        config = resolve(overrides)
        note = ", ".join(cell) if list(cell) in ablation.extra else ""
        sampler = sampler_identity(config)
        row = identity(config) + (f"+{sampler}" if sampler else "")
        key, name = (row, evaluation_identity(config)), " ".join(cell) or "the base"
        _, known, _ = cells.setdefault(key, (overrides, config, note))
        first = names.setdefault(key, name)
        if tuned_of(config) != tuned_of(known):
            trials = tuned_of(known).get("tuned", {}).get("trials", 0)
            told = f"one row, that of {trials} tuning trials"
            one_row.append(f"{name} is the same run as {first}: {told}")
    rows = [row for row, _ in cells]
    runs = []
    for (row, evaluation), (overrides, cell_config, note) in cells.items():
        several = rows.count(row) > 1
        for seed in ablation.seeds:
            config = {**cell_config, "seed": seed}
            runs.append(
                PlannedRun(
                    (*settled(overrides, cell_config), f"seed={seed}"),
                    config,
                    {key: value_of(config, key) for key in ablation.keys},
                    Store(Path(config["paths"]["results"])).run(config),
                    evaluation,
                    f"{row}+{evaluation}" if several else row,
                    note,
                )
            )
    return runs, one_row


def tuned_cells(
    cells: Sequence[tuple[Cell, list[str]]], wanted: Wanted, given: Sequence[str]
) -> list[tuple[Cell, list[str]]]:
    """Cells with the settings that tuning found for each.

    Raises :class:`InputError` that names those which it has not, or not in so many trials, and the
    command that tunes them all.
    """
    found: list[dict[str, Any]] = []
    absent: dict[tuple[str, str], list[str]] = {}
    configs = [resolve(ordered(wanted.at(overrides))) for _, overrides in cells]
    keys = [[o.split("=")[0] for o in overrides] for _, overrides in cells]
    check_space(wanted, list(zip(configs, keys, strict=True)))
    for (cell, _), config, fixed in zip(cells, configs, keys, strict=True):
        name, kept = config["method"]["name"], config["validation_images"]
        again = config["method"].get("tuned")
        require(again is None, "method", name, "one that is not tuned yet")
        unseen = "null: settings were chosen on such images, so runs are measured on test images"
        require(kept is None, "validation_images", kept, unseen)
        one = found_for(config, wanted, fixed)
        if isinstance(one, str):
            swept = [o for o in cell if o.split("=")[0] not in ("method", "data")]
            absent.setdefault((config["data"]["name"], one), []).append(" ".join([name, *swept]))
        else:
            found.append(one)
    if absent:
        raise InputError(absent_text(absent, wanted, given))
    check_equal_terms(found)
    return [
        (cell, [*overrides, *as_overrides(one)])
        for (cell, overrides), one in zip(cells, found, strict=True)
    ]


def absent_text(
    absent: Mapping[tuple[str, str], Sequence[str]], wanted: Wanted, given: Sequence[str]
) -> str:
    """Which cells have no settings, and what finds some."""
    told = "; ".join(f"{', '.join(ms)} on {data} ({how})" for (data, how), ms in absent.items())
    text = f"not tuned in {wanted.trials} trials by {wanted.metric}: {told}"
    if all(how == NOTHING for _, how in absent):
        return f"{text}; more trials (ablation.tuned.trials) or other ranges may find some"
    return f"{text}; `{command_line('tune', *given)}` does it"


def ordered(overrides: Sequence[str]) -> list[str]:
    """Group choices first (data, method, protocol), then single keys; a later one wins."""
    by_key: dict[str, str] = {}
    for override in overrides:
        key = override.split("=")[0]
        by_key.pop(key, None)
        by_key[key] = override
    rank = {key: place for place, key in enumerate(GROUPS)}
    return sorted(by_key.values(), key=lambda o: rank.get(o.split("=")[0], len(rank)))


def value_of(config: Config, key: str) -> Any:
    """The value of a swept key in a resolved configuration; a group's value is its name.

    None where the configuration has no such key (a VAE has no ``method.alpha``).
    """
    value: Any = config
    for part in key.lstrip("+").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value["name"] if isinstance(value, dict) and "name" in value else value


def default_name(
    ablation: Ablation, own: Sequence[str], passed: Sequence[str], config: Config
) -> str:
    """``ot-mnist5k``; with another protocol ``ot-mnist5k-smoke``; further overrides join on.

    Changed axes or cells make another ablation: they join as a short hash, unless
    ``ablation.name`` names it. So does the rest of
    what would be longer than ``LONGEST_NAME``.
    """
    parts = [ablation.name]
    if "data" not in ablation.keys:
        parts.append(config["data"]["name"])
    usual = dict(o.split("=", 1) for o in ablation.base if "=" in o)
    for key, value in (o.lstrip("+~").split("=", 1) for o in passed if "=" in o):
        hidden = key in ("data", "device", "tensorboard") or key.startswith(("paths.", "hydra"))
        if hidden or usual.get(key) == value:
            continue
        parts.append(value if key == "protocol" else f"{key}={value}")
    kept = ("ablation=", "ablation.seeds=", "ablation.stored=")
    changed = [o for o in own if not o.startswith(kept)]
    named = any(o.startswith("ablation.name=") for o in own)
    if changed and not named:
        parts.append(digest(changed))
    return shortened("-".join(part.replace("/", "_") for part in parts))


def digest(changes: Sequence[str]) -> str:
    """Six hexadecimal digits for changes of an ablation, in whatever order."""
    return hashlib.sha256("\n".join(sorted(changes)).encode()).hexdigest()[:6]


def shortened(name: str) -> str:
    """At most ``LONGEST_NAME`` characters; a hash of the whole name in place of what is cut."""
    if len(name) <= LONGEST_NAME:
        return name
    rest = "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return name[: LONGEST_NAME - len(rest)].rstrip("-") + rest
