"""Scores of a reconstruction against its image, both [n, c, h, w] in [-1, 1], one per image."""

from __future__ import annotations

import math

from torch import Tensor

DATA_RANGE = 2.0  # of pixels in [-1, 1]
LARGEST_PSNR = 10 * math.log10(12 * 255**2)  # 58.9 dB: uniform rounding to 256 levels
WINDOW = 11  # pixels, of SSIM


def psnr(made: Tensor, real: Tensor) -> Tensor:
    """Peak signal-to-noise ratio [n] in dB: 10 log10(DATA_RANGE^2 / MSE of that image).

    At most ``LARGEST_PSNR``: an error below that of rounding to uint8 counts as that one.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio  # slow to import

    values: Tensor = peak_signal_noise_ratio(
        made, real, data_range=DATA_RANGE, dim=(1, 2, 3), reduction="none"
    )
    return values.clamp(max=LARGEST_PSNR)


def ssim(made: Tensor, real: Tensor) -> Tensor:
    """Structural similarity [n], at most 1 (Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 2004).

    Gaussian window of 11 pixels with a standard deviation of 1.5, k1 = 0.01, k2 = 0.03, mean
    over the pixels whose window lies inside the image, and over channels. (torchmetrics' own mean
    includes windows that stick out, filled by reflection: another number.)
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    _, local = structural_similarity_index_measure(
        made, real, data_range=DATA_RANGE, reduction="none", return_full_image=True
    )
    inside = slice(WINDOW // 2, -(WINDOW // 2))
    values: Tensor = local[..., inside, inside].flatten(1).mean(1)
    return values
