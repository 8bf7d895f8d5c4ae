"""What metrics on features share: extractor, samples, provenance, and what they refuse.

    images (of a method, of a folder) -> Features -> metric.compare(features, real) -> values

Generated images are clamped, scaled and rounded to uint8 exactly as the real ones are stored.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ltvm.data.image_set import DataSet, ImageSet, evenly, to_uint8
from ltvm.errors import DivergedError, InputError, require
from ltvm.methods.answers import sampled
from ltvm.methods.base import EVALUATION_BATCH, Method
from ltvm.metrics.base import Context, Made, Measurement, Metric
from ltvm.metrics.features.base import Extractor
from ltvm.metrics.features.cache import kept_batches, provenance_of

KEPT_NUMBERS = 2**28  # features kept for the next metric: 1 GiB, the paper's sets; else made again


@dataclass(frozen=True)
class Features:
    """Features of ``n`` images: batches [up to 1,000, dimension], made when iterated."""

    n: int
    batches: Callable[[], Iterator[Tensor]]

    def __iter__(self) -> Iterator[Tensor]:
        return self.batches()

    def matrix(self) -> Tensor:
        """All of them, float32 [n, dimension]: only for metrics that compare images one by one.

        Nothing is lost: extractors compute in float32.
        """
        return torch.cat([part.float().cpu() for part in self])


class FeatureMetric(Metric):
    """A metric of ``samples`` prior samples against the training images, on features.

    In a trial of a tuning the validation split stands in their place (``DataSet.compared``).

    ``samples: null`` takes as many as there are training images, as the literature does.
    Subclasses implement ``compare``.
    """

    key: ClassVar[str]  # below ``evaluation.metrics``, for messages

    def __init__(self, extractor: Extractor, samples: int | None) -> None:
        self.extractor, self.samples = extractor, samples
        self.require_count("samples", samples, 2)

    def require_count(self, name: str, value: int | None, least: int) -> None:
        """Raise :class:`ltvm.errors.InputError` for a parameter below ``least``."""
        if value is not None:
            require(
                type(value) is int and value >= least,
                f"evaluation.metrics.{self.key}.{name}",
                value,
                f"integers from {least}",
            )

    @abstractmethod
    def compare(
        self, generated: Features, real: ImageSet, context: Context
    ) -> dict[str, Measurement]:
        """The values for generated images, given by their features, against real ones."""

    def check_alone(self, real: ImageSet) -> None:
        """Raise :class:`ltvm.errors.InputError` if ``real``, with no unseen images, is too little.

        For images that are scored against a directory, before their features are made.
        """

    def check(self, data: DataSet, context: Context) -> None:  # noqa: ARG002
        """Raise :class:`ltvm.errors.InputError` for what a run would stumble over at its end.

        That is: more samples than real images, images of a shape that the extractor does not
        take, or without content.
        """
        self.extractor(data.train.images[:2])
        refuse_constant(data.train)
        if self.samples is not None:
            require(
                self.samples <= len(data.train),
                f"evaluation.metrics.{self.key}.samples",
                self.samples,
                f"at most the {len(data.train)} training images of {data.train.name}",
            )

    @torch.no_grad()
    def __call__(self, method: Method, data: DataSet, context: Context) -> dict[str, Measurement]:
        self.check(data, context)
        n = self.number(data)
        return self.against(data, self.of_method(method, data, context, n), context)

    @torch.no_grad()
    def of_made(self, made: Made, data: DataSet, context: Context) -> dict[str, Measurement]:
        """The values of as many of the samples, at even distances, as of a method."""
        self.check(data, context)
        n, there = self.number(data), len(made.samples)
        allowed = f"{n} or more, as evaluation.metrics.{self.key}.samples has them of every row"
        require(there >= n, f"{made.samples.name}: samples", there, allowed)
        chosen = made.samples.chosen(evenly(there, n))
        return self.against(data, self.of_images(chosen, context), context)

    def against(
        self, data: DataSet, generated: Features, context: Context
    ) -> dict[str, Measurement]:
        """``compare`` with the images of a data set; for metrics that need unseen ones, too."""
        return self.compare(generated, data.compared, context)

    def number(self, data: DataSet) -> int:
        """How many samples: ``samples``, or as many as there are training images."""
        return len(data.train) if self.samples is None else self.samples

    def of_method(
        self, method: Method, data: DataSet, context: Context, n: int, final: bool = True
    ) -> Features:
        """Features of ``n`` prior samples, the same images for every metric of an evaluation.

        A ``final`` evaluation raises :class:`ltvm.errors.DivergedError` if all samples are one
        image, or each is a single colour; a learning curve may pass through that.
        """

        def make() -> Iterator[Tensor]:
            images = images_of(method, data.train, context, n)
            return map(self.extractor, refusing_constant(images, method) if final else images)

        key = ("features", *extractor_key(self.extractor), n)
        return Features(
            n, lambda: keeping(context.scratch, key, n * self.extractor.dimension, make)
        )

    def of_codes(self, method: Method, codes: Tensor, real: ImageSet) -> Features:
        """Features of the images that the method decodes from codes [n, d]; nothing is kept."""
        return Features(
            len(codes), lambda: map(self.extractor, decoded_images(method, codes, real))
        )

    def of_training_codes(self, method: Method, data: DataSet, n: int) -> Features:
        """Features of images decoded from what inference gave for ``n`` training images.

        Codes that a correction has moved are part prior by construction, at alpha = 1 wholly so:
        their gap would be nearly 0 whatever the model.
        """
        codes = method.posterior_draws()
        rows = evenly(len(codes), n).to(codes.device)
        return self.of_codes(method, codes[rows], data.train)

    def of_images(self, images: ImageSet, context: Context) -> Features:
        """Features of a set of images."""

        def make() -> Iterator[Tensor]:
            return map(self.extractor, images.images.split(EVALUATION_BATCH))

        return self.kept(images, context, make)

    def of_data(self, images: ImageSet, context: Context) -> Features:
        """Features of a data set's images, kept on disk (see ``ltvm.metrics.features.cache``)."""

        def make() -> Iterator[Tensor]:
            return map(self.extractor, images.images.split(EVALUATION_BATCH))

        def stored() -> Iterator[Tensor]:
            return kept_batches(provenance_of(images, self.extractor), make)

        return self.kept(images, context, stored)

    def kept(
        self, images: ImageSet, context: Context, make: Callable[[], Iterator[Tensor]]
    ) -> Features:
        """Features that this process keeps in memory, if they are few."""
        key = ("features", images.fingerprint, *extractor_key(self.extractor))
        numbers = len(images) * self.extractor.dimension
        return Features(len(images), lambda: keeping(context.cache, key, numbers, make))

    def provenance(self, n: int, n_real: int, real: ImageSet) -> dict[str, Any]:
        """What every number of this metric says about itself."""
        return {
            **self.extractor.provenance(),
            "n": n,
            "n_real": n_real,
            "split": real.split,
            "data": real.fingerprint,
        }


def extractor_key(extractor: Extractor) -> tuple[Any, ...]:
    """What the features of an image depend on, besides the image."""
    return (*extractor.provenance().values(), str(extractor.device))


def keeping(
    store: dict[Any, Any] | None,
    key: tuple[Any, ...],
    numbers: int,
    make: Callable[[], Iterator[Tensor]],
) -> Iterator[Tensor]:
    """Batches of features as ``store`` has them, or made and kept there if they are few."""
    if store is not None and key in store:
        yield from (part.double() for part in store[key])
        return
    kept = []
    for features in make():
        if store is not None and numbers <= KEPT_NUMBERS:
            kept.append(features.float().cpu())
        yield features
    if store is not None and kept:
        store[key] = kept


def samples_of(method: Method, context: Context, n: int) -> Iterator[Tensor]:
    """Batches of ``n`` prior samples as the method makes them, float32 in about [-1, 1].

    Raises :class:`ltvm.errors.DivergedError` if a pixel is not finite, and
    :class:`ltvm.errors.InputError` for another number of them.
    """
    draws = context.stream("samples")
    for start in range(0, n, EVALUATION_BATCH):
        yield sampled(method, min(EVALUATION_BATCH, n - start), draws)


def images_of(method: Method, real: ImageSet, context: Context, n: int) -> Iterator[Tensor]:
    """``n`` prior samples as uint8 batches, shaped as the real images are.

    Raises as ``samples_of``, and :class:`ltvm.errors.InputError` for another size or number of
    channels.
    """
    for images in samples_of(method, context, n):
        require_shape(type(method).__name__, tuple(images.shape[1:]), real)
        yield to_uint8(images)


def decoded_images(method: Method, codes: Tensor, real: ImageSet) -> Iterator[Tensor]:
    """g(z) of codes [n, d] as uint8 batches, shaped as the real images are.

    Raises as ``Method.decode``, and :class:`ltvm.errors.InputError` for another size or number of
    channels.
    """
    for part in codes.split(EVALUATION_BATCH):
        images = method.decode(part)
        require_shape(type(method).__name__, tuple(images.shape[1:]), real)
        yield to_uint8(images)


def require_shape(name: str, shape: tuple[int, ...], real: ImageSet) -> None:
    """Raise :class:`ltvm.errors.InputError` unless images [c, h, w] are shaped as ``real``."""
    allowed = tuple(real.images.shape[1:])
    require(
        shape == allowed,
        f"{name}: shape of images",
        "x".join(map(str, shape)),
        f"{'x'.join(map(str, allowed))}, as in {real.name}",
    )


def refusing_constant(batches: Iterable[Tensor], method: Method) -> Iterator[Tensor]:
    """Pass uint8 batches [n, c, h, w] through; raise :class:`DivergedError` at the end if all
    images equal the first, or every image has one value throughout.
    """
    name = type(method).__name__
    first: Tensor | None = None
    differ = content = False
    for batch in batches:
        first = batch[:1] if first is None else first
        differ = differ or bool((batch != first).any())
        flat = batch.flatten(1)
        content = content or bool((flat != flat[:, :1]).any())
        yield batch
    if not differ:
        raise DivergedError(f"{name}: all samples are the same image")
    if not content:
        raise DivergedError(f"{name}: every sample has one value throughout")


def refuse_constant(images: ImageSet) -> None:
    """Raise :class:`ltvm.errors.InputError` for a set of images without content."""
    flat = images.images.flatten(1)
    where = f"{images.name}: {images.split} images"
    if not any((part != flat[:1]).any() for part in flat.split(EVALUATION_BATCH)):
        raise InputError(f"{where}: all {len(images)} are the same image")
    if not any((part != part[:, :1]).any() for part in flat.split(EVALUATION_BATCH)):
        raise InputError(f"{where}: every one of {len(images)} has one value throughout")


def singular_warning(n: int, n_real: int, dimension: int) -> dict[str, str]:
    """A ``warning`` for the provenance where a covariance cannot have full rank, else nothing.

    ``n`` is the least number of generated images in any covariance behind the number.
    """
    few = [f"{count} {name}" for count, name in ((n, "generated"), (n_real, "real"))
           if count <= dimension]  # fmt: skip
    if not few:
        return {}
    text = f"{' and '.join(few)} images for {dimension} features: singular covariance"
    return {"warning": text}
