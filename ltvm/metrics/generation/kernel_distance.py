"""Kernel distance (KID) between generated and training images, unbiased, with its spread.

Squared maximum mean discrepancy with the kernel k(a, b) = (<a, b> / dimension + 1)^3, its
unbiased estimate averaged over random subsets (Binkowski, Sutherland, Arbel and Gretton,
"Demystifying MMD GANs", ICLR 2018). Unlike the Frechet distance's, its mean does not depend on
n; it may be negative. The literature often prints it times 1,000; here it is as defined.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ltvm.data.image_set import ImageSet
from ltvm.metrics.base import Context, Measurement
from ltvm.metrics.generation.feature_metric import FeatureMetric, Features


class KernelDistance(FeatureMetric):
    """``samples`` prior samples against training images: the mean over ``subsets`` of ``size``.

    Subsets are drawn without replacement, of ``size`` or of half of what there is if that is less
    (so that they differ). ``<name>_sd`` is the standard deviation over subsets, as torch-fidelity
    prints it: the spread at ``subset_size`` images, slightly low since subsets overlap; not an
    error of the mean, nor a spread over seeds. Unbiased for independent draws only: a sample with
    fixed numbers of every class has a lower mean.
    """

    key: ClassVar[str] = "kernel"

    def __init__(
        self,
        extractor: str = "digits",
        samples: int | None = None,
        subsets: int = 100,
        size: int = 1000,
        **options: Any,
    ) -> None:
        super().__init__(extractor, samples, options)
        self.require_count("subsets", subsets, 2)
        self.require_count("size", size, 2)
        self.subsets, self.size = subsets, size
        self.value_name = f"kid_{self.feature_name}"
        self.lower_is_better = {self.value_name: True}

    def compare(
        self, generated: Features, real: ImageSet, context: Context
    ) -> dict[str, Measurement]:
        size = max(2, min(self.size, generated.n // 2, len(real) // 2))
        values = kernel_distances(
            generated.matrix().to(context.device),
            self.of_images(real, context).matrix().to(context.device),
            self.subsets,
            size,
            context.stream("kernel subsets"),
        )
        provenance = {
            **self.provenance(generated.n, len(real), real, context),
            "subsets": self.subsets,
            "subset_size": size,
        }
        return {
            self.value_name: Measurement(values.mean().item(), provenance),
            f"{self.value_name}_sd": Measurement(values.std(correction=0).item(), provenance),
        }


def kernel_distances(
    first: Tensor, second: Tensor, subsets: int, size: int, generator: torch.Generator
) -> Tensor:
    """The estimate on each pair of random subsets: features [n, d] and [m, d] -> [subsets]."""
    values = []
    for _ in range(subsets):
        chosen = [
            x[torch.randperm(len(x), generator=generator)[:size].to(x.device)].double()
            for x in (first, second)
        ]
        values.append(squared_mmd(*chosen))
    return torch.stack(values).cpu()


def squared_mmd(first: Tensor, second: Tensor) -> Tensor:
    """Unbiased squared MMD of [n, d] and [m, d] under the cubic kernel; a scalar, float64."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(first), len(second)
    within_first, within_second = kernel(first, first), kernel(second, second)
    return (
        (within_first.sum() - within_first.trace()) / (n * (n - 1))
        + (within_second.sum() - within_second.trace()) / (m * (m - 1))
        - 2 * kernel(first, second).mean()
    )
