"""One Frechet distance, computed as the code bases in the wild compute it.

    two sets of images -> convention.distance(first, second) -> a number

Rows named for a library call that library with this extractor's weights (on digit features, its
statistics and distance). Rows "in the style
of" follow its published preprocessing where the library itself is not a dependency:

- pytorch-fid: ToTensor, torch's bilinear resize (half-pixel centres, no antialiasing), 2x - 1;
- clean-fid: Pillow's antialiased bicubic resize per channel in float32, clipped (Parmar, Zhang
  and Zhu, "On aliased resizing and surprising subtleties in GAN evaluation", CVPR 2022).

All use the same network, so that what differs is the convention alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.features.folded import as_file
from ltvm.metrics.features.inception import InceptionFeatures, to_colour
from ltvm.metrics.features.moments import frechet_distance, moments_of

SIZE = 299  # what Inception is given
LAYERS = {  # children of torch-fidelity's network that lead to a feature, in this order
    64: "MaxPool_1", 192: "MaxPool_2", 768: "Mixed_6e", 2048: "Mixed_7c",
}  # fmt: skip


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


def ours(extractor: InceptionFeatures | DigitFeatures) -> Convention:
    def distance(first: Pixels, second: Pixels) -> float:
        sets = [moments_of(map(extractor, batches(x.rounded)), extractor.dimension)
                for x in (first, second)]  # fmt: skip
        return frechet_distance(*sets)

    what = "rounded; " + ("TF1 resize" if isinstance(extractor, InceptionFeatures) else "no resize")
    return Convention("ltvm", what, distance)


def inception_conventions(extractor: InceptionFeatures) -> list[Convention]:
    """All conventions for Inception features, this suite's own first."""
    network, d = extractor.network, extractor.dimension

    def styled(prepare: Callable[[Tensor], Tensor]) -> Callable[[Pixels, Pixels], float]:
        def features(x: Tensor) -> Tensor:
            return after_resize(network, prepare(to_colour(x)).to(extractor.device), d).double()

        def distance(first: Pixels, second: Pixels) -> float:
            sets = [moments_of(map(features, batches(x.rounded)), d) for x in (first, second)]
            return frechet_distance(*sets)

        return distance

    return [
        ours(extractor),
        Convention(
            "torch-fidelity", "rounded; TF1 resize", lambda a, b: torch_fidelity(a, b, extractor)
        ),
        Convention(
            "torchmetrics, corrected",
            "rounded; TF1 resize (antialias=False)",
            lambda a, b: torchmetrics(a.rounded, b.rounded, extractor, antialias=False),
        ),
        Convention(
            "torchmetrics, default",
            "truncated (normalize=True); antialiased bilinear resize",
            lambda a, b: torchmetrics(a.unit, b.unit, extractor, antialias=True),
        ),
        Convention(
            "torchmetrics, antialiased only",
            "rounded; antialiased bilinear resize",
            lambda a, b: torchmetrics(a.rounded, b.rounded, extractor, antialias=True),
        ),
        Convention(
            "torchmetrics, truncated only",
            "truncated (normalize=True); TF1 resize",
            lambda a, b: torchmetrics(a.unit, b.unit, extractor, antialias=False),
        ),
        Convention(
            "pytorch-fid style", "rounded; half-pixel bilinear resize", styled(half_pixel_bilinear)
        ),
        Convention("clean-fid style", "rounded; Pillow bicubic resize", styled(pillow_bicubic)),
    ]


def digit_conventions(extractor: DigitFeatures) -> list[Convention]:
    """For the digit extractor, which takes 28x28 as it is: nothing is resized."""

    def truncated(first: Pixels, second: Pixels) -> float:
        return ours(extractor).distance(Pixels(first.truncated), Pixels(second.truncated))

    return [
        ours(extractor),
        Convention(
            "torch-fidelity", "rounded; no resize", lambda a, b: fidelity_formula(a, b, extractor)
        ),
        Convention("truncating cast", "truncated; no resize", truncated),
    ]


def batches(images: Tensor) -> Iterator[Tensor]:
    yield from images.split(InceptionFeatures.batch)


def after_resize(network: nn.Module, images: Tensor, dimension: int) -> Tensor:
    """Features [n, dimension] of images [n, 3, 299, 299] that are scaled to about [-1, 1]."""
    for name, layer in network.named_children():
        images = layer(images)
        if name == LAYERS[dimension]:
            break
    return images.mean((2, 3))


def half_pixel_bilinear(images: Tensor) -> Tensor:
    """uint8 [n, 3, h, w] -> [n, 3, 299, 299] in [-1, 1], as pytorch-fid prepares them."""
    unit = images.float() / 255
    return 2 * F.interpolate(unit, (SIZE, SIZE), mode="bilinear", align_corners=False) - 1


def pillow_bicubic(images: Tensor) -> Tensor:
    """uint8 [n, 3, h, w] -> [n, 3, 299, 299], as clean-fid prepares them."""
    from PIL import Image

    channels = images.cpu().flatten(0, 1).float().numpy()  # [3n, h, w]
    resized = [
        np.asarray(Image.fromarray(channel).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        for channel in channels
    ]
    clipped = torch.from_numpy(np.stack(resized)).clamp(0, 255)  # bicubic weights overshoot
    return (clipped.view(-1, 3, SIZE, SIZE) - 128) / 128


def torch_fidelity(first: Pixels, second: Pixels, extractor: InceptionFeatures) -> float:
    """torch-fidelity's network, resize, statistics and distance."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    theirs = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        [str(extractor.dimension)],
        feature_extractor_weights_path=as_file(extractor.network.state_dict()),
    ).to(extractor.device)
    return fidelity_formula(first, second, lambda x: theirs(to_colour(x).to(extractor.device))[0])


def fidelity_formula(first: Pixels, second: Pixels, features: Callable[[Tensor], Tensor]) -> float:
    """torch-fidelity's statistics and distance, on features of uint8 images."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    with torch.no_grad():
        sets = [torch.cat([features(x).cpu() for x in batches(s.rounded)])
                for s in (first, second)]  # fmt: skip
    statistics = [fid_features_to_statistics(x) for x in sets]
    return float(fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"])


def torchmetrics(
    first: Tensor, second: Tensor, extractor: InceptionFeatures, antialias: bool
) -> float:
    """torchmetrics' metric; uint8 images, or floats in [0, 1], which it truncates."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(
        feature=extractor.dimension,
        normalize=first.is_floating_point(),
        feature_extractor_weights_path=as_file(extractor.network.state_dict()),
        antialias=antialias,
    ).to(extractor.device)
    for images, real in ((second, True), (first, False)):
        for batch in batches(images):
            metric.update(to_colour(batch).to(extractor.device), real=real)
    return float(metric.compute())
