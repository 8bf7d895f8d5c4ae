"""What tuning found for a cell, as a sealed file in the store that ablations and exports take.

    <results>/tuning/found/<study>-<trials>.json

A cell is found by what it trains when it is not tuned: so the same overrides that were tuned find
their settings again, on any machine and at any seed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltvm.config import Config
from ltvm.errors import InputError, UnreadableError, require_one_of
from ltvm.runs.files.content import Kinds, is_number_or_none, is_object, is_text
from ltvm.runs.identity import evaluation_identity, identity
from ltvm.runs.trust import check_name
from ltvm.runs.words import literal
from ltvm.runtime.files import read_json

NOTHING = "without any trial that has a value"  # for a cell that was searched in vain
PLAIN = (bool, int, float, str, type(None))  # kinds of a setting
SAME = ("validation_images", "seed", "seeds", "evaluation")  # of trials that are on equal terms


def are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


def are_trials(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_object, value))


def is_count(value: Any) -> bool:
    return type(value) is int


def is_cost(value: Any) -> bool:
    return is_object(value) and all(map(is_number_or_none, value.values()))


KINDS: Kinds = {
    **dict.fromkeys(
        ("study", "cell", "data", "method", "protocol", "precision", "evaluation", "metric"),
        (is_text, "a text"),
    ),
    "searched": (are_texts, "texts"),
    "settings": (lambda value: value is None or is_object(value), "an object"),
    "cost": (is_cost, "an object of numbers"),
    "trials": (are_trials, "objects"),
    **dict.fromkeys(("validation_images", "seed"), (is_count, "a whole number")),
}


@dataclass(frozen=True)
class Wanted:
    """What an ablation of tuned methods asks for: ``tuned`` in its YAML.

    With a ``protocol`` settings are found at that one, for cells at whichever they have. ``space``
    says otherwise than a method's ``tuning`` where one of its keys is searched, in the same forms.
    With ``seeds`` every trial is trained with each of them, and its value is their mean; without,
    with the one of the configuration.
    """

    trials: int
    metric: str
    protocol: str | None = None
    space: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()

    @classmethod
    def of(cls, content: Any) -> Wanted:
        """Raises :class:`InputError` for what is no ``{trials, metric}``, with what else it has."""
        keys = set(content) if isinstance(content, Mapping) else set()
        if {"trials", "metric"} <= keys <= {"trials", "metric", "protocol", "space", "seeds"}:
            said = {str(key): v for key, v in content.items() if v is not None}
            words = isinstance(said.get("metric"), str) and isinstance(
                said.get("protocol", ""), str
            )
            count, ranges = said.get("trials"), isinstance(said.get("space", {}), Mapping)
            seeds = seeds_said(said.pop("seeds", []))
            if words and ranges and seeds is not None and type(count) is int and count >= 1:
                return cls(**said, seeds=seeds)
        raise InputError(
            f"ablation.tuned={content}: allowed: {{trials: 8, metric: fd_digits}}, with "
            "protocol: medium where another than the runs' own is tuned at, seeds: [0, 1] where "
            "trials are the mean of several, "
            "space: {KEY: {low: 0.1, high: 1.0}} where other ranges than the methods' own are "
            "searched, or null"
        )

    def at(self, overrides: Sequence[str]) -> list[str]:
        """The overrides of a cell as it is tuned."""
        if self.protocol is None:
            return list(overrides)
        others = (override for override in overrides if not override.startswith("protocol="))
        return [f"protocol={self.protocol}", *others]


def seeds_said(content: Any) -> tuple[int, ...] | None:
    """The seeds of trials in their order; None for what is no list of two whole numbers or more.

    One seed is the configuration's own; none are an empty list.
    """
    if not isinstance(content, list | tuple) or len(content) == 1:
        return None
    sound = all(type(one) is int and one >= 0 for one in content)
    return tuple(sorted(content)) if sound and len(set(content)) == len(content) else None


def untuned(config: Config) -> str:
    """What identifies the cell that a configuration, or a trial of it, tunes.

    Neither images that are kept for validation nor the precision count.
    """
    return identity({**config, "validation_images": None, "precision": None})


def found_folder(results: Path) -> Path:
    return results / "tuning" / "found"


def found_file(results: Path, study: str, trials: int) -> Path:
    """Where it is; raises :class:`InputError` for a name that is none of a file."""
    check_name("study", study)
    return found_folder(results) / f"{study}-{trials}.json"


def read_found(file: Path) -> dict[str, Any]:
    """What a file says; raises :class:`ltvm.errors.UnreadableError` if it is damaged."""
    try:
        content = read_json(file)
        for key, (holds, kind) in KINDS.items():
            if not (is_object(content) and key in content and holds(content[key])):
                raise ValueError(f"{key} is not {kind}")
        if not is_object(content.get("space", {})):
            raise ValueError("space is not an object")
        if seeds_said(content.get("seeds", [])) is None:
            raise ValueError("seeds are not two whole numbers or more, each once")
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:120]
        raise UnreadableError(file, f"is not what tuning found ({why})", "tune again") from error
    return dict(content)


def searched(
    config: Config, fixed: Collection[str], ranges: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What is searched of a configuration's method, but for ``fixed`` keys: the user's own.

    ``ranges`` (``ablation.tuned.space``) are in place of the method's, for keys that it searches;
    null has one not searched.
    """
    declared = config["method"].get("tuning") or {}
    left = {*fixed, *unequal(config)}
    own = {k: spec for k, spec in declared.items() if spec is not None and k not in left}
    space = {key: (ranges or {}).get(key, spec) for key, spec in own.items()}
    return {key: plain(spec) for key, spec in space.items() if spec is not None}


def unequal(config: Config) -> set[str]:
    """Keys whose values are on unequal terms, so that no search may choose among them.

    In decoder updates an iteration may spend so many a batch: smaller batches buy more of them.
    """
    return {"protocol.batch"} if config["protocol"]["equal"] == "updates" else set()


def plain(spec: Any) -> Any:
    """A range as it counts: ``{low: 0, high: 1, log: false}`` is ``{low: 0.0, high: 1.0}``."""
    if not isinstance(spec, Mapping):
        return spec
    said = {key: value for key, value in spec.items() if not (key == "log" and value is False)}
    return {key: float(value) if type(value) is int else value for key, value in said.items()}


def check_space(wanted: Wanted, cells: Collection[tuple[Config, Collection[str]]]) -> None:
    """Raise :class:`InputError` for ranges of keys that no search of ``cells`` can have.

    A cell is its configuration and the keys that are fixed in it.
    """
    tunings = [
        (config["method"].get("tuning") or {}, {*fixed, *unequal(config)})
        for config, fixed in cells
    ]
    declared = {key for tuning, _ in tunings for key in tuning}
    for key in wanted.space:
        require_one_of("ablation.tuned.space", key, sorted(declared))
        having = [fixed for tuning, fixed in tunings if tuning.get(key) is not None]
        if having and all(key in fixed for fixed in having):
            allowed = "keys that are searched, and neither set nor an axis"
            if any(key in unequal(config) for config, _ in cells):
                allowed += (
                    f" (with protocol.equal=updates {key} decides what an iteration may spend)"
                )
            raise InputError(f"ablation.tuned.space={key}: allowed: {allowed}")


def candidates(config: Config, wanted: Wanted, fixed: Collection[str]) -> Iterator[dict[str, Any]]:
    """All that is found for a cell by a metric, whatever the space and the number of trials."""
    cell, keys = untuned(config), set(searched(config, fixed, wanted.space))
    names = (config[part]["name"] for part in ("method", "data", "protocol"))
    files = found_folder(Path(config["paths"]["results"])).glob(f"{'-'.join(names)}-*.json")
    for file in sorted(files):
        content = read_found(file)
        same = content["cell"] == cell and set(content["searched"]) == keys
        if same and content["metric"] == wanted.metric:
            yield content


def in_space(
    found: Mapping[str, Any], config: Config, wanted: Wanted, fixed: Collection[str]
) -> bool:
    """Whether a study searched where it is asked to.

    A file that does not say where it searched did so where the method says.
    """
    said = found.get("space", searched(config, fixed))
    where = {key: plain(spec) for key, spec in said.items()}
    return where == searched(config, fixed, wanted.space)


def found_for(config: Config, wanted: Wanted, fixed: Collection[str]) -> dict[str, Any] | str:
    """What was found for a cell, or how it was tuned in place of that, in words.

    Raises :class:`InputError` where several studies have found something, or a file is damaged.
    """
    anywhere = list(candidates(config, wanted, fixed))
    there = [one for one in anywhere if in_space(one, config, wanted, fixed)]
    every = [one for one in there if tuple(one.get("seeds", ())) == wanted.seeds]
    found = [one for one in every if len(one["trials"]) == wanted.trials]
    if not found:
        others = sorted({len(one["trials"]) for one in every})
        none = "in another space" if anywhere else "not at all"
        none = "with other seeds" if there else none
        return f"with {' and '.join(map(str, others))} trials" if others else none
    chosen = [one for one in found if scored_alike(one, config)] or found
    chosen = [one for one in chosen if one["precision"] == config["precision"]] or chosen
    if len(chosen) != 1:
        folder = found_folder(Path(config["paths"]["results"]))
        told = ("validation_images", "seed", "evaluation", "precision")
        names = ", ".join(
            f"{one['study']}-{wanted.trials}.json ({', '.join(f'{k} {one[k]}' for k in told)})"
            for one in chosen
        )
        raise InputError(f"{folder}: {names}: allowed: one for each cell (remove the others)")
    if chosen[0]["settings"] is None:
        return NOTHING
    check_settings(chosen[0])
    return chosen[0]


def scored_alike(found: Mapping[str, Any], config: Config) -> bool:
    """Whether trials were scored by what a cell is scored by, but for the images of both."""
    kept = {"validation_images": found["validation_images"]}
    return bool(found["evaluation"] == evaluation_identity({**config, **kept}))


def check_settings(found: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` for settings that are no plain values of what was searched."""
    for key, value in found["settings"].items():
        is_plain = type(value) in PLAIN and not (isinstance(value, str) and "$" in value)
        if key not in found["searched"] or not is_plain:
            allowed = f"plain values of {', '.join(found['searched'])}"
            raise InputError(f"{found['study']}: settings: {key}={value}: allowed: {allowed}")


def as_overrides(found: Mapping[str, Any]) -> list[str]:
    """The settings, and by how many trials they were found: overrides of a run."""
    told = ",".join(f"{key}:{literal(value)}" for key, value in tuned(found).items())
    settings = [f"{key}={literal(value)}" for key, value in found["settings"].items()]
    return [*settings, f"+method.tuned={{{told}}}"]


def tuned(found: Mapping[str, Any]) -> dict[str, Any]:
    """``method.tuned``: what records and manifests say of a row's tuning."""
    return {
        "trials": len(found["trials"]),
        "metric": found["metric"],
        "study": found["study"],
        **({"seeds": len(found["seeds"])} if "seeds" in found else {}),
        **found["cost"],
    }


def check_equal_terms(found: Collection[Mapping[str, Any]]) -> None:
    """Raise :class:`InputError` where trials on the same data were not on equal terms."""
    first: dict[tuple[str, str], Mapping[str, Any]] = {}
    for one in found:
        other = first.setdefault((one["data"], one["protocol"]), one)
        for key in SAME:
            if one.get(key) != other.get(key):
                raise InputError(
                    f"tuned on other terms: {key} {one.get(key)} ({one['study']}) and "
                    f"{other.get(key)} ({other['study']}); allowed: the same for every method"
                )
