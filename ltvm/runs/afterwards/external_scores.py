"""External rows: the images of a card's folders or arrays, scored by the metrics of the other rows.

cards -> images, all of them checked -> values against the same real images -> records

What is written are a run's files but for its weights, with ``external`` in its record, so that
reports, exports and imports do without the folder.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ltvm.config import Config
from ltvm.data.arrays import read_array
from ltvm.data.cache import load_data
from ltvm.data.folder import image_files
from ltvm.data.image_set import DataSet, ImageSet
from ltvm.errors import DivergedError, InputError, UnreadableError, require
from ltvm.methods.base import EVALUATION_BATCH
from ltvm.metrics.base import Context, Made, Measurement, record_values
from ltvm.metrics.generation.feature_metric import refuse_constant
from ltvm.runs.ablations.ablation import Plan
from ltvm.runs.ablations.external import Card, home, place_of_images
from ltvm.runs.environment import commit, now, versions
from ltvm.runs.execution.build import build_metrics
from ltvm.runs.execution.pictures import save_given
from ltvm.runs.files.store import Run, Store
from ltvm.runs.identity import NUMERICS, digits, evaluation_identity
from ltvm.runtime import devices
from ltvm.runtime.images import ARRAYS, opened


@dataclass(frozen=True)
class Row:
    """One training of a card: its images, and where its record is or will be."""

    card: Card
    config: Config
    seed: int
    identity: str
    made: Made
    evaluation: str  # its identity

    @property
    def path(self) -> str:
        """Below a results directory."""
        return f"runs/{self.card.data}/{self.card.name}/{self.identity}/seed={self.seed}"


def add_external(plan: Plan, results: Path) -> list[dict[str, Any]]:
    """Score what is not scored of a plan's cards; the entries of its manifest for them.

    Everything is read and measured before the first file is written. Raises
    :class:`ltvm.errors.InputError` for a folder whose images are not what its card and the
    ablation want.
    """
    rows = [row for card in plan.external for row in read_rows(card, plan)]
    measured = {row.path: measure(row) for row in rows if not is_scored(row, results)}
    new = [row for row in rows if row.path in measured or not is_recorded(row, results)]
    if new:
        Store(results).check_writable()
    for row in new:
        write(row, results, plan.command, measured.get(row.path))
    return [entry_of(row, plan) for row in rows]


def read_rows(card: Card, plan: Plan) -> list[Row]:
    """The images of all seeds; raises :class:`ltvm.errors.InputError`."""
    config = home(card, [planned.config for planned in plan.runs])
    data = load_data(config)
    made = {seed: read_made(card, folder, data) for seed, folder in card.seeds.items()}
    sets = [(one.samples, one.reconstructions) for one in made.values()]
    images = [[part and part.fingerprint for part in both] for both in sets]
    about = {"external": card.name, "data": data.train.fingerprint, "images": images}
    identity = digits({"numerics": NUMERICS, **about})
    evaluation = evaluation_identity(config)
    return [Row(card, config, seed, identity, one, evaluation) for seed, one in made.items()]


def read_made(card: Card, folder: Path, data: DataSet) -> Made:
    place = place_of_images(folder, "samples")
    names = ", ".join(["samples/", *(f"samples{suffix}" for suffix in ARRAYS)])
    if place is None:
        raise InputError(f"external={folder}: no samples; allowed: one of {names}")
    samples = read_images(place, data.train, card.n, f"{card.n}, the card's n", card.range)
    refuse_constant(samples)
    rebuilt = place_of_images(folder, "reconstructions")
    if rebuilt is None:
        return Made(samples)
    n = len(data.test)
    allowed = f"{n}, of every test image of {data.test.name} here, in their order"
    return Made(samples, read_images(rebuilt, data.test, n, allowed, card.range))


def read_images(
    place: Path, real: ImageSet, n: int, allowed: str, span: tuple[int, int] | None = None
) -> ImageSet:
    """The ``n`` images of an array, its floats in ``span``, or of a folder, in the order of the
    numbers in their names; shaped as the real ones.

    Raises :class:`ltvm.errors.InputError` before more than a header is read of others.
    """
    if place.suffix in ARRAYS:
        return read_array(place, real, n, allowed, span)
    require(not place.is_symlink(), "external", place, "a folder, no link")
    files = sorted(image_files(str(place), place, 1), key=lambda file: by_number(file, place))
    require(len(files) == n, f"{place}: images", len(files), allowed)
    pixels = np.stack([pixels_of(file, real) for file in files])
    return ImageSet(str(place), "external", torch.from_numpy(pixels).permute(0, 3, 1, 2).clone())


def by_number(file: Path, folder: Path) -> list[tuple[int, str]]:
    """``2.png`` before ``10.png``."""
    parts = re.split(r"(\d+)", str(file.relative_to(folder)))
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(parts)]


def pixels_of(file: Path, real: ImageSet) -> np.ndarray:
    """uint8 [h, w, c], shaped as the real images; a grey image may be stored as a colour one."""
    with opened(file) as image:
        width, height = image.size
        allowed = f"{real.size}x{real.size}, as in {real.name}"
        require(image.size == (real.size, real.size), str(file), f"{width}x{height}", allowed)
        colours = np.asarray(image.convert("RGB"))
    if real.channels == 3:
        return colours
    grey = colours[:, :, :1]
    require(bool((colours == grey).all()), str(file), "colour", f"grey, as in {real.name}")
    return grey


def is_scored(row: Row, results: Path) -> bool:
    run = Run(results / row.path)
    try:
        found = run.evaluation(row.evaluation)
    except UnreadableError:  # measured again
        return False
    return found is not None and found["status"] == "done"


def is_recorded(row: Row, results: Path) -> bool:
    """Whether its record is there and says what its card says now."""
    try:
        record = Run(results / row.path).record() or {}
    except UnreadableError:
        return False
    own = record_of(row, "")
    return all(record.get(key) == own[key] for key in own if key not in ("command", "started"))


def measure(row: Row) -> dict[str, Any]:
    """The evaluation of a row, as a run has it: of those metrics that images alone decide."""
    devices.use_full_float32()
    started, config = time.perf_counter(), row.config
    device = devices.resolve_device(config["device"])
    data, context = load_data(config).to(device), Context(row.seed, device)
    rebuilt = row.made.reconstructions
    made = Made(row.made.samples.to(device), rebuilt and rebuilt.to(device))
    values: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    for metric in build_metrics(config, device).values():
        try:
            of_metric: dict[str, Measurement] = metric.of_made(made, data, context)
            own = record_values(metric.columns(), of_metric, stated(row, data))
        except DivergedError as error:
            raise InputError(f"external={row.card.folder}: {error}") from error
        values, columns = values | own[0], columns | own[1]
    name = config["evaluation"]["name"]
    require(bool(values), "evaluation", name, "one that measures images, beside external rows")
    return {
        "name": name, "identity": row.evaluation, "status": "done", "reason": None,
        "started": now(), "seconds": time.perf_counter() - started,
        "device": devices.describe(device), "execution": None, "versions": versions(),
        "commit": commit(), "config": config["evaluation"], "sampler": None,
        "values": values, "columns": columns,
    }  # fmt: skip


def stated(row: Row, data: DataSet) -> dict[str, Any]:
    """What every value of a row says of itself, unless its metric says otherwise.

    Nothing of a decoder, which is not here: its images came as uint8.
    """
    return {
        "data": data.train.fingerprint,
        "external": row.card.name,
        "batch": EVALUATION_BATCH,
        "numerics": NUMERICS,
        "version": versions()["ltvm"],
        "commit": commit(),
    }


def write(row: Row, results: Path, command: str, evaluation: dict[str, Any] | None) -> None:
    """Write what is new of a row's files; its record last. None: its values are there."""
    run = Run(results / row.path)
    with run.held() as hold:
        if hold is None:
            who = run.holder() or "another process"
            raise InputError(f"{run.directory}: {who} is at it; allowed: one process at a time")
        if evaluation is not None:
            run.write_evaluation(evaluation)
            save_given(run.directory, row.made, load_data(row.config))
        run.write_config(config_of(row))
        run.write_record(record_of(row, command))


def config_of(row: Row) -> dict[str, Any]:
    """What there is of a configuration: names, and where this machine has things."""
    names = {key: {"name": name} for key, name in names_of(row).items()}
    return {"seed": row.seed, **names, "external": row.card.stated(), "paths": row.config["paths"]}


def names_of(row: Row) -> dict[str, str]:
    return {"data": row.card.data, "method": row.card.name}


def record_of(row: Row, command: str) -> dict[str, Any]:
    """A record that says of a training what its card says."""
    data, cost = load_data(row.config), row.card.cost
    counted = {key: cost[key] for key in ("flops", "passes", "decoder_updates") if key in cost}
    return {
        "status": "done", "reason": None, **names_of(row), "label": row.card.label, "style": {},
        "identity": row.identity, "seed": row.seed, "command": command, "started": now(),
        "numerics": NUMERICS, "external": row.card.stated(),
        "fingerprints": data.fingerprints, **counted,
    }  # fmt: skip


def entry_of(row: Row, plan: Plan) -> dict[str, Any]:
    """Its entry in the manifest; of what is swept a row from outside has the data alone."""
    known = names_of(row)
    return {
        "path": row.path, "cell": row.identity, "seed": row.seed, **known,
        "label": row.card.label, "style": {}, "protocol": row.config["protocol"]["name"],
        "evaluations": [row.evaluation], "note": "", "command": plan.command,
        "values": {key: known.get(key) for key in plan.ablation.keys},
    }  # fmt: skip
