"""The cells of an ablation: axes and how they combine, grids joined, cells left out and added."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ltvm.errors import InputError, did_you_mean, require, require_one_of
from ltvm.runs.ablations.claims import claims_of
from ltvm.runs.words import literal

COMBINATIONS = ("product", "one_factor", "paired")

Cell = tuple[str, ...]  # its overrides
OF_NO_CELL = ("ablation", "hydra", "paths", "device", "execution", "keep", "tensorboard")


@dataclass(frozen=True)
class Grid:
    """Axes, which map an override key (``method``, ``method.alpha``) to its values.

    ``combine`` says how: ``product`` (all combinations), ``one_factor`` (the base, then each value
    alone) or ``paired`` (first values together, second values together, ...). ``exclude`` lists
    what is left out: cells that have all values of an entry, where a list means any of them.
    """

    axes: dict[str, list[Any]]
    combine: str = "product"
    exclude: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        require_one_of("ablation.combine", self.combine, COMBINATIONS)
        require(
            isinstance(self.axes, Mapping), "ablation.axes", self.axes, "keys with their values"
        )
        for key, values in self.axes.items():
            name = f"ablation.axes.{key}"
            require(isinstance(values, list) and bool(values), name, values, "a list of values")
            refuse_outside(name, str(key), values)
            texts = list(map(literal, values))
            once = self.combine == "paired" or len(set(texts)) == len(texts)
            require(once, name, values, "every value once")
        if self.combine == "paired":
            lengths = {len(values) for values in self.axes.values()}
            require(len(lengths) <= 1, "ablation.combine", "paired", "axes of equal length")
        require(isinstance(self.exclude, list), "ablation.exclude", self.exclude, "a list")
        for entry in self.exclude:
            known = isinstance(entry, Mapping) and set(entry) <= set(self.axes)
            require(known, "ablation.exclude", entry, f"values of {', '.join(self.axes)}")

    def cells(self) -> Iterator[Cell]:
        """The overrides of every cell, in the order of the definition."""
        for values in self.combinations():
            if not any(matches(entry, values) for entry in self.exclude):
                yield tuple(f"{key}={literal(value)}" for key, value in values.items())

    def combinations(self) -> Iterator[dict[str, Any]]:
        keys, axes = list(self.axes), list(self.axes.values())
        if self.combine == "one_factor":
            yield {}
            yield from ({key: value} for key in keys for value in self.axes[key])
        else:
            ways = (
                itertools.product(*axes) if self.combine == "product" else zip(*axes, strict=True)
            )
            yield from (dict(zip(keys, values, strict=True)) for values in ways)


def are_words(values: Any) -> bool:
    return all(isinstance(value, str) and "=" in value for value in values)


def matches(entry: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(
        key in values and values[key] in (wanted if isinstance(wanted, list) else [wanted])
        for key, wanted in entry.items()
    )


def refuse_outside(name: str, key: str, value: Any) -> None:
    """Raise :class:`ltvm.errors.InputError` for a key that makes no other cell."""
    top = key.lstrip("+~").split(".")[0].split("/")[0]
    require(top != "seed", name, value, "'ablation.seeds=[0,1,...]' for seeds")
    require(top not in OF_NO_CELL, name, value, f"what a run's identity has, not {top}")


@dataclass(frozen=True)
class Ablation:
    """The content of ``ablations/ablation/<name>.yaml``.

    ``axes``, ``combine`` and ``exclude`` make its grid, ``union`` joins further ones (mappings of
    the same three), ``extra`` lists further cells, each by its overrides. ``reference`` is the
    method that differences are taken to, and ``margin`` the share of its mean within which a
    difference counts as none. ``external`` lists folders of images from elsewhere
    (``ltvm.runs.ablations.external``); ``stored`` takes runs that ship with the package (``true``),
    trains what was taken after all (``false``), or leaves it as it is (null). ``tuned`` takes every
    cell with the settings that so many trials found for it by a metric
    (``ltvm.runs.ablations.found.Wanted``). ``claims`` are what is claimed before it is run
    (``ltvm.runs.ablations.claims``); its report judges them.
    ``max_runs`` and ``max_hours`` are its budget: the first so many runs, all cells at the first
    seed before the second, and no run is begun after so many hours of a command.
    """

    name: str
    question: str
    base: list[str]
    axes: dict[str, list[Any]]
    combine: str = "product"
    exclude: list[dict[str, Any]] = field(default_factory=list)
    union: list[dict[str, Any]] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0])
    extra: list[list[str]] = field(default_factory=list)
    reference: str | None = None
    margin: float = 0.05
    external: list[str] = field(default_factory=list)
    stored: bool | None = None
    tuned: dict[str, Any] | None = None
    claims: list[dict[str, Any]] = field(default_factory=list)
    max_runs: int | None = None
    max_hours: float | None = None

    def __post_init__(self) -> None:
        for key in ("name", "question"):
            value = getattr(self, key)
            require(isinstance(value, str) and bool(value), f"ablation.{key}", value, "a word")
        for key in ("base", "union", "seeds", "extra", "external"):
            value = getattr(self, key)
            require(isinstance(value, list), f"ablation.{key}", value, "a list")
        require(are_words(self.base), "ablation.base", self.base, "a list of KEY=VALUE")
        for cell in self.extra:
            sound = isinstance(cell, list) and are_words(cell)
            require(sound, "ablation.extra", self.extra, "a list of lists of KEY=VALUE")
            for word in cell:
                refuse_outside("ablation.extra", word.split("=")[0], word)
        sound = self.reference is None or isinstance(self.reference, str)
        require(sound, "ablation.reference", self.reference, "the name of a method, or null")
        folders = all(isinstance(folder, str) and folder for folder in self.external)
        require(folders, "ablation.external", self.external, "a list of folders")
        require(bool(self.seeds), "ablation.seeds", self.seeds, "at least one seed")
        require(
            all(type(seed) is int and seed >= 0 for seed in self.seeds),
            "ablation.seeds", self.seeds, "integers from 0",
        )  # fmt: skip
        require(len(set(self.seeds)) == len(self.seeds), "ablation.seeds", self.seeds, "no repeats")
        for key, kinds in (("max_runs", (int,)), ("max_hours", (int, float))):
            value = getattr(self, key)
            sound = value is None or (type(value) in kinds and value > 0)
            require(sound, f"ablation.{key}", value, "a number above 0, or null: no limit")
        sound = self.stored is None or isinstance(self.stored, bool)
        require(sound, "ablation.stored", self.stored, "true, false, or null")
        sound = type(self.margin) is float and 0 < self.margin < 1
        require(sound, "ablation.margin", self.margin, "a share between 0 and 1, such as 0.05")
        claims_of(self.claims)
        self.grids()

    def grids(self) -> list[Grid]:
        """All grids; raises :class:`ltvm.errors.InputError` for one that is none."""
        first = Grid(self.axes, self.combine, self.exclude)
        try:
            return [first, *(Grid(**content) for content in self.union)]
        except TypeError as error:
            raise InputError(
                f"ablation.union={self.union}: allowed: mappings of axes, combine, exclude"
            ) from error

    @property
    def keys(self) -> list[str]:
        """What is swept, by any grid."""
        return list(dict.fromkeys(key for grid in self.grids() for key in grid.axes))

    def cells(self) -> Iterator[Cell]:
        """The overrides of every cell, in the order of the definition."""
        for grid in self.grids():
            yield from grid.cells()
        yield from (tuple(cell) for cell in self.extra)


def changed(content: dict[str, Any], changes: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A definition with ``ablation.seeds=[0,1]``, ``ablation.axes.method.alpha=[0.1,0.5]``, ...

    ``ablation.axes={KEY:[...]}`` replaces all axes; ``ablation.axes.KEY=[...]`` sets one, whose
    KEY may hold dots (which is why Hydra does not apply these itself).
    """
    content = {**content, "axes": dict(content.get("axes") or {})}
    known = list(Ablation.__dataclass_fields__)
    for key, value in changes:
        name, _, axis = key.removeprefix("ablation.").partition(".")
        near = did_you_mean(name, known, "ablation.")
        require(name in known, key, value, f"ablation.{', ablation.'.join(known)}{near}")
        if axis:
            require(name in ("axes", "tuned"), key, value, f"ablation.{name}=...")
            held = content.get(name)
            require(isinstance(held, dict), f"ablation.{name}", held, "keys with their values")
            inner, _, ranged = axis.partition(".")
            if name == "tuned" and inner == "space" and ranged:  # a key, which may hold dots
                held = content[name].get("space") or {}
                require(isinstance(held, dict), "ablation.tuned.space", held, "keys with ranges")
                content[name] = {**content[name], "space": {**held, ranged: value}}
            else:
                content[name] = {**content[name], axis: value}
        else:
            content[name] = value
    return content
