"""Samples as the metrics take them: rounded to uint8 as the real images are stored."""

import torch

from ltvm.data import to_float, to_uint8


def test_uint8_is_clamped_and_rounded_and_inverts_scaling():
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(every)), every)
    assert to_uint8(torch.tensor([-1.7, 1.7, 0.0039])).tolist() == [0, 255, 128]


def test_rounding_differs_from_truncation():
    values = torch.linspace(-1, 1, 10_001)
    truncated = ((values + 1) * 127.5).byte()  # a well-known wrong variant
    rounded = to_uint8(values)
    assert (rounded != truncated).float().mean() > 0.4
