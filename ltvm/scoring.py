"""Scores of any images: of a folder from another code base, or of a run's samples.

Request -> images and reference -> every metric on features       (evaluate)
                                -> one distance by each convention (metric_parity)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ltvm.build import build_data
from ltvm.config import choices, resolve
from ltvm.data.folder import load_all
from ltvm.data.image_set import ImageSet, evenly, to_uint8
from ltvm.devices import resolve_device, use_full_float32
from ltvm.errors import DivergedError, InputError, require
from ltvm.methods.base import EVALUATION_BATCH
from ltvm.metrics.base import Context
from ltvm.metrics.conventions import Convention, Pixels, digit_conventions, inception_conventions
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.features.inception import InceptionFeatures
from ltvm.metrics.frechet import FrechetDistance
from ltvm.metrics.kernel import KernelDistance
from ltvm.metrics.manifold import Manifold
from ltvm.metrics.resampling import FrechetResampling
from ltvm.metrics.samples import (
    EXTRACTORS,
    Extractor,
    FeatureMetric,
    refuse_constant,
    require_shape,
)
from ltvm.runs.provenance import commit, versions

if TYPE_CHECKING:
    import pandas as pd

LEAST = 8  # images: there must be groups of them, and neighbours


@dataclass(frozen=True)
class Request:
    """What is to be scored, against what, on which features.

    - ``images``: a directory of images, or of a run, whose method then draws ``samples`` of
      them (None: as many as its protocol says);
    - ``against``: the name of a data set, whose training images it means, or a directory of
      images; None: the run's training images, or mnist5k;
    - ``channels``: what images of directories become, 1 (grey) or 3; None: as they are;
    - ``extractor``: digits or inception; None: digits for 28x28 grey images, else inception;
    - ``dimension``, ``weights``, ``checksum``: Inception's (``checksum`` None: the known one);
    - ``seed``: of samples, subsets and groups; None: the run's, or 0.
    """

    images: Path | str
    against: Path | str | None = None
    channels: int | None = None
    samples: int | None = None
    extractor: str | None = None
    dimension: int = 2048
    weights: str | None = None
    checksum: str | None = None
    seed: int | None = None
    device: str = "auto"

    def kind(self, real: ImageSet) -> str:
        """The extractor's name."""
        if self.extractor is None:
            return "digits" if real.images.shape[1:] == (1, 28, 28) else "inception"
        require(self.extractor in EXTRACTORS, "--extractor", self.extractor, ", ".join(EXTRACTORS))
        return self.extractor

    def options(self, kind: str) -> dict[str, Any]:
        """The extractor's parameters."""
        if kind == "digits":
            return {}
        return {"dimension": self.dimension, "weights": self.weights, "checksum": self.checksum}


@dataclass(frozen=True)
class Scored:
    """Both sets of images on the device, and the seed.

    ``unrounded`` has the images in [0, 1] as a run's method made them; a folder has none.
    """

    images: ImageSet
    real: ImageSet
    seed: int
    unrounded: Tensor | None = None


def evaluate(request: Request) -> dict[str, Any]:
    """Every metric on features: {name: {"value", "lower_is_better", ...provenance}}.

    Raises :class:`ltvm.errors.InputError` for sets of different shape, images without content,
    absent or wrong weights.
    """
    scored = read(request)
    kind = request.kind(scored.real)
    options = request.options(kind)
    context = Context(scored.seed, scored.real.images.device)
    metrics: list[FeatureMetric] = [
        FrechetDistance(kind, **options),
        FrechetResampling(kind, **options),
        KernelDistance(kind, **options),
        Manifold(kind, **options),
    ]
    values: dict[str, Any] = {}
    for metric in metrics:
        features = metric.of_images(scored.images, context)
        for name, measurement in metric.compare(features, scored.real, context).items():
            values[name] = {
                "value": measurement.value,
                "lower_is_better": metric.lower_is_better.get(name),
                **measurement.provenance,
                "reference": scored.real.name,
                "images": scored.images.fingerprint,
                "seed": scored.seed,
                "commit": commit(),
                "versions": versions(),
            }
    return values


def metric_parity(request: Request) -> pd.DataFrame:
    """The Frechet distance of the same images by each convention in the wild.

    Columns: ``convention``, ``what`` it does, ``distance``, ``ratio`` to this suite's. Both
    sets are cut to the smaller one's number, at even distances. Raises as ``evaluate``.
    """
    import pandas as pd

    scored = read(request)
    n = min(len(scored.images), len(scored.real))
    chosen, chosen_real = evenly(len(scored.images), n), evenly(len(scored.real), n)
    unrounded = None if scored.unrounded is None else scored.unrounded[chosen]
    first = Pixels(scored.images.images.cpu()[chosen], unrounded)
    second = Pixels(scored.real.images.cpu()[chosen_real])
    rows = []
    for convention in conventions(request, scored.real):
        distance = convention.distance(first, second)
        rows.append({"convention": convention.name, "what": convention.what, "n": n,
                     "distance": distance})  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["ratio"] = frame["distance"] / frame["distance"][0]
    return frame


def conventions(request: Request, real: ImageSet) -> list[Convention]:
    """The conventions of the extractor that is wanted; loads its weights."""
    extractor = extractor_of(request, real)
    extractor(real.images[:2])  # refuses images of a wrong shape
    if isinstance(extractor, InceptionFeatures):
        return inception_conventions(extractor)
    assert isinstance(extractor, DigitFeatures)
    return digit_conventions(extractor)


def extractor_of(request: Request, real: ImageSet) -> Extractor:
    """The extractor that is wanted, or that fits the images, on their device."""
    kind = request.kind(real)
    return EXTRACTORS[kind](device=real.images.device, **request.options(kind))


def read(request: Request) -> Scored:
    """Both sets of images, of one shape and with content."""
    use_full_float32()
    device = resolve_device(request.device)
    require(request.channels in (None, 1, 3), "--channels", request.channels, "1 or 3")
    directory = Path(request.images).expanduser()
    if (directory / "checkpoint.pt").is_file():
        scored = samples_of_run(directory, request)
    else:
        images = load_all(directory, request.channels)
        real = reference_images(request.against or "mnist5k", request.channels)
        scored = Scored(images, real, request.seed or 0)
    require_shape(
        f"{scored.images.name} (--channels makes grey or colour)",
        tuple(scored.images.images.shape[1:]),
        scored.real,
    )
    for one in (scored.images, scored.real):
        require(len(one) >= LEAST, f"{one.name}: number of images", len(one), f"{LEAST} or more")
        refuse_constant(one)
    return replace(scored, images=scored.images.to(device), real=scored.real.to(device))


def samples_of_run(directory: Path, request: Request) -> Scored:
    """Prior samples of a run's method: those of its record, if seed and number are its own."""
    import yaml

    from ltvm.api import load
    from ltvm.runs.execute import load_data

    config = yaml.safe_load((directory / "config.yaml").read_text())
    method, data = load(directory), load_data(config)
    real = reference_images(request.against, None) if request.against else data.train
    n = request.samples or config["protocol"]["evaluation"]["samples"] or len(data.train)
    require(n >= LEAST, "--samples", n, f"{LEAST} or more")
    seed = config["seed"] if request.seed is None else request.seed
    draws = Context(seed, torch.device("cpu")).stream("samples")
    drawn = torch.cat(
        [
            method.sample(min(EVALUATION_BATCH, n - start), draws).cpu()
            for start in range(0, n, EVALUATION_BATCH)
        ]
    )
    if not drawn.isfinite().all():
        raise DivergedError(f"{directory}: samples that are not finite")
    images = ImageSet(str(directory), "samples", to_uint8(drawn))
    return Scored(images, real, seed, unrounded=(drawn.clamp(-1, 1) + 1) / 2)


def reference_images(against: Path | str, channels: int | None) -> ImageSet:
    """The images of a directory, or the training images of a data set by name."""
    if Path(against).expanduser().is_dir():
        return load_all(against, channels)
    known = choices("data")
    if str(against) not in known:
        raise InputError(
            f"--against {against}: allowed: a directory of images, or one of {', '.join(known)}"
        )
    return build_data(resolve([f"data={against}", "protocol=small"])).train
