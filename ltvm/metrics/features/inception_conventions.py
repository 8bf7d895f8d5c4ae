"""One Frechet distance on Inception's features, as the code bases in the wild compute it.

Rows named for a library call that library with this extractor's weights. Rows "in the style
of" follow its published preprocessing where the library itself is not a dependency:

- pytorch-fid: ToTensor, torch's bilinear resize (half-pixel centres, no antialiasing), 2x - 1;
- clean-fid: Pillow's antialiased bicubic resize per channel in float32, clipped (Parmar, Zhang
  and Zhu, "On aliased resizing and surprising subtleties in GAN evaluation", CVPR 2022).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltvm.metrics.features.base import Extractor, to_colour
from ltvm.metrics.features.conventions import (
    Convention,
    Pixels,
    batches,
    fidelity_formula,
    ours,
)
from ltvm.metrics.features.moments import frechet_distance, moments_of

SIZE = 299  # what Inception is given
LAYERS = {  # children of torch-fidelity's network that lead to a feature, in this order
    64: "MaxPool_1", 192: "MaxPool_2", 768: "Mixed_6e", 2048: "Mixed_7c",
}  # fmt: skip


def inception_conventions(extractor: Extractor, network: nn.Module) -> list[Convention]:
    """All conventions for an extractor with this (torch-fidelity's) network, our own first."""
    d = extractor.dimension
    called: dict[str, Any] = {"extractor": extractor, "network": network}

    def styled(prepare: Callable[[Tensor], Tensor]) -> Callable[[Pixels, Pixels], float]:
        def features(x: Tensor) -> Tensor:
            return after_resize(network, prepare(to_colour(x)).to(extractor.device), d).double()

        def distance(first: Pixels, second: Pixels) -> float:
            sets = [moments_of(map(features, batches(x.rounded)), d) for x in (first, second)]
            return frechet_distance(*sets)

        return distance

    return [
        ours(extractor, d, "TF1 resize"),
        Convention(
            "torch-fidelity", "rounded; TF1 resize", lambda a, b: torch_fidelity(a, b, **called)
        ),
        Convention(
            "torchmetrics, corrected",
            "rounded; TF1 resize (antialias=False)",
            lambda a, b: torchmetrics(a.rounded, b.rounded, antialias=False, **called),
        ),
        Convention(
            "torchmetrics, default",
            "truncated (normalize=True); antialiased bilinear resize",
            lambda a, b: torchmetrics(a.unit, b.unit, antialias=True, **called),
        ),
        Convention(
            "torchmetrics, antialiased only",
            "rounded; antialiased bilinear resize",
            lambda a, b: torchmetrics(a.rounded, b.rounded, antialias=True, **called),
        ),
        Convention(
            "torchmetrics, truncated only",
            "truncated (normalize=True); TF1 resize",
            lambda a, b: torchmetrics(a.unit, b.unit, antialias=False, **called),
        ),
        Convention(
            "pytorch-fid style", "rounded; half-pixel bilinear resize", styled(half_pixel_bilinear)
        ),
        Convention("clean-fid style", "rounded; Pillow bicubic resize", styled(pillow_bicubic)),
    ]


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


def torch_fidelity(
    first: Pixels, second: Pixels, extractor: Extractor, network: nn.Module
) -> float:
    """torch-fidelity's network, resize, statistics and distance."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    theirs = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        [str(extractor.dimension)],
        feature_extractor_weights_path=as_file(network.state_dict()),
    ).to(extractor.device)
    return fidelity_formula(first, second, lambda x: theirs(to_colour(x).to(extractor.device))[0])


def torchmetrics(
    first: Tensor, second: Tensor, extractor: Extractor, network: nn.Module, antialias: bool
) -> float:
    """torchmetrics' metric; uint8 images, or floats in [0, 1], which it truncates."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(
        feature=extractor.dimension,
        normalize=first.is_floating_point(),
        feature_extractor_weights_path=as_file(network.state_dict()),
        antialias=antialias,
    ).to(extractor.device)
    for images, real in ((second, True), (first, False)):
        for batch in batches(images):
            metric.update(to_colour(batch).to(extractor.device), real=real)
    return float(metric.compute())


def as_file(state: dict[str, Tensor]) -> Any:
    """A weights file in memory, which torch-fidelity's loader takes for a path."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file
