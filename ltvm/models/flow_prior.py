"""A normalising flow as the prior (neural splines by zuko: ``pip install "ltvm[flows]"``).

Xie, Zhu, Xu, Li and Li, "A tale of two latent flows", AAAI 2023: the prior of a latent space is the
law of z = G(u), u ~ N(0, I), with F the inverse of G,

    log p(z) = log N(F(z); 0, I) + log |det dF/dz|

learned by maximum likelihood on the codes at the ends of short-run chains, which start at its
draws. Couplings of rational-quadratic splines: Durkan, Bekasov, Murray and Papamakarios, "Neural
spline flows", NeurIPS 2019. They move nothing out of [-5, 5], and what lies beyond not at all. That
bounds what draws and chains can do to each other (affine couplings, whose draws are where the next
chains start, let codes explode). It begins as the identity, so that the prior begins as N(0, I).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ltvm.errors import InputError, require
from ltvm.models.prior import Prior
from ltvm.runtime.randomness import Draws


class Flow(Prior):
    """``transforms`` couplings of alternating dimensions, by splines of ``bins`` bins whose shapes
    networks with two hidden layers of ``width`` decide. Adam's rate is ``rate_ratio`` times
    ``decoder_rate``, so that it follows a protocol's.
    """

    samples_exactly = True

    def __init__(
        self,
        latent_dim: int,
        *,
        transforms: int,
        width: int,
        bins: int,
        decoder_rate: float,
        rate_ratio: float,
    ) -> None:
        super().__init__(latent_dim)
        require(latent_dim >= 2, "prior=latent_flow: model.latent_dim", latent_dim, "2 or more")
        require(transforms >= 1, "prior.transforms", transforms, "1 or more")
        require(width >= 1, "prior.width", width, "1 or more")
        require(bins >= 1, "prior.bins", bins, "1 or more")
        require(rate_ratio > 0, "prior.rate_ratio", rate_ratio, "above 0")
        self.rate = rate_ratio * decoder_rate
        try:
            from zuko.flows import NICE
            from zuko.transforms import MonotonicRQSTransform
        except ModuleNotFoundError as error:
            raise InputError(
                f'prior=latent_flow: {error}; pip install "ltvm[flows]" adds it'
            ) from error
        self.flow = NICE(
            latent_dim,
            transforms=transforms,
            hidden_features=(width, width),
            univariate=MonotonicRQSTransform,
            shapes=[(bins,), (bins,), (bins - 1,)],  # widths, heights, slopes between
        )
        for coupling in self.flow.transform.transforms:
            for weights in coupling.hyper[-1].parameters():
                nn.init.zeros_(weights)

    @property
    def own_rate(self) -> float:
        return self.rate

    def couplings(self) -> Iterator[tuple[int, Any]]:
        """Which half stays as it is (0: the even dimensions) and decides of the other, and how.

        zuko's own transform asks the host which dimensions a mask has, which no CUDA graph can.
        """
        for number, coupling in enumerate(self.flow.transform.transforms):
            yield number % 2, coupling

    def energy(self, codes: Tensor) -> Tensor:
        """|F(z)|^2 / 2 - log |det dF/dz|: -log p(z) without its constant."""
        halves = [codes[:, 0::2], codes[:, 1::2]]
        growth = codes.new_zeros(len(codes))
        for stays, coupling in self.couplings():
            transform = coupling.meta(None, halves[stays])
            halves[1 - stays], grows = transform.call_and_ladj(halves[1 - stays])
            growth = growth + grows
        return sum(half.square().sum(1) for half in halves) / 2 - growth

    @torch.no_grad()
    def sample(self, n: int, draws: Draws) -> Tensor:
        codes = draws.normal(n, self.latent_dim)
        halves = [codes[:, 0::2], codes[:, 1::2]]
        for stays, coupling in reversed(list(self.couplings())):
            halves[1 - stays] = coupling.meta(None, halves[stays]).inv(halves[1 - stays])
        codes[:, 0::2], codes[:, 1::2] = halves
        return codes

    def loss(self, codes: Tensor, draws: Draws) -> Tensor:  # noqa: ARG002
        """-mean log p(z_i) without its constant; the density is normalised and needs no draws."""
        return self.energy(codes).mean()
