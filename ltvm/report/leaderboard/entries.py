"""The runs of one or several results directories, and the terms that each was trained on.

results directories -> entries, each run once -> those of the same terms compete
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltvm.errors import require
from ltvm.report.values.flat import flatten
from ltvm.report.values.readable import readable
from ltvm.runs.files.content import Kinds, what_is_wrong
from ltvm.runs.files.index import indexed
from ltvm.runs.files.store import FINAL, Run, Store
from ltvm.runs.identity import NOT_TRAINING, pruned
from ltvm.runtime.files import is_sealed

Json = dict[str, Any]

# What decides how much a protocol lets every method spend (``ltvm.methods.budget``). Its other keys
# (learning rate, batch, sigma, steps of inference) are settings that rows may differ in.
SPENT = ("iterations", "sweeps", "steps", "updates_per_batch", "learn_epochs", "train_images")
OWN, EXTERNAL, STORED = "own", "external", "stored"


@dataclass(frozen=True)
class Entry:
    """One run: its configuration, its record, its evaluations and where they are.

    ``unsealed`` are those of its files whose numbers count and that have no checksum.
    """

    run: Run
    results: Path
    config: Json
    record: Json
    evaluations: dict[str, Json]
    unsealed: list[str]

    @property
    def identity(self) -> str:
        return str(self.record.get("identity") or self.run.directory.parent.name)

    @property
    def seed(self) -> int:
        return int(self.config["seed"])

    @property
    def status(self) -> str:
        return str(self.run.as_it_is(self.record["status"]))

    @property
    def origin(self) -> str:
        """``own``, or as its record says: ``external``, of images that were made elsewhere, or
        ``stored``, of a run that came with the package.
        """
        return next((origin for origin in (EXTERNAL, STORED) if self.record.get(origin)), OWN)

    def add(self, other: Entry) -> list[str]:
        """Take what another directory has of the same run: evaluations that are not final here.

        Returns those of it that are final in both and differ, of which the first counts, in words.
        """
        differing = []
        for name, theirs in other.evaluations.items():
            own = self.evaluations.get(name)
            if own is None or (own["status"] not in FINAL and theirs["status"] in FINAL):
                self.evaluations[name] = theirs
                file = self.run.evaluation_file(name).name
                self.unsealed[:] = [one for one in self.unsealed if one != file]
                self.unsealed.extend(one for one in other.unsealed if one == file)
            elif theirs["status"] in FINAL and found_by(own) != found_by(theirs):
                file = str(other.run.evaluation_file(name))
                differing.append(f"{file}: other values than those of {self.run.directory}")
        return differing

    @property
    def training(self) -> Json:
        """Its record without where that came from."""
        return {key: value for key, value in self.record.items() if key != STORED}


@dataclass
class Found:
    """The entries of all directories, and what was left out of them, in words."""

    entries: list[Entry] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_entries(directories: Sequence[Path]) -> Found:
    """Every run of every directory once; of one that several have, the first one's counts.

    Where they are the same run, the evaluations of all count, and of one that several have the
    first that is final. Left out, and named: what is damaged,
    what differs from an earlier directory's, and trials of tuning. Raises
    :class:`ltvm.errors.InputError` for what is no directory.
    """
    found, known = Found(), dict[tuple[object, ...], Entry]()
    trials = 0
    for directory in directories:
        require(directory.is_dir(), "--results", directory, "directories with records")
        for entry in entries_of(directory, found.left_out):
            if entry.config.get("validation_images") is not None:
                trials += 1
                continue
            key = (*entry.run.directory.parts[-4:-2], entry.identity, entry.seed)
            other = known.get(key)
            if other is None:
                known[key] = entry
                found.entries.append(entry)
            elif other.training == entry.training:
                found.left_out += other.add(entry)
            else:
                where = entry.run.directory
                found.left_out.append(f"{where}: another training of {other.run.directory}")
    if trials:
        found.left_out.append(f"{trials} runs trained without some images (trials of tuning)")
    return found


def entries_of(directory: Path, left_out: list[str]) -> Iterable[Entry]:
    with indexed(directory) as index, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = []
        for run, _, evaluations in readable(Store(directory, index).runs()):
            config, record = run.config(), run.record() or {}
            wrong = what_is_wrong({"status": "", **config}, OF_CONFIG)
            if wrong is not None:
                warnings.warn(f"{run.config_file} is no configuration ({wrong})", stacklevel=1)
                continue
            without = unsealed(run, evaluations)
            found.append(Entry(run, directory, config, record, evaluations, without))
    left_out += [str(warning.message).removeprefix("left out of the table: ") for warning in told]
    return found


def is_part(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


OF_CONFIG: Kinds = {
    "seed": (lambda value: type(value) is int, "an integer"),
    **dict.fromkeys(("data", "method"), (is_part, "an object with a name")),
    "protocol": (lambda value: isinstance(value, dict), "an object"),
}


def found_by(evaluation: Json) -> Json:
    """The outcome of an evaluation, without who computed it: a status, and values by metric."""
    values = evaluation.get("values") or {}
    return {
        "status": evaluation["status"],
        "values": {metric: content.get("value") for metric, content in values.items()},
    }


def unsealed(run: Run, evaluations: Iterable[str]) -> list[str]:
    files = [run.record_file, *map(run.evaluation_file, evaluations)]
    return [file.name for file in files if not is_sealed(file)]


def terms_of(entry: Entry) -> Json:
    """What rows must agree in to compete: images, protocol, what may be spent, and in what.

    Equal seconds are equal on one device alone.
    """
    config, record = entry.config, entry.record
    protocol = config.get("protocol") or {}
    equal = record.get("equal")
    images = pruned({"data": config["data"]}, NOT_TRAINING)["data"]
    images = images if isinstance(images, dict) else {"name": images}
    spent = {f"protocol.{key}": protocol[key] for key in SPENT if key in protocol}
    timed = {"protocol.seconds": protocol.get("seconds"), "device": record.get("device")}
    prints = record.get("fingerprints") or {}
    return {
        "data": images["name"],
        "protocol": record.get("protocol"),
        "equal": equal,
        **{f"data.{key}": value for key, value in flatten(images).items() if key != "name"},
        **spent,
        **(timed if equal == "seconds" else {}),
        "training images": prints.get("train"),
        "test images": prints.get("test"),
    }


def by_terms(entries: Sequence[Entry]) -> list[tuple[Json, list[Entry]]]:
    """(terms, entries), those with the most rows first.

    External entries, which know no protocol, are beside all that were measured on the same images.
    """
    groups: dict[str, tuple[Json, list[Entry]]] = {}
    external: list[tuple[str, Json, Entry]] = []
    for entry in entries:
        terms = terms_of(entry)
        key = json.dumps(terms, sort_keys=True, default=str)
        if entry.origin == EXTERNAL:
            external.append((key, terms, entry))
        else:
            groups.setdefault(key, (terms, []))[1].append(entry)
    for key, terms, entry in external:
        same = [own for other, own in groups.values() if same_images(other, terms)]
        for own in same or [groups.setdefault(key, (terms, []))[1]]:
            own.append(entry)
    rows = {key: len({e.identity for e in own}) for key, (_, own) in groups.items()}
    return [groups[key] for key in sorted(groups, key=lambda key: -rows[key])]


def same_images(first: Json, second: Json) -> bool:
    keys = ("data", "training images", "test images")
    return all(first[key] == second[key] for key in keys)
