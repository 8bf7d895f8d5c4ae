"""Rows from another framework: folders of images, each with a card that says what they are.

    FOLDER/card.yaml  FOLDER/samples/*.png  FOLDER/reconstructions/*.png    (of one training)
    FOLDER/seed=0/samples/*.png  FOLDER/seed=1/samples/*.png  ...           (of several)

In place of a folder of images there may be one array: ``samples.npy``, ``.npz`` or ``.pt``.
Reconstructions may be left out; they are of all test images, in the order of the numbers in their
names. A folder is a stranger's: nothing in it is executed, and no name in it leads anywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltvm.config import Config, choices
from ltvm.errors import InputError, require, require_one_of
from ltvm.runs.files.content import is_number
from ltvm.runs.identity import evaluation_identity
from ltvm.runs.trust import check_name
from ltvm.runtime.files import read_yaml
from ltvm.runtime.images import ARRAYS, RANGES, refuse_irregular

CARD = "card.yaml"
REQUIRED = ("name", "source", "data", "split", "n", "cost")
OPTIONAL = ("label", "range")
SPLIT = "train"  # what every row is trained on
COSTS = ("flops", "passes", "decoder_updates", "seconds")  # of one training, as the card has them
MOST = 100_000  # samples of a seed
LONGEST = 300  # characters of a text
SEED = re.compile(r"seed=(\d{1,9})")


@dataclass(frozen=True)
class Card:
    """What a folder says of its images; ``seeds`` has a folder for each of its trainings."""

    folder: Path
    name: str
    source: str
    data: str
    n: int
    cost: Mapping[str, Any]
    label: str
    range: tuple[int, int] | None = None  # of floats in arrays
    seeds: Mapping[int, Path] = field(default_factory=dict)

    def stated(self) -> dict[str, Any]:
        """What a record says of a row from outside."""
        return {"source": self.source, "split": SPLIT, "n": self.n, "cost": dict(self.cost)}


def refuse_external(record: Mapping[str, Any], directory: Path | str) -> None:
    """Raise :class:`InputError` where a method is wanted and there are images alone."""
    external = record.get("external") is not None
    require(not external, "run", directory, "one that was trained here: an external row is images")


def read_cards(folders: Sequence[str], configs: Sequence[Config]) -> tuple[Card, ...]:
    """The cards of ``ablation.external`` for an ablation of these configurations.

    Looks at no image. Raises :class:`InputError` for a folder or card that is none, and for a name
    that a method, or another card, has.
    """
    cards: list[Card] = []
    taken = {*choices("method"), *(config["method"]["name"] for config in configs)}
    data = list(dict.fromkeys(config["data"]["name"] for config in configs))
    for folder in folders:
        card = read_card(Path(folder).expanduser())
        where = card.folder / CARD
        free = card.name not in taken
        require(free, f"{where}: name", card.name, "one that no method and no other card has")
        require_one_of(f"{where}: data", card.data, data)
        taken.add(card.name)
        cards.append(card)
        home(card, configs)  # or there is no such place
    return tuple(cards)


def read_card(folder: Path) -> Card:
    """The card of a folder, with its seeds; raises :class:`InputError`."""
    file = folder / CARD
    require(folder.is_dir(), "external", folder, f"a folder with {CARD} and samples/")
    require(file.is_file(), "external", folder, f"a folder with a file {CARD} in it")
    refuse_irregular(file, folder)
    try:
        content = read_yaml(file)
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:120]
        raise InputError(f"{file}: cannot be read ({why}); allowed: YAML") from error
    keys = (*REQUIRED, *OPTIONAL)
    require(isinstance(content, dict), f"{file}: content", content, f"keys: {', '.join(keys)}")
    for key in content:
        require_one_of(f"{file}: key", key, keys)
    absent = [key for key in REQUIRED if key not in content]
    require(not absent, f"{file}: missing", ", ".join(absent), f"all of {', '.join(REQUIRED)}")
    check_card(file, content)
    label = content.get("label", content["name"])
    known = {key: content[key] for key in ("name", "source", "data", "n")}
    span = next((one for one in RANGES if list(one) == content.get("range")), None)
    return Card(folder, **known, cost=costs(content), label=label, range=span,
                seeds=seeds_of(folder))  # fmt: skip


def check_card(file: Path, content: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` for a value of a card that is none of its kind."""
    name, n, cost = content["name"], content["n"], content["cost"]
    check_name(f"{file}: name", name)
    sound = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}", name) is not None
    require(sound, f"{file}: name", name, "1 to 60 letters, digits, and _ . -, of ASCII")
    label = content.get("label", name)
    sound = isinstance(label, str) and re.fullmatch(r"\w[\w .,+()/-]{0,59}", label) is not None
    require(sound, f"{file}: label", label, "1 to 60 letters, digits, spaces, and _ . , + ( ) / -")
    for key in ("source", "data"):
        check_text(f"{file}: {key}", content[key])
    require(content["split"] == SPLIT, f"{file}: split", content["split"], f"{SPLIT}, as all rows")
    sound = type(n) is int and 2 <= n <= MOST
    require(sound, f"{file}: n", n, f"2 to {MOST:,}, the images in samples/")
    ranges = [list(one) for one in RANGES]
    sound = content.get("range", ranges[0]) in ranges
    require(sound, f"{file}: range", content.get("range"), " or ".join(map(str, ranges)))
    if isinstance(cost, dict):
        for key, value in cost.items():
            require_one_of(f"{file}: cost", key, (*COSTS, "device"))
            sound = key == "device" or (is_number(as_number(value)) and as_number(value) >= 0)
            require(sound, f"{file}: cost.{key}", value, "a number from 0")
        check_text(f"{file}: cost.device", cost.get("device", "unknown"))
    else:
        check_text(f"{file}: cost", cost)


def check_text(key: str, value: Any) -> None:
    sound = isinstance(value, str) and 0 < len(value) <= LONGEST and value.isprintable()
    require(sound, key, repr(value)[:80], f"a line of 1 to {LONGEST} characters")


def costs(content: Mapping[str, Any]) -> dict[str, Any]:
    """The cost of one training: numbers by currency, a device; or ``{"text": ...}``."""
    cost = content["cost"]
    if not isinstance(cost, dict):
        return {"text": cost}
    return {key: value if key == "device" else as_number(value) for key, value in cost.items()}


def as_number(value: Any) -> Any:
    """A number as people write it: YAML takes ``3.1e12`` for a word, and ``3.1e+12`` for one."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def seeds_of(folder: Path) -> dict[int, Path]:
    """The folder of every training: those called ``seed=N``, or ``folder`` itself as seed 0."""
    found = {path: SEED.fullmatch(path.name) for path in folder.iterdir() if path.is_dir()}
    seeds = {int(match[1]): path for path, match in found.items() if match is not None}
    both = bool(seeds) and place_of_images(folder, "samples") is not None
    require(not both, "external", folder, "samples/, or seed=N/samples/ of several trainings")
    number = sum(match is not None for match in found.values())
    require(len(seeds) == number, "external", folder, "every seed once")  # seed=1 and seed=01
    return dict(sorted(seeds.items())) or {0: folder}


def place_of_images(folder: Path, kind: str) -> Path | None:
    """The folder ``samples`` or ``reconstructions`` (``kind``) of a training, or its one array.

    None where it has neither; raises :class:`InputError` for several.
    """
    names = (kind, *(f"{kind}{suffix}" for suffix in ARRAYS))
    found = [folder / name for name in names if os.path.lexists(folder / name)]
    several = " and ".join(path.name for path in found)
    require(len(found) < 2, f"external={folder}: images", several, "one of these")
    return found[0] if found else None


def home(card: Card, configs: Sequence[Config]) -> Config:
    """A configuration of the ablation whose real images and evaluation are those of a card's row.

    Without a sampler, which images from elsewhere have not. Raises :class:`InputError` where the
    ablation has several: no row stands for all of them.
    """
    own = [{**c, "sampler": {}} for c in configs if c["data"]["name"] == card.data]
    tried = next((c["validation_images"] for c in own if c.get("validation_images")), None)
    require(tried is None, "validation_images", tried, "null beside external rows, which saw them")
    places = {place_of(config): config for config in reversed(own)}
    if len(places) > 1:
        raise InputError(
            f"external={card.folder}: the ablation has {len(places)} sets of real images or "
            f"evaluations on {card.data}; allowed: one, so that one row can stand beside all others"
        )
    return next(iter(places.values()))


def place_of(config: Config) -> tuple[str, ...]:
    """What decides the real images and what is measured against them."""
    data, protocol = config["data"], config["protocol"]
    parts = (data["load"], protocol["train_images"])
    return (evaluation_identity(config), *map(repr, parts))
