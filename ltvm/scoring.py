"""Scores of any images: of a folder from another code base, or of a run's samples.

Request -> images and reference -> every metric on features       (evaluate)
                                -> one distance by each convention (metric_parity)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ltvm.config import choices, resolve
from ltvm.data.cache import load_data
from ltvm.data.folder import load_all
from ltvm.data.image_set import VALIDATION, DataSet, ImageSet, evenly, to_uint8
from ltvm.errors import DivergedError, InputError, did_you_mean, require
from ltvm.metrics.base import Context, record_values
from ltvm.metrics.features.base import Extractor
from ltvm.metrics.features.conventions import Pixels
from ltvm.metrics.generation.feature_metric import (
    FeatureMetric,
    refuse_constant,
    require_shape,
    samples_of,
)
from ltvm.metrics.generation.frechet import FrechetDistance
from ltvm.metrics.generation.kernel_distance import KernelDistance
from ltvm.metrics.generation.manifold import Manifold
from ltvm.metrics.generation.resampling import LEAST, FrechetResampling
from ltvm.runs.environment import commit, versions
from ltvm.runs.execution.build import make_extractor
from ltvm.runs.files.store import Run
from ltvm.runs.identity import NUMERICS
from ltvm.runs.places import at_home
from ltvm.runtime.construct import construct, target_of
from ltvm.runtime.devices import describe, resolve_device, use_full_float32

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 100_000  # samples of a run


@dataclass(frozen=True)
class Request:
    """What is to be scored, against what, on which features.

    - ``images``: a directory of images, or of a run, whose method then draws ``samples`` of
      them (None: as many as its protocol says);
    - ``against``: the name of a data set, whose training images it means, or a directory of
      images; None: the run's training images, or mnist5k;
    - ``channels``: what images of directories become, 1 (grey) or 3; None: as they are;
    - ``extractor``: a choice of the group ``extractor`` or an import path such as
      ``my_package.MyFeatures``; None: digits for 28x28 grey images, else inception;
    - ``metrics``: a choice of the group ``evaluation``, also one of your own, whose metrics on
      features are taken, and its extractor where ``extractor`` is None; None: the suite's;
    - ``dimension``, ``weights``, ``checksum``: parameters of the extractor, where it has them
      (None: its own);
    - ``seed``: of samples, subsets and groups; None: the run's, or 0;
    - ``device``: where methods and extractors compute.

    Raises :class:`ltvm.errors.InputError` for a value that nothing could be done with.
    """

    images: Path | str
    against: Path | str | None = None
    channels: int | None = None
    samples: int | None = None
    extractor: str | None = None
    metrics: str | None = None
    dimension: int | None = None
    weights: str | None = None
    checksum: str | None = None
    seed: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("images", "against"):
            value = getattr(self, name)
            given = isinstance(value, Path | str) and str(value) != ""
            require(given or (name == "against" and value is None), name, repr(value), "a path")
        for name, (allowed, least) in {
            "channels": ("1 or 3", 1), "samples": (f"{LEAST} to {LARGEST:,}", LEAST),
            "seed": ("integers from 0", 0), "dimension": ("integers from 1", 1),
        }.items():  # fmt: skip
            value = getattr(self, name)
            whole = value is None or (type(value) is int and value >= least)
            require(whole, f"--{name}", repr(value), allowed)
        require(self.channels in (None, 1, 3), "--channels", self.channels, "1 or 3")
        many = self.samples is not None and self.samples > LARGEST
        require(not many, "--samples", self.samples, f"{LEAST} to {LARGEST:,}")

    def extractor_for(self, real: ImageSet) -> Extractor:
        """The extractor that is wanted, or that fits the images, on their device."""
        name, parameters = self.extractor_parameters(tuple(real.images.shape[1:]))
        for key in ("dimension", "weights", "checksum"):
            value = getattr(self, key)
            if value is not None:
                known = "." in name or key in parameters
                require(known, f"--{key}", value, f"nothing with extractor {name}")
                parameters[key] = value
        return make_extractor("--extractor", parameters, real.images.device)

    def extractor_parameters(self, shape: tuple[int, ...]) -> tuple[str, dict[str, Any]]:
        """Its name and its parameters, for images of a shape."""
        name = self.extractor
        if name is None and self.metrics is not None:
            chosen = dict(evaluation_group(self.metrics).get("extractor") or {})
            if chosen:
                return chosen.pop("name"), chosen
        if name is None:
            name = "digits" if shape == (1, 28, 28) else "inception"
        return name, {"_target_": name} if "." in name else extractor_group(name)

    def metrics_on(self, extractor: Extractor) -> list[FeatureMetric]:
        """The metrics that are wanted, on the features of an extractor."""
        if self.metrics is None:
            several = (FrechetDistance, FrechetResampling, KernelDistance, Manifold)
            return [metric(extractor) for metric in several]
        found: list[FeatureMetric] = []
        for name, parameters in evaluation_group(self.metrics)["metrics"].items():
            key = f"evaluation.metrics.{name}"
            target = target_of(key, parameters)
            if isinstance(target, type) and issubclass(target, FeatureMetric):
                found.append(construct(key, parameters, extractor=extractor))
        require(bool(found), "--metrics", self.metrics, "an evaluation with metrics on features")
        return found


def evaluation_group(name: str) -> dict[str, Any]:
    """A choice of the configuration group ``evaluation``, resolved."""
    known = choices("evaluation")
    allowed = f"{', '.join(known)}{did_you_mean(name, known)}"
    require(name in known, "--metrics", name, allowed)
    return dict(resolve([f"evaluation={name}"])["evaluation"])


def extractor_group(name: str) -> dict[str, Any]:
    """The parameters of a choice of the configuration group ``extractor``."""
    known = choices("extractor")
    allowed = f"{', '.join(known)}, or an import path{did_you_mean(name, known)}"
    require(name in known, "--extractor", name, allowed)
    config = resolve(["evaluation=none", f"+extractor@evaluation.extractor={name}"])
    return {k: v for k, v in config["evaluation"]["extractor"].items() if k != "name"}


@dataclass(frozen=True)
class Scored:
    """Both sets of images on the device, and the seed.

    ``unseen`` are images that nothing was trained on, where ``real`` is a data set's training
    split. ``unrounded`` has the images in [0, 1] as a run's method made them; a folder has none.
    ``run`` is what a run says about itself: status and iteration.
    """

    images: ImageSet
    real: ImageSet
    seed: int
    unseen: ImageSet | None = None
    unrounded: Tensor | None = None
    run: dict[str, Any] = field(default_factory=dict)

    def provenance(self) -> dict[str, Any]:
        """What every number says about the images, beside what its metric says."""
        return {
            "scored": self.images.name,
            "images": self.images.fingerprint,
            "reference": self.real.name,
            "data": self.real.fingerprint,
            "split": self.real.split,
            "seed": self.seed,
            **self.run,
            "device": describe(self.real.images.device),
            "numerics": NUMERICS,
            "commit": commit(),
            "versions": versions(),
        }

    def warnings(self) -> list[str]:
        """What a reader should know before believing a number."""
        found = []
        if self.run.get("status", "done") != "done":
            iteration = self.run["iteration"]
            found.append(f"the run is {self.run['status']}, at iteration {iteration}")
        if self.images.fingerprint == self.real.fingerprint:
            found.append("both sets are the same images")
        return found


def evaluate(request: Request) -> dict[str, Any]:
    """Every metric on features that is wanted: {name: {"value", "column", ...provenance}}.

    ``column`` says what the value is (see :class:`ltvm.metrics.columns.Column`). Raises
    :class:`ltvm.errors.InputError` for sets of different shape, images without content, absent or
    wrong weights.
    """
    scored = read(request)
    extractor = request.extractor_for(scored.real)
    extractor(scored.real.images[:2])  # refuses images of a wrong shape
    context = Context(scored.seed, scored.real.images.device)
    metrics = request.metrics_on(extractor)
    for metric in metrics if scored.unseen is None else ():
        metric.check_alone(scored.real)
    shared = scored.provenance()
    if warnings := scored.warnings():
        shared["warning"] = "; ".join(warnings)
    result: dict[str, Any] = {}
    for metric in metrics:
        features = metric.of_images(scored.images, context)
        if scored.unseen is None:
            measured = metric.compare(features, scored.real, context)
        else:
            measured = metric.against(DataSet(scored.real, scored.unseen), features, context)
        values, columns = record_values(metric.columns(), measured, shared)
        for name, content in values.items():
            result[name] = {**content, "column": columns[name]}
    return result


def metric_parity(request: Request) -> pd.DataFrame:
    """The Frechet distance of the same images by each convention in the wild.

    Columns: ``convention``, ``what`` it does, ``n``, ``distance``, ``ratio`` to this suite's. Both
    sets are cut to the smaller one's number, at even distances. ``attrs["provenance"]`` says what
    the numbers are. Raises as ``evaluate``.
    """
    import pandas as pd

    scored = read(request)
    n = min(len(scored.images), len(scored.real))
    chosen, chosen_real = evenly(len(scored.images), n), evenly(len(scored.real), n)
    unrounded = None if scored.unrounded is None else scored.unrounded[chosen]
    first = Pixels(scored.images.images.cpu()[chosen], unrounded)
    second = Pixels(scored.real.images.cpu()[chosen_real])
    rows = []
    extractor = request.extractor_for(scored.real)
    extractor(scored.real.images[:2])  # refuses images of a wrong shape
    for convention in extractor.conventions():
        distance = convention.distance(first, second)
        rows.append({"convention": convention.name, "what": convention.what, "n": n,
                     "distance": distance})  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["ratio"] = frame["distance"] / frame["distance"][0]
    warnings = scored.warnings()
    frame.attrs["provenance"] = {
        **extractor.provenance(),
        "n": n,
        **scored.provenance(),
        **({"warning": "; ".join(warnings)} if warnings else {}),
    }
    return frame


def read(request: Request) -> Scored:
    """Both sets of images, of one shape and with content."""
    use_full_float32()
    device = resolve_device(request.device)
    directory = Path(request.images).expanduser()
    if holds_runs(directory):
        scored = samples_of_run(directory, request)
    else:
        require(request.samples is None, "--samples", request.samples, "nothing with a folder")
        images = load_all(directory, request.channels, LEAST)
        real, unseen = reference_images(request.against or "mnist5k", request.channels)
        scored = Scored(images, real, request.seed or 0, unseen)
    require_shape(
        f"{scored.images.name} (--channels makes folders grey or colour)",
        tuple(scored.images.images.shape[1:]),
        scored.real,
    )
    for one in (scored.images, scored.real):
        refuse_constant(one)
    unseen = None if scored.unseen is None else scored.unseen.to(device)
    images, real = scored.images.to(device), scored.real.to(device)
    return replace(scored, images=images, real=real, unseen=unseen)


def holds_runs(directory: Path) -> bool:
    """Whether a directory is that of a run; one above several is refused, since it has pictures."""
    if (directory / "record.json").is_file():
        return True
    if directory.is_dir() and next(directory.rglob("record.json"), None) is not None:
        raise InputError(f"{directory}: holds runs; allowed: one of them, such as .../seed=0")
    return False


def samples_of_run(directory: Path, request: Request) -> Scored:
    """Prior samples of a run's method: those of its record, if seed and number are its own."""
    from ltvm.runs.execution.load import load_method

    require(request.channels is None, "--channels", request.channels, "nothing with a run")
    run = Run(directory)
    method = load_method(directory, request.device)
    config = at_home(run.config())
    data = load_data(config)
    real, unseen = reference_images(request.against, None) if request.against else of_data(data)
    n = request.samples or config["protocol"]["evaluation"]["samples"] or len(data.train)
    seed = config["seed"] if request.seed is None else request.seed
    try:
        batches = samples_of(method, Context(seed, torch.device("cpu")), n)
        drawn = torch.cat([batch.cpu() for batch in batches])
    except DivergedError as error:
        raise InputError(f"{directory}: {error}") from error
    images = ImageSet(str(directory), "samples", to_uint8(drawn))
    about = {"status": run.status(), "iteration": method.iteration}
    return Scored(images, real, seed, unseen, (drawn.clamp(-1, 1) + 1) / 2, about)


def of_data(data: DataSet) -> tuple[ImageSet, ImageSet | None]:
    """What samples are compared with, and unseen images; a validation split was looked at."""
    return data.train, data.test if data.test.split != VALIDATION else None


def reference_images(against: Path | str, channels: int | None) -> tuple[ImageSet, ImageSet | None]:
    """The training and test images of a data set by name, or the images of a directory and None.

    A name means the data set, also where a directory is called so; ``./NAME`` is the directory.
    """
    known = [name for name in choices("data") if name != "folder"]
    if str(against) in known:
        return of_data(load_data(resolve([f"data={against}", "protocol=small"])))
    directory = Path(against).expanduser()
    if directory.is_dir() and not holds_runs(directory):
        return load_all(directory, channels, LEAST), None
    raise InputError(
        f"against={against}: allowed: a directory of images, or one of {', '.join(known)}"
        + did_you_mean(against, known)
    )
