"""An ablation: a named set of cells with the question it answers.

ablation YAML + overrides -> cells x seeds -> run identities -> those not yet done
"""

from __future__ import annotations

import hashlib
import itertools
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltvm.config import (
    GROUPS,
    Config,
    choices,
    compose_raw,
    hydra_session,
    parse,
    resolve,
    settled,
    to_dict,
)
from ltvm.errors import InputError, require
from ltvm.runs.forecast import kind_of
from ltvm.runs.identity import evaluation_identity, identity
from ltvm.runs.store import FINAL, Run, Status, Store
from ltvm.runtime.files import read_json, write_json

COMBINATIONS = ("product", "one_factor", "paired")
LONGEST_NAME = 80  # characters of a report's name, which is that of a file and of a folder


@dataclass(frozen=True)
class PlannedRun:
    """One run of an ablation: what to override, what that resolves to, where it lives."""

    overrides: tuple[str, ...]
    config: Config
    values: dict[str, Any]  # of the swept keys
    run: Run
    evaluation: str  # its identity
    cell: str  # the run's identity; with the evaluation's, where cells differ in that alone
    note: str = ""  # what sets a further cell apart from those of the axes

    @property
    def command(self) -> str:
        """The exact command that does this run alone."""
        return train_command(self.overrides)

    @property
    def kind(self) -> str:
        """What runs of it with other seeds have in common, their duration for one."""
        return kind_of(self.config)

    @property
    def status(self) -> Status:
        """Of the run and its evaluation."""
        return self.run.status(self.evaluation)


def train_command(overrides: Sequence[str]) -> str:
    return shlex.join(["ltvm", "train", *overrides])


@dataclass(frozen=True)
class Ablation:
    """The content of ``ablations/ablation/<name>.yaml``.

    ``axes`` maps an override key (``method``, ``method.alpha``) to its values. ``combine`` says
    how: ``product`` (all combinations), ``one_factor`` (the base, then each value alone) or
    ``paired`` (first values together, second values together, ...). ``extra`` lists further
    cells. ``reference`` is the method that differences are taken to.
    """

    name: str
    question: str
    base: list[str]
    axes: dict[str, list[Any]]
    combine: str = "product"
    seeds: list[int] = field(default_factory=lambda: [0])
    extra: list[list[str]] = field(default_factory=list)
    reference: str | None = None

    def __post_init__(self) -> None:
        require(
            self.combine in COMBINATIONS, "ablation.combine", self.combine, ", ".join(COMBINATIONS)
        )
        require(bool(self.seeds), "ablation.seeds", self.seeds, "at least one seed")
        require(
            all(type(seed) is int and seed >= 0 for seed in self.seeds),
            "ablation.seeds", self.seeds, "integers from 0",
        )  # fmt: skip
        require(len(set(self.seeds)) == len(self.seeds), "ablation.seeds", self.seeds, "no repeats")
        for key, values in self.axes.items():
            require(
                isinstance(values, list) and bool(values),
                f"ablation.axes.{key}", values, "a list of values",
            )  # fmt: skip
        if self.combine == "paired":
            lengths = {len(values) for values in self.axes.values()}
            require(len(lengths) <= 1, "ablation.combine", "paired", "axes of equal length")

    def cells(self) -> Iterator[tuple[str, ...]]:
        """The overrides of every cell, in the order of the definition."""
        axes = [[f"{key}={literal(v)}" for v in values] for key, values in self.axes.items()]
        if self.combine == "product":
            yield from itertools.product(*axes)
        elif self.combine == "paired":
            yield from zip(*axes, strict=True)
        else:
            yield ()
            yield from ((override,) for axis in axes for override in axis)
        yield from (tuple(cell) for cell in self.extra)


def literal(value: Any) -> str:
    """A value as Hydra's override grammar reads it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(literal(v) for v in value) + "]"
    return str(value)


@dataclass(frozen=True)
class Plan:
    """An ablation with the command line's overrides applied: all its runs."""

    ablation: Ablation
    overrides: tuple[str, ...]  # of the command line, without those of the ablation itself
    runs: tuple[PlannedRun, ...]
    report_name: str
    command: str

    @property
    def not_done(self) -> list[PlannedRun]:
        return [planned for planned in self.runs if planned.status not in FINAL]

    def not_done_by_seed(self) -> list[list[PlannedRun]]:
        """The runs that are not done, a list for every seed in the order of the definition."""
        left = self.not_done
        return [[run for run in left if run.config["seed"] == s] for s in self.ablation.seeds]

    def manifest(self, results: Path) -> dict[str, Any]:
        """What a report needs besides the records: the question, the cells, their runs."""
        return {
            "name": self.report_name,
            "ablation": self.ablation.name,
            "question": self.ablation.question,
            "reference": self.ablation.reference,
            "combine": self.ablation.combine,
            "axes": list(self.ablation.axes),
            "command": self.command,
            "seeds": list(self.ablation.seeds),
            "runs": [
                {
                    "path": str(planned.run.directory.relative_to(results)),
                    "cell": planned.cell,
                    "seed": planned.config["seed"],
                    "data": planned.config["data"]["name"],
                    "method": planned.config["method"]["name"],
                    "label": planned.config["method"].get("label", ""),
                    "style": planned.config["method"].get("style") or {},
                    "protocol": planned.config["protocol"]["name"],
                    "evaluations": [planned.evaluation],
                    "values": planned.values,
                    "note": planned.note,
                    "command": planned.command,
                }
                for planned in self.runs
            ],
        }

    def write_manifest(self, results: Path) -> Path:
        """Write the manifest; further seeds and evaluations of the same cells stay in it."""
        path = results / "ablations" / f"{self.report_name}.json"
        manifest = self.manifest(results)
        if path.is_file():
            own = {(entry["cell"], entry["seed"]): entry for entry in manifest["runs"]}
            cells = {cell for cell, _ in own}
            for entry in read_json(path)["runs"]:
                same = own.get((entry["cell"], entry["seed"]))
                if same is not None:
                    known = [*same["evaluations"], *entry["evaluations"]]
                    same["evaluations"] = list(dict.fromkeys(known))
                elif entry["cell"] in cells:
                    manifest["runs"].append(entry)
            order = list(dict.fromkeys(entry["cell"] for entry in manifest["runs"]))
            manifest["runs"].sort(key=lambda entry: (order.index(entry["cell"]), entry["seed"]))
            manifest["seeds"] = sorted({entry["seed"] for entry in manifest["runs"]})
        write_json(path, manifest)
        return path


def plan(overrides: Sequence[str], name: str | None = None) -> Plan:
    """Expand ``ablation=NAME`` and further overrides into runs; composes, runs nothing.

    ``name`` is that of the report; by default the ablation's and the data set's, and the
    protocol's where it is not the ablation's own. Raises :class:`InputError`.
    """
    own = [o for o, (key, _) in zip(overrides, parse(overrides), strict=True) if _is_own(key)]
    passed = [o for o in overrides if o not in own]
    if not any(o.startswith("ablation=") for o in own):
        raise InputError(f"ablation=NAME is missing; allowed: {', '.join(choices('ablation'))}")
    choice = [o for o in own if o.startswith("ablation=")]
    content = to_dict(compose_raw([*choice, *passed])).get("ablation")
    if not isinstance(content, dict):
        raise InputError("ablation=null: allowed: the name of an ablation")
    for key, value in parse([o for o in own if o not in choice]):
        change(content, key, value)
    try:
        ablation = Ablation(**content)
    except TypeError as error:
        raise InputError(f"ablation={content.get('name')}: {error}") from error
    given = [key for key, _ in parse(passed)]
    for key in given:
        if key in ablation.axes or key == "seed":
            axis = "seeds" if key == "seed" else f"axes.{key}"
            raise InputError(
                f"{key}: swept by ablation={ablation.name}; allowed: ablation.{axis}=[...]"
            )
    base = [o for o in ablation.base if o.split("=")[0] not in given]
    with hydra_session():  # once for all cells
        runs = planned_runs(ablation, [*base, *passed])
    command = shlex.join(["ltvm", "ablate", *overrides, *(["--name", name] if name else [])])
    return Plan(
        ablation,
        tuple(passed),
        tuple(runs),
        name or default_name(ablation, own, passed, runs[0].config),
        command,
    )


def planned_runs(ablation: Ablation, shared: Sequence[str]) -> list[PlannedRun]:
    """Every cell and seed once, with the overrides that all cells share.

    Cells that train the same but are evaluated differently share their runs.
    """
    cells: dict[tuple[str, str], tuple[list[str], Config, str]] = {}
    for cell in ablation.cells():
        overrides = ordered([*shared, *cell])
        config = resolve(overrides)
        note = ", ".join(cell) if list(cell) in ablation.extra else ""
        key = (identity(config), evaluation_identity(config))
        cells.setdefault(key, (overrides, config, note))
    trained = [run for run, _ in cells]
    runs = []
    for (run_identity, evaluation), (overrides, cell_config, note) in cells.items():
        several = trained.count(run_identity) > 1
        for seed in ablation.seeds:
            config = {**cell_config, "seed": seed}
            runs.append(
                PlannedRun(
                    (*settled(overrides, cell_config), f"seed={seed}"),
                    config,
                    {key: value_of(config, key) for key in ablation.axes},
                    Store(Path(config["paths"]["results"])).run(config),
                    evaluation,
                    f"{run_identity}+{evaluation}" if several else run_identity,
                    note,
                )
            )
    return runs


def change(content: dict[str, Any], key: str, value: Any) -> None:
    """Apply ``ablation.seeds=[0,1]``, ``ablation.axes.method.alpha=[0.1,0.5]`` and the like.

    ``ablation.axes={KEY:[...]}`` replaces all axes; ``ablation.axes.KEY=[...]`` sets one, whose
    KEY may hold dots (which is why Hydra does not apply these itself).
    """
    name, _, axis = key.removeprefix("ablation.").partition(".")
    require(name in content, key, value, "ablation." + ", ablation.".join(content))
    if axis:
        require(name == "axes", key, value, f"ablation.{name}=...")
        content["axes"][axis] = value
    else:
        content[name] = value


def _is_own(key: str) -> bool:
    return key == "ablation" or key.startswith("ablation.")


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

    Changed axes or cells make another ablation: they join as a short hash. So does the rest of
    what would be longer than ``LONGEST_NAME``.
    """
    parts = [ablation.name]
    if "data" not in ablation.axes:
        parts.append(config["data"]["name"])
    usual = dict(o.split("=", 1) for o in ablation.base if "=" in o)
    for key, value in (o.lstrip("+~").split("=", 1) for o in passed if "=" in o):
        hidden = key in ("data", "device") or key.startswith(("paths.", "hydra"))
        if hidden or usual.get(key) == value:
            continue
        parts.append(value if key == "protocol" else f"{key}={value}")
    changed = [o for o in own if not o.startswith(("ablation=", "ablation.seeds="))]
    if changed:
        parts.append(hashlib.sha256("\n".join(sorted(changed)).encode()).hexdigest()[:6])
    return shortened("-".join(part.replace("/", "_") for part in parts))


def shortened(name: str) -> str:
    """At most ``LONGEST_NAME`` characters; a hash of the whole name in place of what is cut."""
    if len(name) <= LONGEST_NAME:
        return name
    rest = "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return name[: LONGEST_NAME - len(rest)].rstrip("-") + rest
