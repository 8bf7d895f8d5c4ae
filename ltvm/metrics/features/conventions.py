"""One Frechet distance, computed as the code bases in the wild compute it.

    two sets of images -> convention.distance(first, second) -> a number

Here is what holds for features of any kind; ``inception_conventions`` has those for Inception.
All use the same network, so that what differs is the convention alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ltvm.metrics.features.moments import frechet_distance, moments_of

BATCH = 50  # images at once, as for Inception
FeaturesOf = Callable[[Tensor], Tensor]  # uint8 [n, c, h, w] -> [n, dimension]


@dataclass(frozen=True)
class Pixels:
    """Images as uint8 [n, c, h, w], and unrounded in [0, 1] where a model made them."""

    rounded: Tensor
    unrounded: Tensor | None = None

    @property
    def unit(self) -> Tensor:
        """Floats in [0, 1], as a code base would hand them to a metric."""
        return self.rounded.float() / 255 if self.unrounded is None else self.unrounded

    @property
    def truncated(self) -> Tensor:
        """What ``(images * 255).byte()`` makes of them: not rounded, and wrapped outside."""
        return (self.unit * 255).byte()


@dataclass(frozen=True)
class Convention:
    """A way to compute the distance: ``name`` of who does so, and ``what`` is done."""

    name: str
    what: str
    distance: Callable[[Pixels, Pixels], float]


def feature_conventions(features: FeaturesOf, dimension: int, words: str) -> list[Convention]:
    """This suite's own, torch-fidelity's statistics and distance, and a truncating cast.

    ``words`` say what the network does to images of another size.
    """
    own = ours(features, dimension, words)

    def truncated(first: Pixels, second: Pixels) -> float:
        return own.distance(Pixels(first.truncated), Pixels(second.truncated))

    return [
        own,
        Convention(
            "torch-fidelity", f"rounded; {words}", lambda a, b: fidelity_formula(a, b, features)
        ),
        Convention("truncating cast", f"truncated; {words}", truncated),
    ]


def ours(features: FeaturesOf, dimension: int, words: str) -> Convention:
    """This suite's own convention."""

    def distance(first: Pixels, second: Pixels) -> float:
        sets = [moments_of(map(features, batches(x.rounded)), dimension) for x in (first, second)]
        return frechet_distance(*sets)

    return Convention("ltvm", f"rounded; {words}", distance)


def batches(images: Tensor) -> Iterator[Tensor]:
    """Images by ``BATCH``."""
    yield from images.split(BATCH)


def fidelity_formula(first: Pixels, second: Pixels, features: FeaturesOf) -> float:
    """torch-fidelity's statistics and distance, on features of uint8 images."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    with torch.no_grad():
        sets = [torch.cat([features(x).cpu() for x in batches(s.rounded)])
                for s in (first, second)]  # fmt: skip
    statistics = [fid_features_to_statistics(x) for x in sets]
    return float(fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"])
