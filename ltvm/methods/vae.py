"""Variational auto-encoder (Kingma and Welling, ICLR 2014), with this suite's likelihood.

Mirrored encoder, the same decoder, Gaussian likelihood with the same sigma, analytic KL:

    loss = |x - g(z)|^2 / (2 sigma^2) + KL(q(z | x) || N(0, I)),   z ~ q(z | x)

Under another prior, KL is estimated at that z: the prior's U(z) minus the entropy of q(z | x),
up to constants. An implicit sigma = 1 against MCMC methods with sigma = 0.3 would be no fair fight.
"""

from __future__ import annotations

from torch import Tensor

from ltvm.methods.budget import Visit
from ltvm.methods.encoder_method import EncoderMethod
from ltvm.models.batchnorm import statistics
from ltvm.models.weights import frozen
from ltvm.runtime.randomness import image_normals, normal


class VariationalAutoEncoder(EncoderMethod):
    """VAE; the code of an image is the mean of q(z | x)."""

    loss_name = "negative_bound"

    def learn(self, visit: Visit) -> Tensor:
        """An Adam step; returns the mean negative evidence bound (nats, up to a constant)."""
        images = self.problem.images.scaled(visit.images)
        with (
            statistics(self.encoder, "learn"),
            statistics(self.decoder, "learn"),
            self.computing(),
        ):
            mean, log_variance = self.encoder(images).float().chunk(2, dim=1)
            key = self.problem.stream_key("noise", visit.sweep)
            noise = image_normals(key, visit.images, 1, mean.shape[1])[0]
            codes = mean + (log_variance / 2).exp() * noise
            residual = images - self.decoder(codes).float()
        divergence = self.divergence(mean, log_variance, codes)
        loss = (self.misfit(residual) + divergence).mean()
        loss = self.step_optimizer(loss, len(images))
        self.update_prior(codes)
        return loss

    def step_flops(self) -> int:
        """With the energy of a prior that is no standard normal, in the bound and its gradient."""
        prior = 0 if self.prior.is_standard_normal else self.problem.flops.prior_gradient
        return super().step_flops() + prior

    def misfit(self, residual: Tensor) -> Tensor:
        """-log p(x | z) of residuals [n, c, h, w], up to a constant: [n]."""
        return residual.flatten(1).square().sum(1) / (2 * self.problem.sigma**2)

    def divergence(self, mean: Tensor, log_variance: Tensor, codes: Tensor) -> Tensor:
        """KL of N(mean, exp(log_variance)) to the prior [n]; up to a constant if estimated."""
        if self.prior.is_standard_normal:
            return (mean.square() + log_variance.exp() - log_variance - 1).sum(1) / 2
        with frozen(self.prior):  # it learns by ``update_prior`` alone
            energy = self.prior.energy(codes)
        return energy - log_variance.sum(1) / 2

    def posterior_draws(self) -> Tensor:
        """Draws from q(z | x): the means alone are narrower than the prior by design."""
        mean, log_variance = self.encode_training_images().chunk(2, dim=1)
        draws = normal(tuple(mean.shape), self.problem.stream("posterior draws"), mean.device)
        return mean + (log_variance / 2).exp() * draws
