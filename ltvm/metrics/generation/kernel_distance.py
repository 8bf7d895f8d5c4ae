"""Kernel distance (KID) between generated and training images, unbiased, with its spread.

Squared maximum mean discrepancy with the kernel k(a, b) = (<a, b> / dimension + 1)^3, its
unbiased estimate averaged over random subsets (Binkowski, Sutherland, Arbel and Gretton,
"Demystifying MMD GANs", ICLR 2018). Unlike the Frechet distance's, its mean does not depend on
n; it may be negative. The literature often prints it times 1,000; here it is as defined.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ltvm.data.image_set import ImageSet
from ltvm.metrics.base import Context, Measurement
from ltvm.metrics.codes.mmd import unbiased_mmd2
from ltvm.metrics.columns import Column
from ltvm.metrics.features.base import Extractor
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
        extractor: Extractor,
        samples: int | None = None,
        subsets: int = 100,
        size: int = 1000,
    ) -> None:
        super().__init__(extractor, samples)
        self.require_count("subsets", subsets, 2)
        self.require_count("size", size, 2)
        self.subsets, self.size = subsets, size
        self.value_name = f"kid_{extractor.feature_name}"

    def columns(self) -> dict[str, Column]:
        features = self.extractor.title
        subsets = f"{self.subsets} random subsets of at most {self.size} images"
        return {
            self.value_name: Column(
                title=f"KID, {features}",
                definition=(
                    f"Unbiased squared MMD with the cubic kernel on {features} between prior "
                    f"samples and the training images, mean over {subsets}."
                ),
                family="generation",
                direction="lower",
            ),
            f"{self.value_name}_sd": Column(
                title=f"sd of KID over subsets, {features}",
                definition=f"Standard deviation of the KID on {features} over {subsets}.",
                family="generation",
                role="diagnostic",
            ),
        }

    def compare(
        self, generated: Features, real: ImageSet, context: Context
    ) -> dict[str, Measurement]:
        size = max(2, min(self.size, generated.n // 2, len(real) // 2))
        values = kernel_distances(
            generated.matrix().to(context.device),
            self.of_data(real, context).matrix().to(context.device),
            self.subsets,
            size,
            context.stream("kernel subsets"),
        )
        provenance = {
            **self.provenance(generated.n, len(real), real),
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
    return unbiased_mmd2(
        within_first.sum() - within_first.trace(),
        within_second.sum() - within_second.trace(),
        kernel(first, second).mean(),
        n,
        m,
    )
