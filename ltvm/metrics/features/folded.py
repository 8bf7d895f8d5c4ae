"""Inception weights with folded batch norm, as torch-fidelity's network takes them.

A public sample (bdonkey/AppleInceptionV3) ships the FID's network up to its 1280 channels,
batch norm folded into weight and bias, under the names of the TensorFlow graph; two later
convolutions are absent. Its 76 convolutions are put into torch-fidelity's network as far as the
768 features, batch norm set to add the bias and nothing else. So features and everything
around them (resize, rounding) are the real ones, for 64, 192 and 768.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltvm.errors import InputError, require
from ltvm.metrics.features.inception import InceptionFeatures, weights_folder
from ltvm.metrics.features.inception_conventions import as_file
from ltvm.metrics.features.weights import verify

FILE = "inception_v3_2015_to_mixed8_fp32.npz"
CHECKSUM = "263650719764310c7c8bc3abdbb9f04222e89d2cb1ba223fddbdad501e5db090"
DIMENSIONS = (64, 192, 768)
EPSILON = 1e-3  # of the network's batch norm

STEM = {
    "conv": "Conv2d_1a_3x3",
    "conv_1": "Conv2d_2a_3x3",
    "conv_2": "Conv2d_2b_3x3",
    "conv_3": "Conv2d_3b_1x1",
    "conv_4": "Conv2d_4a_3x3",
}
BLOCKS = {  # of the graph -> of the PyTorch port
    "mixed": "Mixed_5b", "mixed_1": "Mixed_5c", "mixed_2": "Mixed_5d", "mixed_3": "Mixed_6a",
    "mixed_4": "Mixed_6b", "mixed_5": "Mixed_6c", "mixed_6": "Mixed_6d", "mixed_7": "Mixed_6e",
}  # fmt: skip
BRANCHES_A = {
    "conv": "branch1x1",
    "tower_conv": "branch5x5_1", "tower_conv_1": "branch5x5_2",
    "tower_1_conv": "branch3x3dbl_1", "tower_1_conv_1": "branch3x3dbl_2",
    "tower_1_conv_2": "branch3x3dbl_3",
    "tower_2_conv": "branch_pool",
}  # fmt: skip
BRANCHES_B = {
    "conv": "branch3x3",
    "tower_conv": "branch3x3dbl_1", "tower_conv_1": "branch3x3dbl_2",
    "tower_conv_2": "branch3x3dbl_3",
}  # fmt: skip
BRANCHES_C = {
    "conv": "branch1x1",
    "tower_conv": "branch7x7_1", "tower_conv_1": "branch7x7_2", "tower_conv_2": "branch7x7_3",
    "tower_1_conv": "branch7x7dbl_1", "tower_1_conv_1": "branch7x7dbl_2",
    "tower_1_conv_2": "branch7x7dbl_3", "tower_1_conv_3": "branch7x7dbl_4",
    "tower_1_conv_4": "branch7x7dbl_5",
    "tower_2_conv": "branch_pool",
}  # fmt: skip


class FoldedInception(InceptionFeatures):
    """``InceptionFeatures`` of 64, 192 or 768 features, from weights with folded batch norm.

    ``weights`` is a path (None: ``inception/FILE`` below ``LTVM_DATA_ROOT``; it is not downloaded)
    and ``checksum`` the SHA-256 that it must have.
    """

    name = "inception_folded"

    def __init__(
        self,
        device: torch.device | str = "cpu",
        dimension: int = 768,
        weights: str | None = None,
        checksum: str = CHECKSUM,
    ) -> None:
        path = weights_folder() / FILE if weights is None else Path(weights).expanduser()
        self.checksum = checksum.lower()
        verify(path, self.checksum)
        self.build(folded_network(path, dimension), dimension, device)


def layer_names() -> dict[str, str]:
    """Names in the file -> modules of torch-fidelity's network, up to the 768 features."""
    names = dict(STEM)
    for block, module in BLOCKS.items():
        branches = {"5": BRANCHES_A, "6": BRANCHES_C}[module[6]]
        branches = BRANCHES_B if module == "Mixed_6a" else branches
        names |= {f"{block}_{name}": f"{module}.{branch}" for name, branch in branches.items()}
    return names


def folded_state(path: Path) -> dict[str, Tensor]:
    """The state of the network's layers up to the 768 features, from the folded weights.

    Raises :class:`ltvm.errors.InputError` if the file is no such archive.
    """
    state: dict[str, Tensor] = {}
    try:
        with np.load(path) as arrays:
            for name, module in layer_names().items():
                weight = torch.from_numpy(arrays[f"{name}.weight"])
                bias = torch.from_numpy(arrays[f"{name}.bias"])
                state |= {
                    f"{module}.conv.weight": weight,
                    f"{module}.bn.weight": torch.ones_like(bias),
                    f"{module}.bn.bias": bias,
                    f"{module}.bn.running_mean": torch.zeros_like(bias),
                    f"{module}.bn.running_var": torch.full_like(bias, 1 - EPSILON),
                    f"{module}.bn.num_batches_tracked": torch.tensor(0),
                }
    except (KeyError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"extractor inception_folded: {path}: no folded Inception weights ({error})"
        ) from error
    return state


def folded_network(path: Path, dimension: int) -> nn.Module:
    """torch-fidelity's network with the folded weights; what follows the 768 is not loaded.

    Raises :class:`ltvm.errors.InputError` for a dimension that is not reached.
    """
    require(
        dimension in DIMENSIONS,
        "extractor inception_folded: dimension",
        dimension,
        f"{', '.join(map(str, DIMENSIONS))} with {path.name}, which ends there",
    )
    from torchmetrics.image.fid import NoTrainInceptionV3  # seconds to import

    class Partial(NoTrainInceptionV3):
        def load_state_dict(self, state: Any, strict: bool = True, assign: bool = False) -> Any:  # noqa: ARG002
            return super().load_state_dict(state, strict=False, assign=assign)

    return Partial("inception-folded", [str(dimension)], as_file(folded_state(path)), False)
