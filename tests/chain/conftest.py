"""A posterior that is known: of a linear decoder under N(0, I)."""

import pytest
import torch
from torch import nn

from ltvm.chain.short_run import short_run
from ltvm.models.prior import StandardNormal


class LinearDecoder(nn.Module):
    """g(z) = W z, as images [n, 1, 2, 2]."""

    def __init__(self):
        super().__init__()
        weight = torch.tensor([[1.0, 0.2], [0.0, 0.7], [-0.5, 0.3], [0.4, -0.9]])
        self.weight = nn.Parameter(weight)

    def forward(self, codes):
        return (codes @ self.weight.T).view(-1, 1, 2, 2)


class Linear:
    """The decoder, an image, and p(z | x) = N(m, S): S = (I + W'W / s^2)^-1, m = S W'x / s^2."""

    sigma = 0.6

    def __init__(self):
        self.decoder, self.prior = LinearDecoder(), StandardNormal(2)
        self.image = torch.tensor([0.5, -0.3, 0.8, -0.1]).view(1, 1, 2, 2)
        weight = self.decoder.weight.detach()
        self.precision = torch.eye(2) + weight.T @ weight / self.sigma**2
        self.covariance = torch.linalg.inv(self.precision)
        self.mean = self.covariance @ weight.T @ self.image.flatten() / self.sigma**2

    def run(self, kernel, codes, steps, noise, iteration=0):
        return short_run(
            self.decoder, self.image.expand(len(codes), -1, -1, -1), kernel.init(codes),
            kernel=kernel, constants=kernel.constants(iteration), steps=steps, sigma=self.sigma,
            prior=self.prior, noise=noise,
        )  # fmt: skip

    def stationary_covariance(self, kernel):
        """Of all entries of the state side by side, for a kernel that is linear here: no chance.

        A step is s <- A s + B noise + const; the covariance solves C = A C A' + B B'.
        """
        precision, constants = self.precision.double(), kernel.constants(0)

        def step(row, noise):
            state = kernel.init(torch.zeros(1, 2, dtype=torch.float64))
            parts = row.view(1, len(state), 2).unbind(1)
            state = dict(zip(state, parts, strict=True))
            moved = kernel.step(
                state, lambda z: ((z @ precision * z).sum(1) / 2, z @ precision), noise, constants
            )
            return torch.cat([moved[name] for name in state], 1)[0]

        size = 2 * len(kernel.init(torch.zeros(1, 2)))
        rows, none = torch.eye(size, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
        a = torch.stack([step(row, none) for row in rows], 1)
        b = torch.stack([step(rows[0] * 0, e[None]) for e in rows[:2, :2]], 1)
        assert torch.linalg.eigvals(a).abs().max() < 1
        both = torch.eye(size**2, dtype=torch.float64) - torch.kron(a, a)
        return torch.linalg.solve(both, (b @ b.T).flatten()).view(size, size)


@pytest.fixture
def linear():
    return Linear()
